"""
What documents were before their last changes: the retained log of a store in SQLite.

    history  arrival of the change | collection | id | body before it
    history_floor    one row: changes up to this arrival are not retained

A trigger of the file writes it, in the transaction of the change itself, so no kill comes
between the two. Only updates and deletes have a row: an INSERT of something new costs
nothing. Nothing is written while nobody wants old values.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_peer.core.errors import StorageError

CHANGE_COUNT_MAX = 100_000  # retained
BYTES_MAX = 256 << 20  # of the bodies together
PRUNE_COUNT = 5_000  # changes between two looks at whether that is too much, 20 ms each

_TABLES = """
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS history (
        arrival INTEGER PRIMARY KEY, collection TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS history_of ON history (collection, id, arrival);
    CREATE TABLE IF NOT EXISTS history_floor (arrival INTEGER NOT NULL);
    INSERT INTO history_floor SELECT max(0, ifnull(max(arrival), 0)) FROM doc;
    CREATE TRIGGER history_is_kept AFTER UPDATE OF body ON doc WHEN OLD.arrival > 0
        BEGIN INSERT INTO history VALUES (NEW.arrival, OLD.collection, OLD.id, OLD.body); END;
    COMMIT;
"""
_NONE = """
    BEGIN IMMEDIATE;
    DROP TRIGGER IF EXISTS history_is_kept;
    DROP TABLE IF EXISTS history;
    DROP TABLE IF EXISTS history_floor;
    COMMIT;
"""


class History:
    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """db: the store's own connection, path: its file."""
        self._db = db
        self._path = path
        self._pruned_at = 0
        self.is_kept = bool(self._rows("SELECT 1 FROM sqlite_master WHERE name = 'history'"))

    def keep(self, is_wanted: bool) -> None:
        """Begin to retain changes, or forget them all."""
        if is_wanted != self.is_kept:
            with self._naming_errors():
                self._db.executescript(_TABLES if is_wanted else _NONE)
            self.is_kept = is_wanted

    def floor(self) -> int:
        """Return up to which arrival nothing is known of what was before."""
        arrival: int = self._rows("SELECT arrival FROM history_floor")[0][0]
        return arrival

    def before(self, collection: str, id: str, arrival: int) -> bytes | None:
        """Return what a document was at that arrival; None where it has not changed since.

        That it has not changed may also mean that it was not there.
        """
        sql = (
            "SELECT body FROM history WHERE collection = ? AND id = ? AND arrival > ?"
            " ORDER BY arrival LIMIT 1"
        )
        rows = self._rows(sql, collection, id, arrival)
        body: bytes | None = rows[0][0] if rows else None
        return body

    def prune(self, arrival: int) -> None:
        """Let the oldest go, where there is too much; arrival: the newest."""
        if not self.is_kept or arrival < self._pruned_at + PRUNE_COUNT:
            return
        self._pruned_at = arrival
        floor = self._place_from_end(CHANGE_COUNT_MAX)
        ((count, size),) = self._rows("SELECT count(*), total(length(body)) FROM history")
        if size > BYTES_MAX:
            floor = max(floor, self._place_from_end(count // 2))
        if floor:
            with self._naming_errors():
                self._db.executescript(
                    f"BEGIN IMMEDIATE; DELETE FROM history WHERE arrival <= {floor:d};"
                    f" UPDATE history_floor SET arrival = {floor:d}; COMMIT;"
                )

    def _place_from_end(self, count: int) -> int:
        """Return the arrival of the change that has `count` newer ones, 0 where none has."""
        sql = "SELECT arrival FROM history ORDER BY arrival DESC LIMIT 1 OFFSET ?"
        rows = self._rows(sql, count)
        return rows[0][0] if rows else 0

    def _rows(self, sql: str, *arguments: object) -> list[Any]:
        with self._naming_errors():
            return self._db.execute(sql, arguments).fetchall()

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: {error}") from error
