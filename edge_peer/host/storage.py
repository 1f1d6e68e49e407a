"""
The log of a Linux peer: SQLite in WAL mode, every commit on disk before it returns.

    {"path": "store.db", "quota_bytes": 268435456, "documents_max": 1000000}

The same contract as core/log.py (tests/log_contract.py). One process at a time: the
file is locked while it is open, and the lock goes with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_peer.core.errors import ConfigError, StorageError, StoreFull
from edge_peer.core.log import COLLECTION_BYTES_MAX, ID_BYTES_MAX, META

if TYPE_CHECKING:
    from edge_peer.core.log import Put
    from edge_peer.core.store import BeforeErase, Evict

QUOTA_BYTES = 256 << 20
DOCUMENTS_MAX = 1_000_000
DOCUMENT_BYTES_MAX = 262_144
ROW_BYTES = 48  # what SQLite keeps of a document beside its id and body, about
FORMAT_VERSION = 1
APPLICATION_ID = 0x45505352  # "EPSR", see https://www.sqlite.org/fileformat2.html#application_id
CACHE_KIB = 8_192

SCHEMA = """
CREATE TABLE doc(collection TEXT, id TEXT, arrival INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY(collection, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX doc_arrival ON doc(arrival);
CREATE TABLE meta(id TEXT PRIMARY KEY, arrival INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
"""


def open_log(settings: dict[str, Any], evict: Evict, before_erase: BeforeErase) -> SqliteLog:
    """Raises ConfigError for settings that name no file, StorageError if it cannot be used."""
    path = settings.get("path")
    if not isinstance(path, str):
        raise ConfigError("storage needs the path of a file")
    quota_bytes = settings.get("quota_bytes", QUOTA_BYTES)
    document_count_max = settings.get("documents_max", DOCUMENTS_MAX)
    for value in (quota_bytes, document_count_max):
        if not isinstance(value, int) or value <= 0:
            raise ConfigError("quota_bytes and documents_max are whole numbers above 0")
    return SqliteLog(path, evict, before_erase, quota_bytes, document_count_max)


class SqliteLog:
    document_bytes_max = DOCUMENT_BYTES_MAX

    def __init__(
        self,
        path: str | Path,
        evict: Evict,
        before_erase: BeforeErase,
        quota_bytes: int = QUOTA_BYTES,
        document_count_max: int = DOCUMENTS_MAX,
    ) -> None:
        """Open the file, or make it. Raises StorageError if it is locked, newer or damaged."""
        self._path = path
        self._evict = evict
        self._before_erase = before_erase
        self._quota_bytes = quota_bytes
        self._document_count_max = document_count_max
        self._looked_at = 0  # arrival number: nothing up to it may go
        self._document_count = 0
        self._used_bytes = 0
        self.evicted_count = 0
        self.arrival_max = 0
        try:
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failure(error) from error
        try:
            self._open()
        except sqlite3.Error as error:
            self._db.close()
            raise self._failure(error) from error
        except StorageError:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    # Reading

    def get(self, collection: str, id: str) -> bytes | None:
        if collection == META:
            row = self._row("SELECT body FROM meta WHERE id = ?", id)
        else:
            row = self._row("SELECT body FROM doc WHERE collection = ? AND id = ?", collection, id)
        return None if row is None else row[0]

    def since(self, arrival: int, limit: int) -> list[Put]:
        return self._rows(
            "SELECT collection, id, arrival, body FROM doc"
            " WHERE arrival > ? ORDER BY arrival LIMIT ?",
            arrival,
            limit,
        )

    def scan(self, collection: str) -> Iterator[tuple[str, bytes]]:
        try:
            yield from self._db.execute(
                "SELECT id, body FROM doc WHERE collection = ?", (collection,)
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def collections(self) -> list[str]:
        return [row[0] for row in self._rows("SELECT DISTINCT collection FROM doc")]

    def status(self) -> dict[str, int]:
        return {
            "documents": self._document_count,
            "documents_max": self._document_count_max,
            "used_bytes": self._used_bytes,
            "quota_bytes": self._quota_bytes,
            "evicted": self.evicted_count,
            "damaged": 0,
        }

    # Writing

    def commit(self, puts: list[Put]) -> None:
        for put in puts:
            _check(put)
        before = (self._document_count, self._used_bytes, self.evicted_count)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for put in puts:
                self._put(put)
            self._keep_bounds(any(put[0] != META for put in puts))
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._document_count, self._used_bytes, self.evicted_count = before
            if isinstance(error, sqlite3.Error):
                raise self._failure(error) from error
            raise
        self.arrival_max = max([self.arrival_max] + [put[2] for put in puts])

    def evict_again(self) -> None:
        self._looked_at = 0

    def _put(self, put: Put) -> None:
        collection, id, arrival, body = put
        if collection == META:
            self._db.execute("REPLACE INTO meta VALUES (?, ?, ?)", (id, arrival, body))
            return
        old = self._row(
            "SELECT length(body) FROM doc WHERE collection = ? AND id = ?", collection, id
        )
        if old is None:
            self._document_count += 1
            self._used_bytes += _size(collection, id, len(body))
        else:
            self._used_bytes += len(body) - old[0]
        self._db.execute("REPLACE INTO doc VALUES (?, ?, ?, ?)", put)

    def _keep_bounds(self, adds_documents: bool) -> None:
        """Evict the oldest documents that may go until the quota holds, or raise StoreFull."""
        if not adds_documents or not self._is_above_quota():
            return
        looked_at = self._looked_at
        leaving_count = 0
        while self._is_above_quota():
            puts = self.since(looked_at, 1)
            if not puts:
                raise StoreFull("every document is still waiting for the Big Peer")
            collection, id, looked_at, body = puts[0]
            if self._evict(body):
                leaving_count += 1
                self._db.execute(
                    "DELETE FROM doc WHERE collection = ? AND id = ?", (collection, id)
                )
                self._document_count -= 1
                self._used_bytes -= _size(collection, id, len(body))
            elif not leaving_count:
                self._looked_at = looked_at  # stays true if this commit is refused
        for put in self._before_erase():
            self._put(put)
        self._looked_at = looked_at
        self.evicted_count += leaving_count

    def _is_above_quota(self) -> bool:
        return (
            self._used_bytes > self._quota_bytes or self._document_count > self._document_count_max
        )

    # SQLite

    def _open(self) -> None:
        # The first statement takes the lock, and keeps it: no other process gets in.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._db.execute("BEGIN IMMEDIATE")
        version, application = self._pragma("user_version"), self._pragma("application_id")
        if version > FORMAT_VERSION:
            raise StorageError(f"{self._path} was written by a newer version")
        if version == 0:
            if self._row("SELECT 1 FROM sqlite_master") is not None:
                raise StorageError(f"{self._path} is a database of something else")
            for statement in SCHEMA.strip().split(";")[:-1]:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        elif application != APPLICATION_ID:
            raise StorageError(f"{self._path} is a database of something else")
        self._db.execute("COMMIT")
        count, size, arrival = self._rows(
            "SELECT count(*), total(length(CAST(collection AS BLOB)) + length(CAST(id AS BLOB))"
            " + length(body)), max(arrival) FROM doc"
        )[0]
        self._document_count = count
        self._used_bytes = int(size) + count * ROW_BYTES
        newest = self._rows("SELECT max(arrival) FROM meta")[0][0]
        self.arrival_max = max(arrival or 0, newest or 0)

    def _pragma(self, name: str) -> int:
        row = self._row(f"PRAGMA {name}")
        return int(row[0]) if row else 0

    def _row(self, statement: str, *arguments: object) -> Any:
        try:
            return self._db.execute(statement, arguments).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _rows(self, statement: str, *arguments: object) -> list[Any]:
        try:
            return self._db.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> StorageError:
        text = str(error)
        if "locked" in text:
            text = "another process has it open"
        return StorageError(f"{self._path}: {text}")


def _check(put: Put) -> None:
    collection, id, _, body = put
    if len(collection.encode()) > COLLECTION_BYTES_MAX or len(id.encode()) > ID_BYTES_MAX:
        raise StorageError(
            f"a collection's name has at most {COLLECTION_BYTES_MAX} bytes, an id {ID_BYTES_MAX}"
        )
    if collection != META and len(body) > DOCUMENT_BYTES_MAX:
        raise StoreFull(f"a document of {len(body)} bytes, at most {DOCUMENT_BYTES_MAX}")


def _size(collection: str, id: str, body_size: int) -> int:
    return len(collection.encode()) + len(id.encode()) + body_size + ROW_BYTES
