"""
CREATE INDEX in PostgreSQL: documents found by the keys of their fields.

The keys are those of host/index_key.py, and host/indexes.py says which parts of a predicate
they answer. A document has the keys of all paths that its collection was ever indexed
by, in the array `keys` of its row; an index is one over elements of it, for one collection.
Dropped indexes leave the keys: a worker that has not heard of it yet still finds all.

    path     collection | number | path       keys[number]
    catalog  number | collection | name | paths
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_peer.bigpeer.postgres_tables import columns_of, raw
from edge_peer.core.document import SEPARATOR
from edge_peer.core.errors import QueryError
from edge_peer.host.index_key import edge_key
from edge_peer.host.indexes import INDEX_COUNT_MAX, Index, bounds_of, check, used_of

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database

FILL_COUNT = 512  # documents in memory while an index is made
FOUND_COUNT = 256  # candidates in memory at once


class Look(NamedTuple):
    """How to find candidates: rows of doc for which `where` holds, with `keys`."""

    where: str
    keys: list[Any]
    text: str  # what it does, for a person


class Indexes:
    def __init__(self, base: Database) -> None:
        self._base = base
        self._version = -1
        self._of: dict[str, list[Index]] = {}  # collection ->
        self._paths: dict[str, list[bytes]] = {}  # collection -> those that doc.keys are of

    def renew(self, version: int) -> None:
        """Read what there is, if it is not what we know. version: feed.catalog."""
        if version == self._version:
            return
        self._of, self._paths = {}, {}
        for number, collection, name, paths in self._base.rows(
            "SELECT number, collection, name, paths FROM catalog ORDER BY collection, name"
        ):
            joined = [SEPARATOR.join(names) for names in paths]
            index = Index(number, collection.decode(), name, joined)
            self._of.setdefault(index.collection, []).append(index)
        rows = self._base.rows("SELECT collection, path FROM path ORDER BY collection, number")
        for collection, path in rows:
            self._paths.setdefault(collection.decode(), []).append(path)
        self._version = version

    def all(self) -> list[tuple[str, str, list[str]]]:
        found = [index for indexes in self._of.values() for index in indexes]
        return [(index.name, index.collection, list(index.paths)) for index in found]

    def keys_of(self, collection: str, body: bytes) -> str | None:
        """Return doc.keys as PostgreSQL writes an array; None: its collection has none."""
        paths = self._paths.get(collection)
        if paths is None:
            return None
        return "{" + ",".join([f'"\\\\x{edge_key(body, path).hex()}"' for path in paths]) + "}"

    def create(self, name: str, collection: str, paths: list[str], if_not_exists: bool) -> bool:
        """Return whether it is new. Raises QueryError for an index that cannot be."""
        if any(index.name == name for index in self._of.get(collection, [])):
            if if_not_exists:
                return False
            raise QueryError(f"index {name} exists on {collection}")
        check(name, collection, paths)
        if len(self.all()) >= INDEX_COUNT_MAX:
            raise QueryError(f"a store has at most {INDEX_COUNT_MAX} indexes")
        self._version = -1  # whatever comes of it
        places = self._add_paths(collection, [path.encode() for path in paths])
        number = self._base.rows("SELECT coalesce(max(number), 0) + 1 FROM catalog")[0][0]
        fields = json.dumps([path.split(SEPARATOR) for path in paths], ensure_ascii=True)
        self._base.run(
            "INSERT INTO catalog VALUES (%s, %s, %s, %s)", number, raw(collection), name, fields
        )
        keys = ", ".join([f"(keys[{place}])" for place in places])
        self._base.run(f"CREATE INDEX index_{number} ON doc ({keys}) WHERE {_is_in(collection)}")
        return True

    def drop(self, name: str, collection: str) -> None:
        found = [index for index in self._of.get(collection, []) if index.name == name]
        if not found:
            raise QueryError(f"there is no index {name} on {collection}")
        self._version = -1
        self._base.run(f"DROP INDEX index_{found[0].number}")
        self._base.run("DELETE FROM catalog WHERE number = %s", found[0].number)

    def look(self, collection: str, where: Any, arguments: dict[str, Any]) -> Look | None:
        """Return how to find a superset of what matches; None: no index helps."""
        indexes = self._of.get(collection)
        if not indexes or where is None:
            return None
        bounds = bounds_of(where, arguments)
        if any(one.is_empty() for one in bounds.values()):
            return Look("false", [], "nothing can match")
        best = max(indexes, key=lambda index: used_of(index, bounds))
        used = used_of(best, bounds)
        if used <= (0, 0):
            return None
        keys: list[Any] = []
        terms, texts = [_is_in(collection)], []
        for path in best.paths[: sum(used)]:
            points, low, high = bounds[path]
            name, place = path.replace(SEPARATOR, "."), self._place(collection, path.encode())
            if points is None:
                terms.append(f"keys[{place}] BETWEEN %s AND %s")
                keys += [low, high]
                texts.append(f"a range of {name}")
            else:
                terms.append(f"keys[{place}] = ANY(%s::bytea[])")
                keys.append(sorted(points))
                texts.append(
                    f"{len(points)} values of {name}" if len(points) != 1 else f"one {name}"
                )
        return Look(" AND ".join(terms), keys, f"index {best.name}: {' and '.join(texts)}")

    def found_by(self, look: Look) -> Iterator[tuple[str, bytes]]:
        """Yield (id, body), some in memory at once, and the ids of all."""
        rows = self._base.rows(f"SELECT collection, id FROM doc WHERE {look.where}", *look.keys)
        keys = [(row[0].decode(), row[1].decode()) for row in rows]
        for start in range(0, len(keys), FOUND_COUNT):
            for id, body in self._base.rows(
                "SELECT id, body FROM doc JOIN unnest(%s::bytea[], %s::bytea[], %s::smallint[])"
                " AS one(collection, id, shard) USING (collection, id, shard)",
                *columns_of(keys[start : start + FOUND_COUNT]),
            ):
                yield id.decode(), body

    def explain(self, look: Look) -> list[str]:
        rows = self._base.rows(f"EXPLAIN SELECT id, body FROM doc WHERE {look.where}", *look.keys)
        return [row[0] for row in rows]

    def _place(self, collection: str, path: bytes) -> int:
        return self._paths[collection].index(path) + 1

    def _add_paths(self, collection: str, paths: list[bytes]) -> list[int]:
        """Return where in doc.keys these are, of all documents."""
        known = self._paths.setdefault(collection, [])
        new = [path for path in paths if path not in known]
        for path in new:
            known.append(path)
            self._base.run(
                "INSERT INTO path VALUES (%s, %s, %s)", raw(collection), len(known), path
            )
        if new:
            self._fill(collection)
        return [self._place(collection, path) for path in paths]

    def _fill(self, collection: str) -> None:
        last = b""
        name = raw(collection)
        while rows := self._base.rows(
            "SELECT id, body FROM doc WHERE collection = %s AND id > %s ORDER BY id LIMIT %s",
            name,
            last,
            FILL_COUNT,
        ):
            keys = [self.keys_of(collection, body) for _, body in rows]
            self._base.run(
                "UPDATE doc SET keys = one.keys::bytea[]"
                " FROM unnest(%s::bytea[], %s::text[]) AS one(id, keys)"
                " WHERE collection = %s AND doc.id = one.id",
                [row[0] for row in rows],
                keys,
                name,
            )
            last = rows[-1][0]


def _is_in(collection: str) -> str:
    """Say it as a partial index wants it: without a parameter."""
    return f"collection = '\\x{raw(collection).hex()}'::bytea"
