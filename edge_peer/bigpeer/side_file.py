"""
A small SQLite file beside the store, mode 0600, for what is not a document.

Each statement is durable on return. A command beside a running Big Peer may open it, too:
what one of them writes counts for the other's next look. Where the documents are in PostgreSQL
these tables are there, too (side_tables.py): statements keep to SQL that both speak.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edge_peer.core.errors import StorageError

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database

Side = TypeVar("Side", bound="SideFile")

LOCK_WAIT_S = 2  # for the other process; its writes take milliseconds


def opened(kind: type[Side], path: Path, base: "Database | None") -> Side:
    """Open these tables: in a file, or where an app's documents are. Raises StorageError."""
    if base is None:
        return kind(path)
    from edge_peer.bigpeer.side_tables import SideTables

    return cast(Side, SideTables(base, kind))


class SideFile:
    application_id: int
    steps: Sequence[str]  # statements, with a semicolon between them; each a version further

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises StorageError with what is wrong."""
        self._path = path
        with self._naming_errors():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's own take its mode
            self._db = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
            try:
                self._bring_up()
            except BaseException:
                self._db.close()
                raise

    def rows(self, statement: str, *arguments: object) -> list[Any]:
        with self._naming_errors():
            return self._db.execute(statement, arguments).fetchall()

    def run(self, statement: str, *arguments: object) -> int:
        """Run one statement, durable on return; return how many rows it changed."""
        with self._naming_errors():
            return self._db.execute(statement, arguments).rowcount

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all statements of the block happen, or none."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def close(self) -> None:
        self._db.close()

    def _bring_up(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")  # one of two processes does it
        version = self._pragma("user_version")
        if version and self._pragma("application_id") != self.application_id:
            raise StorageError(f"{self._path} holds something else")
        if version > len(self.steps):
            raise StorageError(f"{self._path}: it was written by a newer version")
        for step in self.steps[version:]:
            for statement in step.split(";"):
                self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id = {self.application_id}")
        self._db.execute(f"PRAGMA user_version = {len(self.steps)}")
        self._db.execute("COMMIT")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"{self._path}: {error}") from error
