"""
Who was linked to this Big Peer when, and what its links did. DATA/sightings.db.

Every LOOK_S the open links are compared with those of the look before. What has come or
gone is a line of the device's log; when each was linked last is written every SAVE_S, so
after a kill it is at most so old. What devices behind a relay have written is not seen
here: their reports say when.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from edge_peer.bigpeer.side_file import SideFile
from edge_peer.core.errors import StorageError
from edge_peer.host import system
from edge_peer.peer import Links

LOOK_S = 10
SAVE_S = 60
DEVICE_COUNT_MAX = 65_536  # the one that was seen longest ago goes
EVENT_COUNT_MAX = 100_000  # of all devices together; the oldest go
EVENTS_SHOWN_COUNT = 50
TEXT_CHARS_MAX = 200

LINKED, GONE = "linked", "gone"


class SightingFile(SideFile):
    application_id = 0x45505347  # "EPSG"
    steps = (
        """
        CREATE TABLE seen (author BLOB PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE INDEX seen_at ON seen (at_ms);
        CREATE TABLE event (
            number INTEGER PRIMARY KEY, author BLOB NOT NULL, at_ms INTEGER NOT NULL,
            what TEXT NOT NULL, medium TEXT NOT NULL
        ) STRICT;
        CREATE INDEX event_of ON event (author, number);
        """,
    )


class Event(NamedTuple):
    at_ms: int
    what: str  # LINKED or GONE
    medium: str


class Sightings:
    def __init__(self, links: Links, wall_ms: Callable[[], int], file: SightingFile) -> None:
        self._links = links
        self._wall_ms = wall_ms
        self._file = file
        self._before: set[tuple[bytes, str]] = set()
        self._since_save = 0

    def linked(self) -> set[bytes]:
        """Return the authors that are linked here now."""
        return {author for author, _ in self._pairs()}

    def seen_ms(self, author: bytes) -> int | None:
        """Return when it was linked last, to SAVE_S exactly; None for one that never was."""
        rows = self._file.rows("SELECT at_ms FROM seen WHERE author = ?", author)
        return rows[0][0] if rows else None

    def events(self, author: bytes) -> list[Event]:
        """Return what its links did, the newest first."""
        rows = self._file.rows(
            "SELECT at_ms, what, medium FROM event WHERE author = ? ORDER BY number DESC LIMIT ?",
            author,
            EVENTS_SHOWN_COUNT,
        )
        return [Event(*row) for row in rows]

    async def run(self) -> None:
        while True:
            try:
                self.look()
            except StorageError as error:  # a full disk: readings go first
                system.log(f"sightings: {error}")
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Note what has come and gone since the last look, and who is linked now."""
        now = self._pairs()
        changes = [(LINKED, *pair) for pair in sorted(now - self._before)]
        changes += [(GONE, *pair) for pair in sorted(self._before - now)]
        self._since_save += LOOK_S
        if changes or self._since_save >= SAVE_S:
            seen = now if self._since_save >= SAVE_S else {pair[1:] for pair in changes}
            self._save({author for author, _ in seen}, changes)
        self._before = now

    def close(self) -> None:
        """Keep who is linked to the end."""
        self._save({author for author, _ in self._before}, ())
        self._file.close()

    def _pairs(self) -> set[tuple[bytes, str]]:
        return {
            (pump.session.neighbour, pump.session.medium.name)
            for pump in self._links.pumps
            if pump.session.neighbour  # which a link has as soon as it is open
        }

    def _save(self, seen: Iterable[bytes], changes: Iterable[tuple[str, bytes, str]]) -> None:
        now_ms = self._wall_ms()
        run = self._file.run
        with self._file.together():
            for author in seen:
                run(
                    "INSERT INTO seen VALUES (?, ?)"
                    " ON CONFLICT (author) DO UPDATE SET at_ms = excluded.at_ms",
                    author,
                    now_ms,
                )
            for what, author, medium in changes:
                run(
                    "INSERT INTO event (author, at_ms, what, medium) VALUES (?, ?, ?, ?)",
                    author, now_ms, what, medium,
                )  # fmt: skip
            run(
                "DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - ?",
                EVENT_COUNT_MAX,
            )
            run(
                "DELETE FROM seen WHERE author IN (SELECT author FROM seen"
                " ORDER BY at_ms DESC LIMIT -1 OFFSET ?)",
                DEVICE_COUNT_MAX,
            )
        self._since_save = 0
