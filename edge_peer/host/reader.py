"""
What a host's store reads: documents as they were written, and none that is damaged.

A row whose crc (schema.py) does not fit is passed over and counted, as if it were not
there. Where SQLite cannot go on, or an index has led to such a row, all indexes are made
anew, once. If that did not help, nothing in the file is trusted any more to lead to the
other rows: each is looked for by its arrival, which the table and its index have
independently, and those that are whole are given. Only a damaged store pays for that.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from edge_peer.core.errors import FormatError, StorageError
from edge_peer.core.limits import HIDDEN, WHOLE
from edge_peer.core.store.log import META
from edge_peer.host.changes import NAMELESS
from edge_peer.host.schema import crc_start, is_whole
from edge_peer.host.sqlite_file import Damage, SqliteFile
from edge_peer.host.totals import Totals

if TYPE_CHECKING:
    from edge_peer.core.store.log import Keep, Put
    from edge_peer.host.indexes import Look

    Row = tuple[int, int, bytes]  # arrival, relayed, body
    Found = tuple[str, bytes]  # id, body

SCAN_COUNT = 64  # documents in memory at a time
FOUND_COUNT = 256  # of what an index finds, at first
FOUND_BYTES = 1 << 20
DAMAGED_COUNT_MAX = 1024  # rows of which we remember that they are damaged
NO_ARRIVAL = 0  # stands for rows of which we know no more than that there may be some

LOOK = "SELECT arrival, relayed, body, crc FROM doc WHERE collection = ? AND id = ?"
# Two lists of all arrivals, neither of which is in the pages of the other.
_LISTS = ("NOT INDEXED", "INDEXED BY sqlite_autoindex_doc_1")


class Reader(SqliteFile):
    """The docstrings of FlashLog are the contract (tests/log_contract.py)."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.arrival_max = 0
        self._totals = Totals(self._db)
        self._damaged: set[int] = set()  # arrivals
        self._is_cut = False  # an index lacks documents, without a trace
        self._is_mended = False
        # What get() found last: a write looks twice at what it changes, then changes it.
        self._last_read: tuple[str, str, Row | None] | None = None

    def get(self, collection: str, id: str) -> bytes | None:
        """Raises StorageError for an entry of the store's own that is damaged."""
        if collection == META:
            return self._entry(id)
        last = self._last_read
        if last is None or last[1] != id or last[0] != collection:
            rows = self._looked_up(collection, id)
            row: Row | None = None
            if rows:
                arrival, relayed, body, crc = rows[0]
                if self._is_whole(collection, id, arrival, body, crc):
                    row = (arrival, relayed, body)
            last = self._last_read = (collection, id, row)
        return None if last[2] is None else last[2][2]

    def since(self, arrival: int, limit: int) -> list[Put]:
        puts = []
        try:
            rows = self._rows(
                "SELECT collection, id, arrival, body, crc FROM doc"
                " WHERE arrival > ? ORDER BY arrival LIMIT ?",
                arrival,
                limit,
            )
            puts = [row[:4] for row in rows if self._is_whole(*row)]
        except Damage:
            is_whole = False
        else:
            is_whole = len(puts) == len(rows) and _goes_on(arrival, [put[2] for put in puts])
        if not is_whole:
            arrivals = sorted(self._arrivals("arrival > ?", arrival))
            puts = list(itertools.islice(self._each(arrivals), limit))
        return puts

    def scan(self, collection: str, keep: Keep | None = None) -> Iterator[Found]:
        """In the order of ids; commits meanwhile do no harm."""
        last = ""
        count, newest = 0, self.arrival_max
        while not self._is_cut:
            try:
                rows = self._rows(
                    "SELECT arrival, id, body, crc FROM doc"
                    " WHERE collection = ? AND id > ? ORDER BY id LIMIT ?",
                    collection,
                    last,
                    SCAN_COUNT,
                )
            except Damage:
                kept, whole = [()], []
            else:
                kept = rows if keep is None else _kept(rows, keep)
                whole = self._whole(collection, kept)
            if len(whole) < len(kept) or not _goes_on(last, [row[1] for row in rows]):
                if self._mend():
                    continue
                break
            yield from whole
            count += len(rows)
            last = rows[-1][1] if rows else last
            if len(rows) < SCAN_COUNT:
                is_counted = collection not in NAMELESS and newest == self.arrival_max
                if not is_counted or count >= self.totals(collection)[0]:
                    return
                self._note_damage(NO_ARRIVAL)
                self._is_cut = not self._mend()
        for id, body in self._past_damage(collection, last):
            if keep is None or keep(body):
                yield id, body

    def collections(self) -> list[str]:
        names: list[str] = []
        while True:  # one look at the index each, not one per document
            last = names[-1] if names else META
            row = self._rows("SELECT min(collection) FROM doc WHERE collection > ?", last)[0]
            if row[0] is None:
                return [name for name in names if name not in HIDDEN]
            names.append(row[0])

    def entries(self) -> list[str]:
        """Return the ids of the store's own entries."""
        return [row[0] for row in self._rows("SELECT id FROM entry ORDER BY id")]

    def document_count(self) -> int:
        return self.totals(WHOLE)[0]

    def totals(self, group: str) -> tuple[int, int]:
        """Return how many documents a group has, and their bytes."""
        return self._totals.of(group)

    def _found_by(self, collection: str, look: Look) -> Iterator[Found]:
        """At most some in memory at once, but the ids of all if they are more than that."""
        seen: set[str] = set()
        try:
            first, is_all = self._first_found(collection, look)
            seen.update(id for id, _ in first)
            yield from first
            if is_all:
                return
            ids = [row[0] for row in self._rows(f"SELECT id {look.source}", *look.keys)]
            ids = [id for id in ids if id not in seen]
            for start in range(0, len(ids), SCAN_COUNT):
                some = ids[start : start + SCAN_COUNT]
                rows = self._rows(
                    "SELECT arrival, id, body, crc FROM doc WHERE collection = ?"
                    f" AND id IN ({', '.join('?' * len(some))})",
                    collection,
                    *some,
                )
                seen.update(some)
                yield from self._whole(collection, rows)
        except Damage:  # then all documents are candidates
            yield from (row for row in self.scan(collection) if row[0] not in seen)

    def _first_found(self, collection: str, look: Look) -> tuple[list[Found], bool]:
        """Return the first that are found, and whether these are all."""
        rows: list[Any] = []
        size = 0
        with self._naming_errors():
            found = self._db.execute(f"SELECT arrival, id, body, crc {look.source}", look.keys)
            while some := found.fetchmany(SCAN_COUNT):
                rows += some
                size += sum(len(row[2]) for row in some if isinstance(row[2], bytes))
                if len(rows) >= FOUND_COUNT or size > FOUND_BYTES:
                    return self._whole(collection, rows), False
        return self._whole(collection, rows), True

    def _looked_up(self, collection: str, id: str) -> list[Any]:
        try:
            return self._rows(LOOK, collection, id)
        except Damage:
            if not self._mend():
                raise
            return self._rows(LOOK, collection, id)

    # Damage

    def _mend(self) -> bool:
        """Make all indexes anew from the table, once; return whether that was done.

        It mends what is in them, and not a page that is none any more.
        """
        if self._is_mended:
            return False
        self._is_mended = True
        try:
            with self._naming_errors():
                self._db.execute("REINDEX")
        except StorageError:
            return False
        return True

    def _entry(self, id: str) -> bytes | None:
        rows = self._rows("SELECT body, crc FROM entry WHERE id = ?", id)
        if rows and not is_whole(META, id, 0, *rows[0]):
            raise Damage(f"{self._path}: the store's own entry {id} is damaged")
        return rows[0][0] if rows else None

    def _check_entries(self) -> None:
        """All of them, as one under a wrong name would not be missed."""
        for id, body, crc in self._rows("SELECT id, body, crc FROM entry"):
            if not is_whole(META, id, 0, body, crc):
                raise Damage(f"{self._path}: the store's own entries are damaged")

    def _whole(self, collection: str, rows: list[Any]) -> list[Found]:
        """Return those of (arrival, id, body, crc) that are whole; as fast as may be."""
        if not rows:
            return []
        start = crc_start(collection)
        try:
            whole = [
                (id, body)
                for arrival, id, body, crc in rows
                if crc32(id.encode() + body, start ^ arrival) == crc
            ]
        except (AttributeError, TypeError):  # values of other types
            whole = []
        if len(whole) < len(rows):
            whole = [
                (id, body)
                for arrival, id, body, crc in rows
                if self._is_whole(collection, id, arrival, body, crc)
            ]
        return whole

    def _is_whole(self, collection: str, id: str, arrival: int, body: Any, crc: int) -> bool:
        if is_whole(collection, id, arrival, body, crc):
            return True
        self._note_damage(arrival)
        return False

    def _note_damage(self, arrival: int) -> None:
        if len(self._damaged) < DAMAGED_COUNT_MAX:
            self._damaged.add(arrival)

    def _past_damage(self, collection: str, last: str) -> Iterator[Found]:
        """What scan() yields above the id `last`, whatever of the file is damaged."""
        arrivals = {
            id: arrival
            for name, id, arrival, _ in self._each(self._arrivals("collection = ?", collection))
            if name == collection and id > last
        }
        for id in sorted(arrivals):
            try:
                body = self.get(collection, id)  # where it is now
            except Damage:
                body = None
            if body is not None:
                yield id, body
                continue
            for put in self._each([arrivals[id]]):
                yield id, put[3]

    def _arrivals(self, condition: str, argument: str | int) -> set[int]:
        """Return those of which there is any trace."""
        found = set()
        for source in _LISTS:
            try:
                for row in self._db.execute(
                    f"SELECT arrival FROM doc {source} WHERE {condition}", (argument,)
                ):
                    found.add(row[0])
            except sqlite3.Error:
                self._note_damage(NO_ARRIVAL)
        return found

    def _each(self, arrivals: Iterable[int]) -> Iterator[Put]:
        """Yield the rows that are whole; note the others."""
        for arrival in arrivals:
            try:
                rows = self._rows(
                    "SELECT collection, id, arrival, body, crc FROM doc WHERE arrival = ?", arrival
                )
            except StorageError:
                rows = []
            if not rows:
                self._note_damage(arrival)
            elif self._is_whole(*rows[0]):
                yield rows[0][:4]


def _kept(rows: list[Any], keep: Keep) -> list[Any]:
    """Return those of (arrival, id, body, crc) that keep(body) takes, and of damaged ones any."""
    try:
        return [row for row in rows if keep(row[2])]
    except (FormatError, ValueError, IndexError, TypeError, AttributeError):
        return rows


def _goes_on(last: Any, found: list[Any]) -> bool:
    """Return whether what was found leads on, and not round in circles."""
    try:
        return not found or last < found[0] <= found[-1]
    except TypeError:
        return False
