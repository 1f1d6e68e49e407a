"""
The log of a Big Peer in PostgreSQL: what host/storage.py is in SQLite.

    {"url": "postgresql://user@host1,host2/edge?target_session_attrs=read-write",
     "schema": "edge_0123…", and the limits of host/storage.py}

Each app has a schema of its own:

    doc      arrival bigint PRIMARY KEY | collection | id | body | relayed
    entry    id | body                       the store's own
    total    name | documents | bytes        of each group, and
             arrival_max                     in the row of the whole store

Names and ids are bytea, in UTF-8: they may hold any character, and their order is that of
their bytes; `SELECT convert_from(id, 'UTF8')` reads one. The pieces of attachments have
arrivals below 0.

One commit is one transaction, of four statements however many documents it has; it is
durable on return as far as the server's synchronous_commit goes, so with a synchronous
standby on both. An advisory lock keeps a second process out, as SQLite's file lock does.

A server that is gone makes everything a StorageError. The next call connects anew, at most
once in RETRY_S: to the primary of that moment, where the URL names several hosts. What a
lost commit has done is looked up then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import sql

from edge_peer.core.errors import ConfigError, StorageError, StoreFull
from edge_peer.core.limits import ATTACHMENTS, HIDDEN, RELAYED, WHOLE, limits_of
from edge_peer.core.store.log import META
from edge_peer.host.changes import Changes
from edge_peer.host.eviction import FIRST_PIECE, Candidate, Eviction, Leaving
from edge_peer.host.limited import LimitedLog
from edge_peer.host.schema import size_of

if TYPE_CHECKING:
    from edge_peer.core.limits import Limits
    from edge_peer.core.store.log import Evict, Keep, Put
    from edge_peer.core.store.store import BeforeErase

    Connection = psycopg.Connection[tuple[Any, ...]]

Made = TypeVar("Made")

VERSION = 1
SCAN_COUNT = 256  # documents in memory at a time
CONNECT_S = 3  # everything else waits for it
RETRY_S = 1.0  # between two tries
STATEMENT_MS = 30_000
LOCK_MS = 3_000
_OPTIONS = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "edge-peer",
}

# Each makes the next version of the tables, in one transaction.
_STEPS = (
    """
    CREATE TABLE doc (
        arrival bigint PRIMARY KEY, collection bytea NOT NULL, id bytea NOT NULL,
        body bytea NOT NULL, relayed boolean NOT NULL, UNIQUE (collection, id)
    );
    CREATE INDEX doc_oldest ON doc (collection, arrival);
    CREATE INDEX doc_relayed ON doc (arrival) WHERE relayed;
    CREATE TABLE entry (id bytea PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE total (
        name bytea PRIMARY KEY, documents bigint NOT NULL, bytes bigint NOT NULL,
        arrival_max bigint NOT NULL
    );
    """,
)
_GET = "SELECT body FROM doc WHERE collection = %s AND id = %s"
_FOUND = """
    SELECT doc.arrival, doc.collection, doc.id, octet_length(doc.body), doc.relayed
    FROM unnest(%s::bytea[], %s::bytea[]) AS one(collection, id) JOIN doc USING (collection, id)
"""
_BODIES = """
    SELECT doc.collection, doc.id, doc.body
    FROM unnest(%s::bytea[], %s::bytea[]) AS one(collection, id) JOIN doc USING (collection, id)
"""
_PUT = """
    INSERT INTO doc
    SELECT * FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::bytea[], %s::boolean[])
    ON CONFLICT (collection, id) DO UPDATE
    SET arrival = EXCLUDED.arrival, body = EXCLUDED.body, relayed = EXCLUDED.relayed
"""
_ENTER = """
    INSERT INTO entry SELECT * FROM unnest(%s::bytea[], %s::bytea[])
    ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body
"""
_COUNT = """
    INSERT INTO total
    SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[])
    ON CONFLICT (name) DO UPDATE SET documents = EXCLUDED.documents,
        bytes = EXCLUDED.bytes, arrival_max = EXCLUDED.arrival_max
"""


def open_log(settings: dict[str, Any], evict: Evict, before_erase: BeforeErase) -> PostgresLog:
    """Raises ConfigError for settings that are wrong, StorageError if it cannot be used."""
    url, schema = settings.get("url"), settings.get("schema")
    if not isinstance(url, str) or not isinstance(schema, str) or not schema.isidentifier():
        raise ConfigError("storage needs the url of a PostgreSQL database, and a schema")
    return PostgresLog(url, schema, limits_of(settings), evict, before_erase)


class PostgresLog(LimitedLog):
    """The docstrings of FlashLog are the contract (tests/log_contract.py)."""

    authors_max = 65_536
    commit_bytes_max = 16 << 20  # what is written at once is in memory
    has_indexes = False

    def __init__(
        self, url: str, schema: str, limits: Limits, evict: Evict, before_erase: BeforeErase
    ) -> None:
        """Connect, make or bring up the tables, and lock them. Raises StorageError."""
        self._bound(limits, before_erase)
        self._url = url
        self._schema = schema
        self._db: Connection | None = None
        self._retry_s = 0.0
        self._damaged = set()  # the server's own checksums are about that
        self._groups: dict[str, tuple[int, int]] = {}
        self._ahead: dict[tuple[str, str], bytes | None] = {}
        self._piece_arrival = FIRST_PIECE
        self.arrival_max = 0
        self._eviction = Eviction(self._oldest_first, evict)
        self._work(lambda db: None)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    # Reading

    def look_ahead(self, keys: list[tuple[str, str]]) -> None:
        """Ask for these documents at once; `get` knows them then, until the next commit."""
        names = [[_raw(key[place]) for key in keys] for place in (0, 1)]
        bodies = dict.fromkeys(keys)
        for collection, id, body in self._rows(_BODIES, *names):
            bodies[collection.decode(), id.decode()] = body
        self._ahead = bodies

    def get(self, collection: str, id: str) -> bytes | None:
        if (collection, id) in self._ahead:
            return self._ahead[collection, id]
        keys = [_raw(collection), _raw(id)]
        if collection == META:
            rows = self._rows("SELECT body FROM entry WHERE id = %s", keys[1])
        else:
            rows = self._rows(_GET, *keys)
        return rows[0][0] if rows else None

    def since(self, arrival: int, limit: int) -> list[Put]:
        rows = self._rows(
            "SELECT collection, id, arrival, body FROM doc"
            " WHERE arrival > %s ORDER BY arrival LIMIT %s",
            arrival,
            limit,
        )
        return [(row[0].decode(), row[1].decode(), row[2], row[3]) for row in rows]

    def scan(self, collection: str, keep: Keep | None = None) -> Iterator[tuple[str, bytes]]:
        """In the order of ids; commits meanwhile do no harm."""
        last = b""
        while True:
            rows = self._rows(
                "SELECT id, body FROM doc WHERE collection = %s AND id > %s ORDER BY id LIMIT %s",
                _raw(collection),
                last,
                SCAN_COUNT,
            )
            for id, body in rows:
                if keep is None or keep(body):
                    yield id.decode(), body
            if len(rows) < SCAN_COUNT:
                return
            last = rows[-1][0]

    def collections(self) -> list[str]:
        names: list[bytes] = []
        while True:  # one look at the index each, not one per document
            last = names[-1] if names else b""
            rows = self._rows(
                "SELECT collection FROM doc WHERE collection > %s ORDER BY collection LIMIT 1", last
            )
            if not rows:
                return [name.decode() for name in names if name.decode() not in HIDDEN]
            names.append(rows[0][0])

    def entries(self) -> list[str]:
        """Return the ids of the store's own entries."""
        return [row[0].decode() for row in self._rows("SELECT id FROM entry ORDER BY id")]

    def document_count(self) -> int:
        return self.totals(WHOLE)[0]

    def totals(self, group: str) -> tuple[int, int]:
        """Return how many documents a group has, and their bytes."""
        return self._groups.get(group, (0, 0))

    # Writing

    def commit(self, puts: list[Put], relayed: Iterable[int] = ()) -> None:
        """Store all of these or none; see FlashLog."""
        for put in puts:
            self._check(put)
        if puts:
            self._transact(lambda changes: self._write(changes, puts, frozenset(relayed)))

    def _transact(self, write: Callable[[Changes], None]) -> None:
        changes = Changes(self.arrival_max)
        self._ahead = {}

        def attempt(db: Connection) -> None:
            with db.transaction():
                write(changes)
                self._count(db, changes)

        try:
            self._work(attempt)
        except StoreFull:
            self._eviction.have_stayed(changes.gone)
            raise
        except BaseException:
            self._eviction.again()
            raise
        self._groups |= self._after(changes)
        self.arrival_max = changes.arrival_max
        self.evicted_count += len(changes.evicted)
        if self.on_gone is not None:
            for key in changes.evicted:
                self.on_gone(key)
        self._eviction.have_gone(changes.gone)

    def _write(self, changes: Changes, puts: list[Put], relayed: frozenset[int]) -> None:
        self._put_all(changes, puts, relayed)
        self._keep_limits(changes)

    def _put(self, changes: Changes, put: Put, is_relayed: bool) -> None:
        self._put_all(changes, [put], frozenset((put[2],) if is_relayed else ()))

    def _put_all(self, changes: Changes, puts: list[Put], relayed: frozenset[int]) -> None:
        entries: dict[bytes, bytes] = {}
        documents: dict[tuple[str, str], tuple[int, bytes, bool]] = {}
        for collection, id, arrival, body in puts:
            changes.arrival_max = max(changes.arrival_max, arrival)
            if collection == META:
                entries[_raw(id)] = body
                continue
            is_relayed = arrival in relayed
            if collection in HIDDEN:
                self._piece_arrival += 1
                arrival = self._piece_arrival
            documents[collection, id] = (arrival, body, is_relayed)
        if entries:
            self._run(_ENTER, list(entries), list(entries.values()))
        if not documents:
            return
        for arrival, old in self._found(list(documents)).items():
            changes.count(old.collection, old.is_relayed, -1, -old.bytes)
            changes.gone.add(arrival)
        for (collection, id), (_, body, is_relayed) in documents.items():
            changes.count(collection, is_relayed, 1, size_of(id, len(body)))
        names = [[_raw(key[place]) for key in documents] for place in (0, 1)]
        arrivals, bodies, flags = (list(one) for one in zip(*documents.values(), strict=True))
        self._run(_PUT, arrivals, *names, bodies, flags)

    def _found(self, keys: list[tuple[str, str]]) -> dict[int, Leaving]:
        keys = list(dict.fromkeys(keys))
        names = [[_raw(key[place]) for key in keys] for place in (0, 1)]
        return {
            arrival: Leaving(
                collection.decode(), id.decode(), size_of(id.decode(), body_size), is_relayed
            )
            for arrival, collection, id, body_size, is_relayed in self._rows(_FOUND, *names)
        }

    def _remove(self, changes: Changes, documents: dict[int, Leaving]) -> None:
        self._run("DELETE FROM doc WHERE arrival = ANY(%s::bigint[])", list(documents))
        for document in documents.values():
            changes.count(document.collection, document.is_relayed, -1, -document.bytes)
        changes.gone.update(documents)

    def _oldest_first(self, group: str, above: int, newest: int) -> Iterator[Candidate]:
        condition = {WHOLE: "", ATTACHMENTS: "", RELAYED: "relayed AND "}.get(
            group, "collection = %(collection)s AND "
        )
        newest = -1 if group == ATTACHMENTS else newest
        while True:
            rows = self._rows(
                "SELECT arrival, collection, id, body, relayed FROM doc"
                f" WHERE {condition}arrival > %(above)s AND arrival <= %(newest)s"
                f" ORDER BY arrival LIMIT {SCAN_COUNT}",
                named={"collection": _raw(group), "above": above, "newest": newest},
            )
            for arrival, collection, id, body, is_relayed in rows:
                yield Candidate(arrival, collection.decode(), id.decode(), body, is_relayed)
                above = arrival
            if len(rows) < SCAN_COUNT:
                return

    # Figures

    def _count(self, db: Connection, changes: Changes) -> None:
        after = {WHOLE: self.totals(WHOLE)} | self._after(changes)
        columns = [
            [_raw(name) for name in after],
            [total[0] for total in after.values()],
            [total[1] for total in after.values()],
            [changes.arrival_max] * len(after),
        ]
        self._run(_COUNT, *columns)

    def _after(self, changes: Changes) -> dict[str, tuple[int, int]]:
        """Return what the groups have that the transaction changes."""
        after = {}
        for group, more in changes.totals.items():
            before = self.totals(group)
            after[group] = (before[0] + more[0], before[1] + more[1])
        return after

    def _load(self, db: Connection) -> None:
        rows = db.execute("SELECT name, documents, bytes, arrival_max FROM total").fetchall()
        self._groups = {bytes(row[0]).decode(): (row[1], row[2]) for row in rows}
        self.arrival_max = max([self.arrival_max, *(row[3] for row in rows)])
        newest = db.execute("SELECT max(arrival) FROM doc WHERE arrival < 0").fetchone()
        self._piece_arrival = (newest and newest[0]) or FIRST_PIECE
        self._eviction.again()

    # The server

    def _rows(self, statement: str, *values: Any, named: dict[str, Any] | None = None) -> list[Any]:
        def ask(db: Connection) -> list[Any]:
            return db.execute(statement, named or values, binary=True).fetchall()

        return self._work(ask)

    def _run(self, statement: str, *values: Any) -> None:
        self._work(lambda db: db.execute(statement, values))

    def _work(self, work: Callable[[Connection], Made]) -> Made:
        """Do it on the connection, on a new one where that is gone. Raises StorageError."""
        try:
            if self._db is None:
                self._connect()
            assert self._db is not None
            return work(self._db)
        except UnicodeEncodeError:
            raise
        except psycopg.Error as error:
            if self._db is not None and (self._db.closed or self._db.broken):
                with suppress(psycopg.Error):
                    self._db.close()
                self._db = None
            raise StorageError(f"PostgreSQL: {_sentence(error)}") from error

    def _connect(self) -> None:
        if time.monotonic() < self._retry_s:
            raise StorageError("PostgreSQL: no connection; it is tried again in a moment")
        self._retry_s = time.monotonic() + RETRY_S
        try:
            options: dict[str, Any] = _OPTIONS
            db: Connection = psycopg.connect(self._url, autocommit=True, **options)
        except psycopg.ProgrammingError as error:  # of the URL, which may hold a password
            raise ConfigError("the URL of the PostgreSQL store cannot be read") from error
        try:
            name = sql.Identifier(self._schema)
            db.execute(f"SET statement_timeout = {STATEMENT_MS}")
            db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
            db.execute(sql.SQL("SET search_path = {}").format(name))
            self._lock(db)
            _bring_up(db)
            self._load(db)
        except BaseException:
            db.close()
            raise
        self._db = db

    def _lock(self, db: Connection) -> None:
        """Wait a little: a process that has just ended may not be gone for the server."""
        try:
            db.execute(f"SET lock_timeout = {LOCK_MS}")
            db.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (self._schema,))
            db.execute("SET lock_timeout = 0")
        except psycopg.errors.LockNotAvailable as error:
            raise StorageError("PostgreSQL: another process has this app open") from error


def _bring_up(db: Connection) -> None:
    """Make the tables, or what is new in them; what is killed in a step starts there again."""
    db.execute("CREATE TABLE IF NOT EXISTS layout (version int NOT NULL)")
    row = db.execute("SELECT max(version) FROM layout").fetchone()
    version = (row and row[0]) or 0
    if version > VERSION:
        raise StorageError("PostgreSQL: the tables are those of a newer version")
    for number in range(version, VERSION):
        with db.transaction():
            db.execute(_STEPS[number])
            db.execute("INSERT INTO layout VALUES (%s)", (number + 1,))


def _raw(text: str) -> bytes:
    """Half a surrogate pair is in no name and no id, so what this makes of it finds nothing."""
    return text.encode(errors="surrogatepass")


def _sentence(error: psycopg.Error) -> str:
    """Say what is wrong, in a line, without what was sent."""
    if error.sqlstate == "53100":
        return "the server's disk is full"
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
