"""
The log of a host: what core/log.py is on flash, in one SQLite file.

    {"path": "store.db", "quota_bytes": 268435456, "documents_max": 1000000}

    doc     arrival INTEGER PRIMARY KEY | collection | id | body    the documents
    entry   id | body                                               the store's own ("meta")
    total   documents | bytes | arrival_max                         one row, about both

Documents lie in the order of arrival: new ones go to the table's end, old ones leave
at its beginning, and `since` reads straight on. One commit is one transaction,
on disk before it returns (WAL, synchronous=FULL). One process at a time: the file is
locked while it is open, and the lock goes with the process. PRAGMA user_version is
the version of this layout.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_peer.core.errors import ConfigError, StorageError, StoreFull
from edge_peer.core.log import COLLECTION_BYTES_MAX, ID_BYTES_MAX, META

if TYPE_CHECKING:
    from edge_peer.core.log import Evict, Put
    from edge_peer.core.store import BeforeErase

APPLICATION_ID = 0x45504C31  # "EPL1"; https://www.sqlite.org/fileformat2.html#application_id
VERSION = 1
QUOTA_BYTES = 256 << 20
DOCUMENTS_MAX = 1_000_000
DOCUMENT_BYTES_MAX = 262_144
OVERHEAD_BYTES = 64  # of a document's row and index entry beside its id and body, about
SPARE = 1024  # eviction goes on until this part of the quota is free, so it is rare
SCAN_COUNT = 64  # documents in memory at a time

SCHEMA = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE doc (
        arrival INTEGER PRIMARY KEY,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (collection, id)
    );
    CREATE TABLE entry (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE total (documents INTEGER, bytes INTEGER, arrival_max INTEGER);
    INSERT INTO total VALUES (0, 0, 0);
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {VERSION};
    COMMIT;
"""

INSERT = "INSERT INTO doc VALUES (?, ?, ?, ?) ON CONFLICT (collection, id) DO NOTHING"

# What to tell the person who runs the program, by how SQLite's name for it begins.
SENTENCES = {
    "SQLITE_BUSY": "another process has it open",
    "SQLITE_CANTOPEN": "it cannot be opened; does its folder exist?",
    "SQLITE_CORRUPT": "the file is damaged",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_NOTADB": "the file holds something else",
    "SQLITE_READONLY": "the file is read-only",
}


def open_log(settings: dict[str, Any], evict: Evict, before_erase: BeforeErase) -> SqliteLog:
    """Raises ConfigError for settings that are wrong, StorageError if the file cannot be used."""
    path = settings.get("path")
    if not isinstance(path, str):
        raise ConfigError("storage needs the path of a file")
    quota_bytes = settings.get("quota_bytes", QUOTA_BYTES)
    document_count_max = settings.get("documents_max", DOCUMENTS_MAX)
    for number in (quota_bytes, document_count_max):
        if not isinstance(number, int) or number <= 0:
            raise ConfigError("quota_bytes and documents_max are whole numbers above 0")
    return SqliteLog(path, evict, before_erase, quota_bytes, document_count_max)


class SqliteLog:
    """The docstrings of FlashLog are the contract (tests/log_contract.py)."""

    authors_max = 65_536

    def __init__(
        self,
        path: str | Path,
        evict: Evict,
        before_erase: BeforeErase,
        quota_bytes: int = QUOTA_BYTES,
        document_count_max: int = DOCUMENTS_MAX,
    ) -> None:
        """Open the file, or make it, and lock it. Raises StorageError with what is wrong."""
        self.quota_bytes = quota_bytes
        self.document_bytes_max = min(DOCUMENT_BYTES_MAX, quota_bytes // 8)
        self.evicted_count = 0
        self._path = path
        self._evict = evict
        self._before_erase = before_erase
        self._document_count_max = document_count_max
        self._document_count = 0
        self._document_bytes = 0
        self.arrival_max = 0
        self._looked_at = 0  # arrival number: nothing up to it may go,
        self._leaving: dict[int, int] = {}  # but these: arrival -> bytes
        if os.path.exists(path) and not os.access(path, os.W_OK, effective_ids=True):
            raise StorageError(f"{path} is read-only")  # SQLite calls it an I/O error
        with self._naming_errors():
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            with self._naming_errors():
                self._open()
        except StorageError:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    # Reading

    def get(self, collection: str, id: str) -> bytes | None:
        if collection == META:
            rows = self._rows("SELECT body FROM entry WHERE id = ?", id)
        else:
            rows = self._rows(
                "SELECT body FROM doc WHERE collection = ? AND id = ?", collection, id
            )
        return rows[0][0] if rows else None

    def since(self, arrival: int, limit: int) -> list[Put]:
        return self._rows(
            "SELECT collection, id, arrival, body FROM doc"
            " WHERE arrival > ? ORDER BY arrival LIMIT ?",
            arrival,
            limit,
        )

    def scan(self, collection: str) -> Iterator[tuple[str, bytes]]:
        """In the order of ids; commits meanwhile do no harm."""
        last = ""
        while True:
            rows = self._rows(
                "SELECT id, body FROM doc WHERE collection = ? AND id > ? ORDER BY id LIMIT ?",
                collection,
                last,
                SCAN_COUNT,
            )
            yield from rows
            if len(rows) < SCAN_COUNT:
                return
            last = rows[-1][0]

    def collections(self) -> list[str]:
        names: list[str] = []
        while True:  # one look at the index each, not one per document
            last = names[-1] if names else META
            row = self._rows("SELECT min(collection) FROM doc WHERE collection > ?", last)[0]
            if row[0] is None:
                return names
            names.append(row[0])

    def document_count(self) -> int:
        return self._document_count

    def status(self) -> dict[str, int]:
        return {
            "documents": self._document_count,
            "documents_max": self._document_count_max,
            "used_bytes": self._document_bytes,
            "quota_bytes": self.quota_bytes,
            "evicted": self.evicted_count,
            "damaged": 0,
        }

    # Writing

    def commit(self, puts: list[Put], relayed: Iterable[int] = ()) -> None:
        """Store all of these or none; on disk on return.

        Raises StoreFull, with nothing changed, if they do not fit, and StorageError if the
        disk fails or is full; then nothing is stored.
        """
        if not puts:
            return
        for put in puts:
            self._check(put)
        before = (self._document_count, self._document_bytes, self.arrival_max, self._leaving)
        self._leaving = dict(self._leaving)
        with self._naming_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._write(puts)
                self._db.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):  # some errors have rolled back already
                    self._db.execute("ROLLBACK")
                self._document_count, self._document_bytes, self.arrival_max, leaving = before
                self._leaving.update(leaving)
                if not isinstance(error, StoreFull):
                    self.evict_again()
                raise

    def evict_again(self) -> None:
        self._looked_at = 0
        self._leaving = {}

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

    def _write(self, puts: list[Put]) -> None:
        newest = self.arrival_max
        for put in puts:
            self._put(put)
        if any(put[0] != META for put in puts):
            self._keep_bounds(newest)
        self._db.execute(
            "UPDATE total SET documents = ?, bytes = ?, arrival_max = ?",
            (self._document_count, self._document_bytes, self.arrival_max),
        )

    def _put(self, put: Put) -> None:
        collection, id, arrival, body = put
        self.arrival_max = max(self.arrival_max, arrival)
        if collection == META:
            self._db.execute("REPLACE INTO entry VALUES (?, ?)", (id, body))
            return
        row = (arrival, collection, id, body)
        if not self._db.execute(INSERT, row).rowcount:
            old, size = self._db.execute(
                "SELECT arrival, length(body) FROM doc WHERE collection = ? AND id = ?",
                (collection, id),
            ).fetchone()
            self._remove({old: _size(id, size)})
            self._db.execute(INSERT, row)
        self._document_count += 1
        self._document_bytes += _size(id, len(body))

    def _remove(self, sizes: dict[int, int]) -> None:
        """Take out these documents: {arrival: bytes}."""
        self._db.executemany("DELETE FROM doc WHERE arrival = ?", [(one,) for one in sizes])
        self._document_count -= len(sizes)
        self._document_bytes -= sum(sizes.values())
        self._leaving = {one: self._leaving[one] for one in self._leaving if one not in sizes}

    def _keep_bounds(self, newest: int) -> None:
        """Evict the oldest that may go, none above `newest`, or raise StoreFull."""
        needed_bytes = self._document_bytes - self.quota_bytes
        needed_count = self._document_count - self._document_count_max
        if needed_bytes <= 0 and needed_count <= 0:
            return
        spare_bytes, spare_count = self.quota_bytes // SPARE, self._document_count_max // SPARE
        leaving = self._leaving  # what an earlier call found is in it, if that was not enough
        size = sum(leaving.values())
        for collection, id, arrival, body in self._db.execute(
            "SELECT collection, id, arrival, body FROM doc"
            " WHERE arrival > ? AND arrival <= ? ORDER BY arrival",
            (self._looked_at, newest),
        ):
            self._looked_at = arrival
            if self._evict(collection, id, body, False):
                leaving[arrival] = _size(id, len(body))
                size += leaving[arrival]
            if size >= needed_bytes + spare_bytes and len(leaving) >= needed_count + spare_count:
                break
        if size < needed_bytes or len(leaving) < needed_count:
            raise StoreFull("every document is still waiting for the Big Peer")
        self.evicted_count += len(leaving)
        self._remove(leaving)
        for put in self._before_erase():
            self._put(put)

    # SQLite

    def _open(self) -> None:
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
        if is_new:
            self._db.executescript(SCHEMA)
        self._db.execute("BEGIN IMMEDIATE")  # takes the lock, which stays
        self._db.execute("COMMIT")
        total = self._rows("SELECT documents, bytes, arrival_max FROM total")[0]
        self._document_count, self._document_bytes, self.arrival_max = total

    def _pragma(self, text: str) -> Any:
        return self._db.execute("PRAGMA " + text).fetchone()[0]

    def _rows(self, statement: str, *arguments: object) -> list[Any]:
        try:  # _naming_errors takes as long again as a look by id
            return self._db.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            raise self._named(error) from error

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _named(self, error: sqlite3.Error) -> StorageError:
        name = getattr(error, "sqlite_errorname", "")
        sentences = [SENTENCES[start] for start in SENTENCES if name.startswith(start)]
        text = sentences[0] if sentences else str(error)
        return StorageError(f"{self._path}: {text}")


def _size(id: str, body_size: int) -> int:
    return len(id) + body_size + OVERHEAD_BYTES
