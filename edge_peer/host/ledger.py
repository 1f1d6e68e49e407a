"""
What an app's authority has issued: ledger.db beside its key, mode 0600.

    network_key  number INTEGER PRIMARY KEY | key                    of the whole app
    issued       serial INTEGER PRIMARY KEY | name | key | certificate | revoked_s
    list         version INTEGER PRIMARY KEY | raw                   revocation lists

A serial is taken and what it stands for is kept in one transaction, so that no crash gives
one twice. Signing happens inside it. `user_version` is 1.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_peer.core.errors import ConfigError, StorageError
from edge_peer.security.certificate import Certificate, decode

VERSION = 1
BUSY_S = 10  # another command is at it
_TABLES = """
CREATE TABLE network_key(number INTEGER PRIMARY KEY, key BLOB NOT NULL);
CREATE TABLE issued(serial INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
                    key BLOB NOT NULL, certificate BLOB NOT NULL, revoked_s INTEGER);
CREATE INDEX issued_name ON issued(name);
CREATE TABLE list(version INTEGER PRIMARY KEY, raw BLOB NOT NULL);
"""


@dataclass(frozen=True)
class Issued:
    certificate: Certificate
    revoked_s: int | None


class Ledger:
    def __init__(self, path: Path) -> None:
        """Open a ledger; raises StorageError if it is none."""
        if not path.exists():
            raise StorageError(f"{path} is missing: what this app has issued is in it")
        self._path = path
        self._data_version = 0
        self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        with self._naming_errors():
            self._db.execute("PRAGMA synchronous = FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            self.close()
            raise StorageError(f"{path} is no ledger of this version")

    @staticmethod
    def make(path: Path, network_key: bytes) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        db = sqlite3.connect(path, isolation_level=None)
        db.executescript("BEGIN;" + _TABLES + f"PRAGMA user_version = {VERSION}; COMMIT;")
        db.execute("INSERT INTO network_key VALUES (1, ?)", (network_key,))
        db.close()

    def close(self) -> None:
        self._db.close()

    def network_keys(self) -> dict[int, bytes]:
        with self._naming_errors():
            return dict(self._db.execute("SELECT number, key FROM network_key"))

    def issue(self, name: str, key: bytes, signed: Callable[[int], bytes]) -> Certificate:
        """Take the next serial and keep what `signed(serial)` makes of it; return that."""
        with self._transaction() as db:
            row = db.execute(
                "INSERT INTO issued(name, key, certificate) VALUES (?, ?, x'')", (name, key)
            )
            serial = row.lastrowid
            assert serial is not None
            raw = signed(serial)
            db.execute("UPDATE issued SET certificate = ? WHERE serial = ?", (raw, serial))
        return decode(raw)

    def all(self) -> list[Issued]:
        """Return what was issued, the oldest first."""
        return self._issued("SELECT certificate, revoked_s FROM issued ORDER BY serial")

    def named(self, name: str) -> list[Issued]:
        """Return what was issued by this name and is not revoked, the oldest first."""
        return self._issued(
            "SELECT certificate, revoked_s FROM issued"
            " WHERE name = ? AND revoked_s IS NULL ORDER BY serial",
            name,
        )

    def revoke(
        self, serials: list[int], now_s: int, signed: Callable[[int, list[int]], bytes]
    ) -> bytes:
        """Void these serials; return the list that `signed(version, serials)` makes of all."""
        with self._transaction() as db:
            for serial in serials:
                db.execute(
                    "UPDATE issued SET revoked_s = ? WHERE serial = ? AND revoked_s IS NULL",
                    (now_s, serial),
                )
            version = 1 + (db.execute("SELECT max(version) FROM list").fetchone()[0] or 0)
            rows = db.execute("SELECT certificate FROM issued WHERE revoked_s IS NOT NULL")
            voided = [decode(raw) for (raw,) in rows]
            raw = signed(version, [one.serial for one in voided if one.expiry_s >= now_s])
            db.execute("INSERT INTO list VALUES (?, ?)", (version, raw))
        return raw

    def revocation_list(self) -> bytes | None:
        with self._naming_errors():
            row = self._db.execute("SELECT raw FROM list ORDER BY version DESC LIMIT 1").fetchone()
        return None if row is None else bytes(row[0])

    def has_changed(self) -> bool:
        """Say whether anybody else has written into it since this was asked last."""
        with self._naming_errors():
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
        before, self._data_version = self._data_version, version
        return bool(before != version)

    def _issued(self, statement: str, *arguments: object) -> list[Issued]:
        with self._naming_errors():
            rows = self._db.execute(statement, arguments).fetchall()
        return [Issued(decode(raw), revoked_s) for raw, revoked_s in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._naming_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: {error}") from error
        except ValueError as error:  # of a list that has become too long
            raise ConfigError(str(error)) from error
