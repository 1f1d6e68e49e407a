"""
What logs of hosts have in common, whatever database is below: bounds, and who goes.

The database's half says how to find, put and remove; see host/storage.py for SQLite,
bigpeer/postgres.py for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.ids import COLLECTION_BYTES_MAX, ID_BYTES_MAX
from edge_peer.core.limits import ATTACHMENTS, HIDDEN, RELAYED, WHOLE
from edge_peer.core.store.log import META
from edge_peer.host.changes import Changes
from edge_peer.host.eviction import Eviction, Leaving

if TYPE_CHECKING:
    from edge_peer.core.limits import Limit, Limits
    from edge_peer.core.store.log import Put
    from edge_peer.core.store.store import BeforeErase

QUOTA_BYTES = 256 << 20
DOCUMENTS_MAX = 1_000_000
ATTACHMENT_BYTES = 256 << 20
DOCUMENT_BYTES_MAX = 262_144
NO_LIMIT = (1 << 63) - 1


class LimitedLog:
    """The docstrings of FlashLog are the contract (tests/log_contract.py)."""

    arrival_max: int
    _eviction: Eviction
    _damaged: set[int]  # arrivals

    def _bound(self, limits: Limits, before_erase: BeforeErase) -> None:
        """limits: see core/limits.py; for the whole store there are defaults."""
        defaults = {WHOLE: (QUOTA_BYTES, DOCUMENTS_MAX), ATTACHMENTS: (ATTACHMENT_BYTES, None)}
        self.limits = defaults | limits
        self.quota_bytes = self.limits[WHOLE][0] or NO_LIMIT
        self.document_bytes_max = min(DOCUMENT_BYTES_MAX, self.quota_bytes // 8)
        self.evicted_count = 0
        self.on_gone: Callable[[tuple[str, str]], None] | None = None  # told (collection, id)
        self._before_erase = before_erase

    def totals(self, group: str) -> tuple[int, int]:
        raise NotImplementedError

    def _transact(self, write: Callable[[Changes], None]) -> None:
        """Let all of it happen, or nothing, and count it."""
        raise NotImplementedError

    def _found(self, keys: list[tuple[str, str]]) -> dict[int, Leaving]:
        """Return those that are here, by arrival."""
        raise NotImplementedError

    def _remove(self, changes: Changes, documents: dict[int, Leaving]) -> None:
        raise NotImplementedError

    def _put(self, changes: Changes, put: Put, is_relayed: bool) -> None:
        raise NotImplementedError

    def status(self) -> dict[str, int]:
        document_count, document_bytes = self.totals(WHOLE)
        return {
            "documents": document_count,
            "documents_max": self.limits[WHOLE][1] or NO_LIMIT,
            "used_bytes": document_bytes,
            "quota_bytes": self.quota_bytes,
            "attachment_bytes": self.totals(ATTACHMENTS)[1],
            "attachment_bytes_max": self.limits[ATTACHMENTS][0] or NO_LIMIT,
            "evicted": self.evicted_count,
            "damaged": len(self._damaged),
        }

    def drop(self, keys: list[tuple[str, str]]) -> None:
        """Let these documents go now, with the entries of before_erase(), all or none."""
        if keys:
            self._transact(lambda changes: self._drop(changes, keys))

    def evict_again(self) -> None:
        self._eviction.again()

    def _check(self, put: Put) -> None:
        """Raise for what can never be stored."""
        collection, id, _, body = put
        if len(collection.encode()) > COLLECTION_BYTES_MAX or len(id.encode()) > ID_BYTES_MAX:
            raise StorageError(
                f"a collection's name has at most {COLLECTION_BYTES_MAX} bytes,"
                f" an id {ID_BYTES_MAX}"
            )
        if collection != META and len(body) > self.document_bytes_max:
            raise StoreFull(f"a document of {len(body)} bytes, at most {self.document_bytes_max}")

    def _keep_limits(self, changes: Changes) -> None:
        """Make room for what the transaction adds, or raise StoreFull."""
        limited = [group for group in changes.totals if group in self.limits]
        if len(limited) > 1:
            limited.sort(key=lambda group: group == WHOLE)
        for group in limited:
            self._keep_limit(changes, group)

    def _keep_limit(self, changes: Changes, group: str) -> None:
        """Evict the oldest that may go, none of this commit, or raise StoreFull.

        Where less was allowed than is stored, what makes it no worse is taken.
        """
        limit = self.limits[group]
        count, size = self.totals(group)
        more_count, more_bytes = changes.totals[group]
        excess_bytes = size + more_bytes - (limit[0] or NO_LIMIT)
        excess_count = count + more_count - (limit[1] or NO_LIMIT)
        if excess_bytes <= 0 and excess_count <= 0:
            return
        documents = self._eviction.choose(
            group, limit, (excess_bytes, excess_count), self.arrival_max, changes.gone
        )
        if documents:
            self._evict(changes, documents)
        elif (excess_bytes > 0 and more_bytes > 0) or (excess_count > 0 and more_count > 0):
            raise StoreFull(_sentence(group, limit, count + more_count, size + more_bytes))

    def _drop(self, changes: Changes, keys: list[tuple[str, str]]) -> None:
        self._evict(changes, self._found(keys))

    def _evict(self, changes: Changes, documents: dict[int, Leaving]) -> None:
        named = [(one.collection, one.id) for one in documents.values()]
        changes.evicted += [name for name in named if name[0] not in HIDDEN]
        self._remove(changes, documents)
        for put in self._before_erase():
            self._put(changes, put, False)


def _sentence(group: str, limit: Limit, count: int, size: int) -> str:
    """Say what is full, with both figures."""
    name = {
        WHOLE: "the store",
        RELAYED: "what is relayed",
        ATTACHMENTS: "the room for attachments",
    }.get(group, f"collection {group}")
    parts = []
    if limit[0] is not None:
        parts.append(f"{size} of {limit[0]} bytes")
    if limit[1] is not None:
        parts.append(f"{count} of {limit[1]} documents")
    return f"{name} is full: it would have {' and '.join(parts)}, and too few may go"
