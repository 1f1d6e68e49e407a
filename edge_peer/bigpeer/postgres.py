"""
The log of a Big Peer in PostgreSQL: what host/storage.py is in SQLite.

    {"url": "postgresql://user@host1,host2/edge?target_session_attrs=read-write",
     "schema": "edge_0123…", and the limits of host/storage.py}

Each app has a schema of its own (postgres_tables.py). Any number of workers may have it
open. Who writes takes the turn, which is the lock of the one row of `feed`, and has it until
COMMIT: so arrivals follow the order of commits, and nobody who reads on from an arrival
passes one over that is committed later. It is one order for the whole app, as what a device
keeps of it, its cursor, is one number.

A turn is one transaction, of a handful of statements however many documents it has; it is
durable at its end as far as the server's synchronous_commit goes, so with a synchronous
standby on both. What a lost commit has done is seen at the next turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_peer.bigpeer import postgres_tables as tables
from edge_peer.bigpeer.database import Connection, Database, bring_up
from edge_peer.bigpeer.postgres_indexes import Indexes
from edge_peer.bigpeer.postgres_tables import columns_of, raw, shard_of
from edge_peer.core.errors import ConfigError, StoreFull
from edge_peer.core.limits import ATTACHMENTS, HIDDEN, RELAYED, WHOLE, limits_of
from edge_peer.core.store.log import META
from edge_peer.core.store.store import STATE_ID
from edge_peer.host.changes import Changes
from edge_peer.host.eviction import Candidate, Eviction, Leaving
from edge_peer.host.limited import LimitedLog
from edge_peer.host.schema import size_of

if TYPE_CHECKING:
    from edge_peer.core.limits import Limits
    from edge_peer.core.query.expression import Node
    from edge_peer.core.store.log import Evict, Keep, Put
    from edge_peer.core.store.store import BeforeErase

    Feed = dict[str, int]  # the row, by the names of its columns

SCAN_COUNT = 256  # documents in memory at a time


def open_log(settings: dict[str, Any], evict: Evict, before_erase: BeforeErase) -> PostgresLog:
    """Raises ConfigError for settings that are wrong, StorageError if it cannot be used."""
    url, schema = settings.get("url"), settings.get("schema")
    if not isinstance(url, str) or not isinstance(schema, str) or not schema.isidentifier():
        raise ConfigError("storage needs the url of a PostgreSQL database, and a schema")
    return PostgresLog(url, schema, limits_of(settings), evict, before_erase)


def connected(url: str, schema: str) -> Database:
    """Connect to an app's tables beside its workers. Raises ConfigError, StorageError."""
    return Database(url, schema, lambda db: bring_up(db, schema, "layout", tables.STEPS))


class PostgresLog(LimitedLog):
    """The docstrings of FlashLog are the contract (tests/log_contract.py)."""

    authors_max = 65_536
    commit_bytes_max = 16 << 20  # what is written at once is in memory
    has_indexes = True

    def __init__(
        self, url: str, schema: str, limits: Limits, evict: Evict, before_erase: BeforeErase
    ) -> None:
        """Connect, and make or bring up the tables. Raises StorageError."""
        self._bound(limits, before_erase)
        self._damaged = set()  # the server's own checksums are about that
        self._groups: dict[str, tuple[int, int]] = {}
        self._groups_at = -1  # feed.totals that they are of
        self._ahead: dict[tuple[str, str], Any] = {}
        self._feed: Feed | None = None  # of the turn that we have
        self.arrival_max = 0
        self.on_ahead: Callable[[int], None] = lambda arrival: None  # told how far others are
        self.on_notify: Callable[[], None] = lambda: None  # others have committed
        self._eviction = Eviction(self._oldest_first, evict)
        self.base = Database(url, schema, lambda db: self._prepare(db, schema))
        self._indexes = Indexes(self.base)
        with self.turn():
            pass

    def close(self) -> None:
        self.base.close()

    def _prepare(self, db: Connection, schema: str) -> None:
        bring_up(db, schema, "layout", tables.STEPS)
        pid = db.info.backend_pid
        db.add_notify_handler(lambda one: None if one.pid == pid else self.on_notify())
        db.execute("LISTEN edge_peer")

    # The turn

    @contextmanager
    def turn(self) -> Iterator[Feed]:
        """Write alone, until the block has been committed; a turn in a turn is a part of it.

        Yields the feed: as it is at the end of the block, others see it. After an exception
        nothing has happened.
        """
        if self._feed is not None:
            yield self._feed
            return
        before: tuple[int, ...] = (self.arrival_max,)
        try:
            with self.base.transaction():
                before = self.base.rows(tables.TAKE_TURN)[0]
                yield self._begin(before)
                self._end(before)
        except BaseException:
            if self._feed is not None and self._feed["totals"] != self._groups_at:
                self._groups_at = -1  # what was counted has not happened
            self.arrival_max = before[0]
            raise
        finally:
            self._feed = None
            self._ahead = {}

    def _begin(self, row: tuple[int, ...]) -> Feed:
        self._feed = feed = _feed_of(row)
        self.arrival_max = feed["arrival"]
        if feed["totals"] != self._groups_at:
            rows = self.base.rows("SELECT name, documents, bytes FROM total")
            self._groups = {name.decode(): (count, size) for name, count, size in rows}
            self._groups_at = feed["totals"]
            self._eviction.again()
        self._indexes.renew(feed["catalog"])
        return feed

    def _end(self, before: tuple[int, ...]) -> None:
        assert self._feed is not None
        self._feed["arrival"] = max(self.arrival_max, before[0])
        after = tuple(self._feed.values())
        if after != before:
            self.base.run(tables.END_TURN, *after)
        self._groups_at = self._feed["totals"]

    def look(self, entry: str) -> tuple[Feed, bytes | None]:
        """Return the feed as it is now, and one of the store's own entries as it was then."""
        *row, body = self.base.rows(tables.LOOK, raw(entry))[0]
        return _feed_of(row), body

    # Reading

    def look_ahead(self, keys: list[tuple[str, str]]) -> None:
        """Ask for these documents at once; `get` knows them, until the end of the turn."""
        if self._feed is not None:
            keys = list(dict.fromkeys(keys))
            self._ahead.update(dict.fromkeys(keys))
            for row in self.base.rows(tables.ROWS_AND_BODIES, *columns_of(keys)):
                self._ahead[row[1].decode(), row[2].decode()] = row

    def get(self, collection: str, id: str) -> bytes | None:
        if (collection, id) in self._ahead:
            row = self._ahead[collection, id]
            return None if row is None else row[5]
        key = raw(id)
        if collection == META:
            rows = self.base.rows("SELECT body FROM entry WHERE id = %s", key)
        else:
            name = raw(collection)
            rows = self.base.rows(tables.GET, name, key, shard_of(name, key))
        return rows[0][0] if rows else None

    def since(self, arrival: int, limit: int) -> list[Put]:
        rows = self.base.rows(tables.SINCE, arrival, limit)
        if rows:
            self.on_ahead(rows[0][4])  # one look: nothing else lies behind `arrival` up to there
        return [(row[0].decode(), row[1].decode(), row[2], row[3]) for row in rows]

    def scan(self, collection: str, keep: Keep | None = None) -> Iterator[tuple[str, bytes]]:
        """In the order of ids; commits meanwhile do no harm."""
        last = b""
        while True:
            rows = self.base.rows(
                "SELECT id, body FROM doc WHERE collection = %s AND id > %s ORDER BY id LIMIT %s",
                raw(collection),
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
            rows = self.base.rows(
                "SELECT collection FROM doc WHERE collection > %s ORDER BY collection LIMIT 1", last
            )
            if not rows:
                return [name.decode() for name in names if name.decode() not in HIDDEN]
            names.append(rows[0][0])

    def entries(self) -> list[str]:
        """Return the ids of the store's own entries."""
        return [row[0].decode() for row in self.base.rows("SELECT id FROM entry ORDER BY id")]

    def document_count(self) -> int:
        return self.totals(WHOLE)[0]

    def totals(self, group: str) -> tuple[int, int]:
        """Return how many documents a group has, and their bytes, as of our last turn."""
        return self._groups.get(group, (0, 0))

    # Writing

    def commit(self, puts: list[Put], relayed: Iterable[int] = ()) -> None:
        """Store all of these or none; see FlashLog."""
        for put in puts:
            self._check(put)
        if puts:
            self._transact(lambda changes: self._write(changes, puts, frozenset(relayed)))

    def _transact(self, write: Callable[[Changes], None]) -> None:
        with self.turn() as feed:
            changes, piece = Changes(self.arrival_max), feed["piece"]
            try:
                with self.base.transaction():
                    write(changes)
                    after = self._count(changes)
            except BaseException as error:
                feed["piece"] = piece
                if isinstance(error, StoreFull):
                    self._eviction.have_stayed(changes.gone)
                else:
                    self._eviction.again()
                raise
            self._groups |= after
            feed["totals"] += bool(after)
            self.arrival_max = changes.arrival_max
            self._ahead = {}
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
        assert self._feed is not None
        entries: dict[bytes, bytes] = {}
        documents: dict[tuple[str, str], tuple[int, bytes, bool, str | None]] = {}
        for collection, id, arrival, body in puts:
            changes.arrival_max = max(changes.arrival_max, arrival)
            if collection == META:
                entries[raw(id)] = body
                continue
            is_relayed = arrival in relayed
            if collection in HIDDEN:
                self._feed["piece"] += 1
                arrival = self._feed["piece"]
            keys = self._indexes.keys_of(collection, body)
            documents[collection, id] = (arrival, body, is_relayed, keys)
        if entries:
            self.base.run(tables.ENTER, list(entries), list(entries.values()))
            self._feed["entries"] += set(entries) != {STATE_ID.encode()}
        if not documents:
            return
        for arrival, old in self._found(list(documents)).items():
            changes.count(old.collection, old.is_relayed, -1, -old.bytes)
            changes.gone.add(arrival)
        for (collection, id), (_, body, is_relayed, _) in documents.items():
            changes.count(collection, is_relayed, 1, size_of(id, len(body)))
        arrivals, bodies, flags, found = (
            list(one) for one in zip(*documents.values(), strict=True)
        )
        self.base.run(tables.PUT, arrivals, *columns_of(list(documents)), bodies, flags, found)

    def _found(self, keys: list[tuple[str, str]]) -> dict[int, Leaving]:
        keys = list(dict.fromkeys(keys))
        if all(key in self._ahead for key in keys):
            rows = [row[:5] for key in keys if (row := self._ahead[key]) is not None]
        else:
            rows = self.base.rows(tables.ROWS, *columns_of(keys))
        return {
            arrival: Leaving(
                collection.decode(), id.decode(), size_of(id.decode(), body_size), is_relayed
            )
            for arrival, collection, id, body_size, is_relayed in rows
        }

    def _remove(self, changes: Changes, documents: dict[int, Leaving]) -> None:
        self.base.run("DELETE FROM doc WHERE arrival = ANY(%s::bigint[])", list(documents))
        for document in documents.values():
            changes.count(document.collection, document.is_relayed, -1, -document.bytes)
        changes.gone.update(documents)

    def _oldest_first(self, group: str, above: int, newest: int) -> Iterator[Candidate]:
        condition = {WHOLE: "", ATTACHMENTS: "", RELAYED: "relayed AND "}.get(
            group, "collection = %(collection)s AND "
        )
        newest = -1 if group == ATTACHMENTS else newest
        while True:
            rows = self.base.rows(
                "SELECT arrival, collection, id, body, relayed FROM doc"
                f" WHERE {condition}arrival > %(above)s AND arrival <= %(newest)s"
                f" ORDER BY arrival LIMIT {SCAN_COUNT}",
                named={"collection": raw(group), "above": above, "newest": newest},
            )
            for arrival, collection, id, body, is_relayed in rows:
                yield Candidate(arrival, collection.decode(), id.decode(), body, is_relayed)
                above = arrival
            if len(rows) < SCAN_COUNT:
                return

    def _count(self, changes: Changes) -> dict[str, tuple[int, int]]:
        """Write, and return, what the groups have that the transaction changes."""
        after = {}
        for group, more in changes.totals.items():
            before = self.totals(group)
            after[group] = (before[0] + more[0], before[1] + more[1])
        if after:
            columns = [[total[place] for total in after.values()] for place in (0, 1)]
            self.base.run(tables.COUNT, [raw(name) for name in after], *columns)
        return after

    # Indexes

    def create_index(
        self, name: str, collection: str, paths: list[str], if_not_exists: bool = False
    ) -> None:
        """Make an index over fields, or nothing of it; writers wait. See host/storage.py."""
        with self.turn() as feed, self.base.patient():
            if self._indexes.create(name, collection, paths, if_not_exists):
                feed["catalog"] += 1
        self._renew_indexes()

    def drop_index(self, name: str, collection: str) -> None:
        """Raises QueryError if there is no such index."""
        with self.turn() as feed:
            self._indexes.drop(name, collection)
            feed["catalog"] += 1
        self._renew_indexes()

    def indexes(self) -> list[tuple[str, str, list[str]]]:
        """Return (name, collection, paths) of each, by collection and name."""
        return self._indexes.all()

    def candidates(
        self, collection: str, where: Node | None, arguments: dict[str, Any]
    ) -> Iterator[tuple[str, bytes]] | None:
        """Yield (id, body) of at least what matches, each once; None: no index helps."""
        look = self._indexes.look(collection, where, arguments)
        return None if look is None else self._indexes.found_by(look)

    def plan(self, collection: str, where: Node | None, arguments: dict[str, Any]) -> str:
        """Say how candidates are found: a line for a person, and PostgreSQL's own."""
        look = self._indexes.look(collection, where, arguments)
        if look is None:
            count = self.totals(collection)[0]
            return f"no index: all {count} documents of {collection} are looked at"
        return "\n".join([look.text, *self._indexes.explain(look)])

    def _renew_indexes(self) -> None:
        self._indexes.renew(self.look("")[0]["catalog"])


def _feed_of(row: Iterable[int]) -> Feed:
    return dict(zip(tables.FEED.split(", "), row, strict=True))
