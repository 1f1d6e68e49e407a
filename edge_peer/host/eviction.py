"""
Who goes when a host's store is full: the oldest documents of the group that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from edge_peer.core.limits import ATTACHMENTS, HIDDEN, RELAYED, WHOLE
from edge_peer.host.schema import size_of

if TYPE_CHECKING:
    from edge_peer.core.limits import Limit
    from edge_peer.core.store.log import Evict

    OldestFirst = Callable[[str, int, int], Iterator["Candidate"]]

FIRST_PIECE = -(1 << 62)  # the arrivals of pieces lie below those of all documents
SPARE = 1024  # eviction goes on until this part of a quota is free, so it is rare


class Leaving(NamedTuple):
    """A document that may go."""

    collection: str
    id: str
    bytes: int
    is_relayed: bool

    def is_in(self, group: str) -> bool:
        if (group == ATTACHMENTS) != (self.collection in HIDDEN):
            return False
        return group in (WHOLE, ATTACHMENTS) or (
            self.is_relayed if group == RELAYED else self.collection == group
        )


class Candidate(NamedTuple):
    arrival: int
    collection: str
    id: str
    body: bytes
    is_relayed: bool


class Eviction:
    """Finds what may go, and remembers it, until `again`.

    Each pass over a group, without loss and with, goes on where the last one ended. All
    that was found goes together, as the store counts it so.
    """

    def __init__(self, oldest_first: OldestFirst, evict: Evict) -> None:
        """oldest_first(group, above, newest): its documents with arrivals in between."""
        self._rows = oldest_first
        self._evict = evict
        self.again()

    def again(self) -> None:
        """Call when documents that had to stay may go now."""
        self._looked_at: dict[tuple[str, bool], int] = {}  # arrival: nothing up to it may go,
        self._leaving: dict[int, Leaving] = {}  # but these

    def have_gone(self, arrivals: set[int]) -> None:
        for arrival in arrivals:
            self._leaving.pop(arrival, None)

    def have_stayed(self, arrivals: set[int]) -> None:
        """These were not there while we looked, in a commit that was given up."""
        for key in self._looked_at:
            self._looked_at[key] = min([self._looked_at[key]] + [one - 1 for one in arrivals])

    def choose(
        self, group: str, limit: Limit, excess: tuple[int, int], newest: int, gone: set[int]
    ) -> dict[int, Leaving]:
        """Return {arrival: document} of enough to go, none above `newest`; {} if too few may.

        excess: bytes and documents of the group above its limit. gone: arrivals that
        the commit in the making has taken out.
        """
        there = {one: self._leaving[one] for one in self._leaving if one not in gone}
        found = [document for document in there.values() if document.is_in(group)]
        left_bytes = excess[0] - sum(document.bytes for document in found)
        left_count = excess[1] - len(found)
        for may_lose in (False, True):
            if left_bytes <= 0 >= left_count:
                break
            # Without loss some more than needed go, so that it is rare; with loss none.
            spare_bytes, spare_count = (0 if may_lose else (one or 0) // SPARE for one in limit)
            key = (group, may_lose)
            for arrival, collection, id, body, is_relayed in self._rows(
                group, self._looked_at.get(key, FIRST_PIECE if group == ATTACHMENTS else 0), newest
            ):
                self._looked_at[key] = arrival
                if arrival in there:
                    continue
                may_go = self._evict(collection, id, body, may_lose)
                if may_go:
                    size = size_of(id, len(body))
                    there[arrival] = Leaving(collection, id, size, bool(is_relayed))
                    left_bytes -= size
                    left_count -= 1
                if left_bytes <= 0 >= left_count and (
                    not may_go or (left_bytes <= -spare_bytes and left_count <= -spare_count)
                ):
                    break
        self._leaving |= there
        return there if left_bytes <= 0 >= left_count else {}
