"""
The log of a host: what core/store/log.py is on flash, in one SQLite file.

    {"path": "store.db", "quota_bytes": 268435456, "documents_max": 1000000,
     "relayed": {"quota_bytes": 50000000, "documents_max": 100000},
     "attachments": {"quota_bytes": 268435456},
     "collections": {"readings": {"quota_bytes": 100000000, "policy": "drop-oldest"}}}

schema.py has the tables, reader.py reads them, eviction.py says who goes when it is
full, indexes.py finds documents by their fields. One commit is one transaction, on
disk before it returns (WAL, synchronous=FULL). One process at a time: the file is
locked while it is open, and the lock goes with the process.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_peer.core.errors import ConfigError, StorageError, StoreFull
from edge_peer.core.ids import COLLECTION_BYTES_MAX
from edge_peer.core.limits import ATTACHMENTS, HIDDEN, RELAYED, WHOLE, limits_of
from edge_peer.core.store.log import META
from edge_peer.host.changes import Changes
from edge_peer.host.eviction import FIRST_PIECE, Candidate, Eviction, Leaving
from edge_peer.host.indexes import Indexes, Look
from edge_peer.host.limited import DOCUMENTS_MAX, QUOTA_BYTES, LimitedLog
from edge_peer.host.reader import LOOK, Reader
from edge_peer.host.schema import crc_of, index_the_oldest, is_whole, oldest, quoted, size_of
from edge_peer.host.sqlite_file import Damage

if TYPE_CHECKING:
    from edge_peer.core.limits import Limits
    from edge_peer.core.query.expression import Node
    from edge_peer.core.store.log import Evict, Put
    from edge_peer.core.store.store import BeforeErase

LIMITED_COUNT_MAX = 64  # collections with limits: each has an index of its own
MANY = 8  # puts of which it pays to try them all at once

INSERT = "INSERT INTO doc VALUES (?, ?, ?, ?, ?, ?)"
INSERT_NEW = INSERT + " ON CONFLICT (collection, id) DO NOTHING"
CHANGE = "UPDATE doc SET arrival = ?, relayed = ?, body = ?, crc = ? WHERE arrival = ?"


def open_log(settings: dict[str, Any], evict: Evict, before_erase: BeforeErase) -> SqliteLog:
    """Raises ConfigError for settings that are wrong, StorageError if the file cannot be used."""
    path = settings.get("path")
    if not isinstance(path, str):
        raise ConfigError("storage needs the path of a file")
    limits = limits_of(settings)
    quota_bytes, documents_max = limits[WHOLE]
    limits[WHOLE] = (quota_bytes or QUOTA_BYTES, documents_max or DOCUMENTS_MAX)
    for name in limits:
        if len(name.encode()) > COLLECTION_BYTES_MAX or "\0" in name:
            raise ConfigError(f"storage.collections.{name} is no name of a collection")
    if len(limits) > LIMITED_COUNT_MAX:
        raise ConfigError(f"storage.collections has more than {LIMITED_COUNT_MAX} members")
    return SqliteLog(path, limits, evict, before_erase)


class SqliteLog(Reader, LimitedLog):
    """The docstrings of FlashLog are the contract (tests/log_contract.py)."""

    authors_max = 65_536
    commit_bytes_max = 16 << 20  # what is written at once is in memory
    has_indexes = True

    def __init__(
        self, path: str | Path, limits: Limits, evict: Evict, before_erase: BeforeErase
    ) -> None:
        """Open the file, or make it, and lock it. Raises StorageError with what is wrong.

        limits: see core/limits.py; for the whole store there are defaults.
        """
        self._bound(limits, before_erase)
        Reader.__init__(self, path)
        self._eviction = Eviction(self._oldest_first, evict)
        self._indexes = Indexes(self._db)
        try:
            with self._naming_errors():
                self._open()
                self._load()
        except StorageError:
            self._db.close()
            raise

    @property
    def connection(self) -> sqlite3.Connection:
        """For tables beside ours, between two commits (bigpeer/history.py)."""
        return self._db

    # Writing

    def commit(self, puts: list[Put], relayed: Iterable[int] = ()) -> None:
        """Store all of these or none; on disk on return.

        relayed: the arrivals of those that are carried only for others. Raises
        StoreFull, with nothing changed, if they do not fit, and StorageError if the
        disk fails or is full; then nothing is stored.
        """
        for put in puts:
            self._check(put)
        if puts:
            self._transact(lambda changes: self._write(changes, puts, frozenset(relayed)))

    def _transact(self, write: Callable[[Changes], None]) -> None:
        try:
            self._attempt(write)
        except Damage:
            if not self._mend():
                raise
            self._attempt(write)

    def _attempt(self, write: Callable[[Changes], None]) -> None:
        changes = Changes(self.arrival_max)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            write(changes)
            counted_at = self._totals.write(changes)
            self._db.execute("COMMIT")
        except BaseException as error:
            self._last_read = None
            with suppress(sqlite3.Error):  # some errors have rolled back already
                self._db.execute("ROLLBACK")
            if isinstance(error, StoreFull):
                self._eviction.have_stayed(changes.gone)
            else:
                self._eviction.again()
            if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
                raise self._named(error) from error
            raise
        self._last_read = None
        self._totals.take(changes, counted_at)
        self._damaged -= changes.gone
        self.arrival_max = changes.arrival_max
        self.evicted_count += len(changes.evicted)
        if self.on_gone is not None:
            for key in changes.evicted:
                self.on_gone(key)
        self._eviction.have_gone(changes.gone)

    def _write(self, changes: Changes, puts: list[Put], relayed: frozenset[int]) -> None:
        done = self._insert(changes, puts, relayed) if len(puts) >= MANY else 0
        for put in puts[done:]:
            self._put(changes, put, put[2] in relayed)
        self._keep_limits(changes)

    def _insert(self, changes: Changes, puts: list[Put], relayed: frozenset[int]) -> int:
        """Insert from the first on all at once, up to one that is not new; return how many."""
        news = itertools.takewhile(lambda put: put[0] != META and put[0] not in HIDDEN, puts)
        rows = [
            (arrival, name, id, body, arrival in relayed, crc_of(name, id, arrival, body))
            for name, id, arrival, body in news
        ]
        before = self._db.total_changes
        with suppress(sqlite3.IntegrityError):
            self._db.executemany(INSERT, rows)
        count = self._db.total_changes - before
        sums: dict[tuple[str, bool], tuple[int, int]] = {}
        for arrival, name, id, body, is_relayed, _ in rows[:count]:
            documents, size = sums.get((name, is_relayed), (0, 0))
            sums[name, is_relayed] = (documents + 1, size + size_of(id, len(body)))
            changes.arrival_max = max(changes.arrival_max, arrival)
        for (name, is_relayed), (documents, size) in sums.items():
            changes.count(name, is_relayed, documents, size)
        return count

    def _put(self, changes: Changes, put: Put, is_relayed: bool) -> None:
        collection, id, arrival, body = put
        changes.arrival_max = max(changes.arrival_max, arrival)
        if collection == META:
            row = (id, body, crc_of(META, id, 0, body))
            self._db.execute("REPLACE INTO entry VALUES (?, ?, ?)", row)
            changes.has_entries = True
            return
        if collection in HIDDEN:
            self._piece_arrival += 1
            arrival = self._piece_arrival
            changes.has_entries = True
        last, self._last_read = self._last_read, None
        old = last[2] if last is not None and last[:2] == (collection, id) else None
        crc = crc_of(collection, id, arrival, body)
        if old is None:
            put_row = (arrival, collection, id, body, is_relayed, crc)
            if not self._db.execute(INSERT_NEW, put_row).rowcount:
                old = self._db.execute(LOOK, (collection, id)).fetchone()
        if old is not None:
            self._db.execute(CHANGE, (arrival, is_relayed, body, crc, old[0]))
            old_size = len(old[2]) if isinstance(old[2], bytes) else 0  # else damaged
            changes.count(collection, bool(old[1]), -1, -size_of(id, old_size))
            changes.gone.add(old[0])
        changes.count(collection, is_relayed, 1, size_of(id, len(body)))

    def _found(self, keys: list[tuple[str, str]]) -> dict[int, Leaving]:
        found = {}
        for collection, id in keys:
            for arrival, body_size, is_relayed in self._db.execute(
                "SELECT arrival, length(body), relayed FROM doc WHERE collection = ? AND id = ?",
                (collection, id),
            ):
                size = size_of(id, body_size or 0)
                found[arrival] = Leaving(collection, id, size, bool(is_relayed))
        return found

    def _remove(self, changes: Changes, documents: dict[int, Leaving]) -> None:
        self._db.executemany("DELETE FROM doc WHERE arrival = ?", [(one,) for one in documents])
        for document in documents.values():
            changes.count(document.collection, document.is_relayed, -1, -document.bytes)
        changes.gone.update(documents)

    def _oldest_first(self, group: str, above: int, newest: int) -> Iterator[Candidate]:
        if group == WHOLE:
            of_group = "doc WHERE"
        elif group == ATTACHMENTS:
            of_group, newest = "doc WHERE", -1
        elif group == RELAYED:
            of_group = "doc INDEXED BY relayed WHERE relayed = 1 AND"
        else:
            of_group = f"doc INDEXED BY {oldest(group)} WHERE collection = {quoted(group)} AND"
        for *row, crc in self._db.execute(
            f"SELECT arrival, collection, id, body, relayed, crc FROM {of_group}"
            " arrival > ? AND arrival <= ? ORDER BY arrival",
            (above, newest),
        ):
            if is_whole(row[1], row[2], row[0], row[3], crc):  # damage is nobody's to let go
                yield Candidate(*row)

    # Indexes

    def create_index(
        self, name: str, collection: str, paths: list[str], if_not_exists: bool = False
    ) -> None:
        """Make an index over fields (a path: names joined by NUL), or nothing of it.

        It reads every document of the collection, about a second for 100,000, and
        nothing else happens meanwhile. Raises QueryError for an index that cannot be.
        """
        with self._naming_errors():
            self._indexes.create(name, collection, paths, if_not_exists)

    def drop_index(self, name: str, collection: str) -> None:
        """Raises QueryError if there is no such index."""
        with self._naming_errors():
            self._indexes.drop(name, collection)

    def indexes(self) -> list[tuple[str, str, list[str]]]:
        """Return (name, collection, paths) of each, by collection and name."""
        return self._indexes.all()

    def candidates(
        self, collection: str, where: Node | None, arguments: dict[str, Any]
    ) -> Iterator[tuple[str, bytes]] | None:
        """Yield (id, body) of at least what matches, each once, in no order; None: no index helps.

        where: a tree of core/query/expression.py. Commits meanwhile do no harm.
        """
        look = self._indexes.look(collection, where, arguments)
        return None if look is None else self._found_by(collection, look)

    def plan(self, collection: str, where: Node | None, arguments: dict[str, Any]) -> str:
        """Say how candidates are found: a line for a person, and SQLite's own."""
        look = self._indexes.look(collection, where, arguments)
        if look is None:
            count = self.totals(collection)[0]
            text = f"no index: all {count} documents of {collection} are looked at"
            look = Look("FROM doc WHERE collection = ? ORDER BY id", [collection], text)
        rows = self._rows(f"EXPLAIN QUERY PLAN SELECT id, body {look.source}", *look.keys)
        return "\n".join([look.text, *[row[3] for row in rows]])

    def _load(self) -> None:
        self._check_entries()
        limited = [one for one in self.limits if self.limits[one] != (None, None)]
        index_the_oldest(
            self._db, [one for one in limited if one not in (WHOLE, RELAYED, ATTACHMENTS)]
        )
        self._indexes.load()
        newest = self._rows("SELECT max(arrival) FROM doc WHERE arrival < 0")[0][0]
        self._piece_arrival = newest or FIRST_PIECE
        self.arrival_max = self._totals.load()
