"""
One SQLite file that is ours, and errors in words for the person who runs the program.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_peer.core.errors import StorageError
from edge_peer.host.schema import APPLICATION_ID, VERSION, bring_up

DAMAGED = "SQLITE_CORRUPT"
# What to tell the person who runs the program, by how SQLite's name for it begins.
SENTENCES = {
    "SQLITE_BUSY": "another process has it open",
    "SQLITE_CANTOPEN": "it cannot be opened; does its folder exist?",
    DAMAGED: "the file is damaged",
    "SQLITE_CONSTRAINT_UNIQUE": "the file is damaged",  # an index knows other ids than its table
    "SQLITE_ERROR": "the file is damaged",  # in its schema: our statements are right
    "SQLITE_FULL": "the disk is full",
    "SQLITE_NOTADB": "the file holds something else",
    "SQLITE_READONLY": "the file is read-only",
}


_DECODING = "Could not decode to UTF-8"  # how the module's own error for text begins


class Damage(StorageError):
    """What was read is not what was written; other rows may be."""


class SqliteFile:
    def __init__(self, path: str | Path) -> None:
        """Connect; nothing is read yet. Raises StorageError with what is wrong."""
        self._path = path
        if os.path.exists(path) and not os.access(path, os.W_OK, effective_ids=True):
            raise StorageError(f"{path} is read-only")  # SQLite calls it an I/O error
        with self._naming_errors():
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)

    def close(self) -> None:
        self._db.close()

    def _open(self) -> None:
        """Lock the file; make its tables, or bring them up to this version."""
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        application = self._pragma("application_id")
        version = self._pragma("user_version")
        is_new = application == 0 and not self._rows("SELECT 1 FROM sqlite_master")
        if not is_new and application != APPLICATION_ID:
            raise StorageError(f"{self._path}: {SENTENCES['SQLITE_NOTADB']}")
        if version > VERSION:
            raise StorageError(f"{self._path}: it was written by a newer version")
        if self._pragma("journal_mode = WAL") != "wal":
            raise StorageError(f"{self._path}: this file system cannot hold it")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA trusted_schema = ON")  # indexes call a function of ours
        bring_up(self._db, 0 if is_new else version)
        self._db.execute("BEGIN IMMEDIATE")  # takes the lock, which stays
        self._db.execute("COMMIT")

    def _pragma(self, text: str) -> Any:
        return self._db.execute("PRAGMA " + text).fetchone()[0]

    def _rows(self, statement: str, *arguments: object) -> list[Any]:
        try:  # _naming_errors takes as long again as a look by id
            return self._db.execute(statement, arguments).fetchall()
        except UnicodeEncodeError:  # half a surrogate pair: no name, no id
            return []
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._named(error) from error

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._named(error) from error

    def _named(self, error: Exception) -> StorageError:
        name = getattr(error, "sqlite_errorname", "")
        if isinstance(error, UnicodeDecodeError) or str(error).startswith(_DECODING):
            name = DAMAGED  # the message of a decoding error quotes what it found
        sentences = [SENTENCES[start] for start in SENTENCES if name.startswith(start)]
        text = sentences[0] if sentences else str(error)
        return (Damage if name.startswith(DAMAGED) else StorageError)(f"{self._path}: {text}")
