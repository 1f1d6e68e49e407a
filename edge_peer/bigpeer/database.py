"""
One connection to PostgreSQL, for one schema: what goes wrong there is a StorageError.

A connection that is lost is looked for again in a thread, for ever, at most once in RETRY_S:
at the primary of that moment, where the URL names several hosts. Until it is there every
call fails at once, so nothing in the event loop waits for a server that is away.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from edge_peer.core.errors import ConfigError, StorageError

Connection = psycopg.Connection[tuple[Any, ...]]
Made = TypeVar("Made")

CONNECT_S = 3
RETRY_S = 0.5  # between two tries
STATEMENT_MS = 8_000
SILENCE_S = 10  # a server that says nothing for so long, though it has us connected, is none
LOCK_MS = 5_000  # for the turn of another worker, which takes milliseconds
IDLE_MS = 5_000  # what holds the turn and has stopped loses it
_OPTIONS: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 3_000,
    "application_name": "edge-peer",
}
_AWAY = "PostgreSQL: no connection; it is tried again"


class Database:
    def __init__(self, url: str, schema: str, prepare: Callable[[Connection], None]) -> None:
        """Connect now. prepare: is given each new connection. Raises ConfigError, StorageError."""
        self.url = url  # which may hold a password
        self.schema = schema
        self._prepare = prepare
        self._db: Connection | None = None
        self.connection_number = 0  # rises with each
        self._next: Connection | None = None  # made in the thread
        self._seeking: threading.Thread | None = None
        self._closed = threading.Event()
        self._silence_s: float = SILENCE_S
        self._asked_s: float | None = None  # since when we wait for an answer
        threading.Thread(target=self._cut_silent, daemon=True).start()
        self.on_here: Callable[[], None] | None = None  # called in the thread, after a loss
        self.work(lambda db: None, self._connect)

    @property
    def is_away(self) -> bool:
        return self._db is None and self._next is None

    def fileno(self) -> int:
        """Return the socket, or -1 while there is none."""
        return -1 if self._db is None or self._db.closed else self._db.fileno()

    def close(self) -> None:
        self._closed.set()
        if self._seeking is not None:
            self._seeking.join()
        for db in (self._db, self._next):
            if db is not None:
                db.close()

    def rows(self, statement: str, *values: Any, named: dict[str, Any] | None = None) -> list[Any]:
        def ask(db: Connection) -> list[Any]:
            return db.execute(statement, named or values, binary=True).fetchall()

        return self.work(ask)

    def run(self, statement: str, *values: Any) -> int:
        """Run one statement; return how many rows it changed."""
        return self.work(lambda db: db.execute(statement, values).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let all statements of the block happen, or none; one in another is a part of it."""
        block = self.work(lambda db: db.transaction())
        self.work(lambda db: block.__enter__())
        try:
            yield
        except BaseException as error:
            with suppress(psycopg.Error):
                block.__exit__(type(error), error, error.__traceback__)
            self._look_if_lost()
            raise
        self.work(lambda db: block.__exit__(None, None, None))

    def work(
        self, work: Callable[[Connection], Made], connect: Callable[[], Connection] | None = None
    ) -> Made:
        """Do it on the connection. Raises StorageError, at once while there is none."""
        try:
            if self._db is None:
                self._take(connect)
            assert self._db is not None
            self._asked_s = time.monotonic()
            return work(self._db)
        except UnicodeEncodeError:
            raise
        except psycopg.Error as error:
            self._look_if_lost()
            raise StorageError(f"PostgreSQL: {_sentence(error)}") from error
        finally:
            self._asked_s = None

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Let statements of this transaction take as long as they want."""
        self.run("SET LOCAL statement_timeout = 0")
        silence_s, self._silence_s = self._silence_s, inf
        try:
            yield
        finally:
            self._silence_s = silence_s

    def _cut_silent(self) -> None:
        while not self._closed.wait(1):
            asked_s, db = self._asked_s, self._db
            if asked_s is None or db is None or time.monotonic() < asked_s + self._silence_s:
                continue
            with suppress(psycopg.Error, OSError):
                copy = os.dup(db.fileno())
                with socket.socket(fileno=copy) as wire:
                    wire.shutdown(socket.SHUT_RDWR)

    def _take(self, connect: Callable[[], Connection] | None) -> None:
        db, self._next = self._next, None
        if db is None and connect is not None:
            db = connect()
        if db is None:
            self._seek()
            raise StorageError(_AWAY)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        self._db = db
        self.connection_number += 1

    def _look_if_lost(self) -> None:
        if self._db is not None and (self._db.closed or self._db.broken):
            with suppress(psycopg.Error):
                self._db.close()
            self._db = None
            self._seek()

    def _seek(self) -> None:
        if self._closed.is_set() or (self._seeking is not None and self._seeking.is_alive()):
            return
        self._seeking = threading.Thread(target=self._find, daemon=True)
        self._seeking.start()

    def _find(self) -> None:
        while not self._closed.is_set():
            began_s = time.monotonic()
            try:
                self._next = self._connect()
            except (psycopg.Error, ConfigError):
                self._closed.wait(max(0.0, RETRY_S - time.monotonic() + began_s))
                continue
            if self.on_here is not None:
                self.on_here()
            return

    def _connect(self) -> Connection:
        try:
            db: Connection = psycopg.connect(self.url, autocommit=True, **_OPTIONS)
        except psycopg.ProgrammingError as error:  # of the URL, which may hold a password
            raise ConfigError("the URL of the PostgreSQL store cannot be read") from error
        try:
            name = sql.Identifier(self.schema)
            db.execute(f"SET statement_timeout = {STATEMENT_MS}")
            db.execute(f"SET lock_timeout = {LOCK_MS}")
            db.execute(f"SET idle_in_transaction_session_timeout = {IDLE_MS}")
            db.execute(sql.SQL("SET search_path = {}").format(name))
        except BaseException:
            db.close()
            raise
        return db


def bring_up(db: Connection, schema: str, table: str, steps: tuple[str, ...]) -> None:
    """Make the tables, or what is new in them; what is killed in a step starts there again.

    table: what keeps how far they are. Several workers may come at once: one does it.
    """
    name = sql.Identifier(schema)
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema,))
        db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        version_of = sql.Identifier(table)
        db.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (version int)").format(version_of))
        row = db.execute(sql.SQL("SELECT max(version) FROM {}").format(version_of)).fetchone()
        version = (row and row[0]) or 0
        if version > len(steps):
            raise StorageError("PostgreSQL: the tables are those of a newer version")
        for number in range(version, len(steps)):
            db.execute(steps[number])
            db.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(version_of), (number + 1,))


def _sentence(error: psycopg.Error) -> str:
    """Say what is wrong, in a line, without what was sent."""
    if error.sqlstate == "53100":
        return "the server's disk is full"
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
