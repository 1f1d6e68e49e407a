"""
CREATE INDEX on a host: what SQLite can find by fields of the documents.

An index is an SQLite index over edge_key(body, path) of each of its fields (index_key.py),
for the documents of one collection. A predicate is a tree of core/query/expression.py. Of
its parts that AND joins, those count here that compare a field with a constant:

    = IN  IS NULL  IS MISSING       points: keys that the field must have one of
    < <= > >=  BETWEEN  LIKE 'p%'   a range of keys, with both its ends

An index helps if there are points for its first fields, or a range for the one behind
them. All else is left out, so what is found is at least what matches, and the evaluator
decides. A constant that no document could hold decides nothing here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from edge_peer.core.document import PATH_BYTES_MAX, SEPARATOR
from edge_peer.core.errors import QueryError
from edge_peer.core.ids import COLLECTION_BYTES_MAX
from edge_peer.core.query.evaluate import evaluate
from edge_peer.host.index_key import edge_key, key_of, kind_range, prefix_range
from edge_peer.host.schema import quoted

INDEX_COUNT_MAX = 64  # in a store: each insert asks all of its collection
FIELD_COUNT_MAX = 8
NAME_BYTES_MAX = 64
POINT_COUNT_MAX = 256  # SQLite takes 32,766 parameters

_OPERATORS = frozenset(
    ("=", "<", "<=", ">", ">=", "IN", "BETWEEN", "LIKE", "IS NULL", "IS MISSING")
)
_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPERATORS = frozenset((*_FLIPPED, "IN", "BETWEEN", "LIKE", "IS NULL", "IS MISSING"))
_CONSTANTS = ("value", "parameter")
NULL_KEY, MISSING_KEY = b"\1", b"\0"
_LOWEST, _HIGHEST = b"", b"\xff"


class Index(NamedTuple):
    number: int
    collection: str
    name: str
    paths: list[str]  # names joined by NUL


class Bounds(NamedTuple):
    """What a field's key must be: one of the points, if there are any, within a range."""

    points: frozenset[bytes] | None
    low: bytes
    high: bytes

    def and_also(self, other: Bounds) -> Bounds:
        low, high = max(self.low, other.low), min(self.high, other.high)
        points = self.points
        if points is None or other.points is None:
            points = other.points if points is None else points
        else:
            points &= other.points
        if points is not None:
            points = frozenset(one for one in points if low <= one <= high)
        return Bounds(points, low, high)

    def is_empty(self) -> bool:
        return self.low > self.high or (self.points is not None and not self.points)


class Look(NamedTuple):
    """How to find candidates: rows are SELECT … {source}, with `keys` for its parameters."""

    source: str
    keys: list[bytes | str]
    text: str  # what it does, for a person


class Indexes:
    def __init__(self, db: sqlite3.Connection) -> None:
        """`db` has not run a statement yet: what it reads of the file needs our function."""
        db.create_function("edge_key", 2, edge_key, deterministic=True)
        self._db = db
        self._of: dict[str, list[Index]] = {}  # collection ->

    def load(self) -> None:
        self._of = {}
        for number, collection, name, paths in self._db.execute(
            "SELECT number, collection, name, paths FROM catalog ORDER BY collection, name"
        ):
            joined = [SEPARATOR.join(names) for names in json.loads(paths)]
            self._of.setdefault(collection, []).append(Index(number, collection, name, joined))

    def all(self) -> list[tuple[str, str, list[str]]]:
        found = [index for indexes in self._of.values() for index in indexes]
        return [(index.name, index.collection, list(index.paths)) for index in found]

    def create(self, name: str, collection: str, paths: list[str], if_not_exists: bool) -> None:
        if any(index.name == name for index in self._of.get(collection, [])):
            if if_not_exists:
                return
            raise QueryError(f"index {name} exists on {collection}")
        check(name, collection, paths)
        if len(self.all()) >= INDEX_COUNT_MAX:
            raise QueryError(f"a store has at most {INDEX_COUNT_MAX} indexes")
        fields = json.dumps([path.split(SEPARATOR) for path in paths], ensure_ascii=False)
        keys = ", ".join([_key_sql(path) for path in paths])
        with self._transaction():
            number = self._db.execute(
                "INSERT INTO catalog (collection, name, paths) VALUES (?, ?, ?)",
                (collection, name, fields),
            ).lastrowid
            self._db.execute(
                f"CREATE INDEX index_{number} ON doc ({keys})"
                f" WHERE collection = {quoted(collection)}"
            )
        self.load()

    def drop(self, name: str, collection: str) -> None:
        found = [index for index in self._of.get(collection, []) if index.name == name]
        if not found:
            raise QueryError(f"there is no index {name} on {collection}")
        number = found[0].number
        with self._transaction():
            self._db.execute(f"DROP INDEX index_{number}")
            self._db.execute("DELETE FROM catalog WHERE number = ?", (number,))
        self.load()

    def look(self, collection: str, where: Any, arguments: dict[str, Any]) -> Look | None:
        """Return how to find a superset of what matches; None: no index helps."""
        indexes = self._of.get(collection)
        if not indexes or where is None:
            return None
        bounds = bounds_of(where, arguments)
        if any(one.is_empty() for one in bounds.values()):
            return Look("FROM doc WHERE 0", [], "nothing can match")
        best = max(indexes, key=lambda index: used_of(index, bounds))
        used = used_of(best, bounds)
        return _look(best, bounds, used) if used > (0, 0) else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def bounds_of(where: Any, arguments: dict[str, Any]) -> dict[str, Bounds]:
    """Return what a predicate asks of each field: {path: bounds}."""
    found: dict[str, Bounds] = {}
    nodes = [where]
    while nodes:
        node = nodes.pop()
        if node[0] == "AND":
            nodes.extend(node[1:])
            continue
        try:
            part = _part(node, arguments) if node[0] in _OPERATORS else None
        except (QueryError, ValueError, TypeError, RecursionError):
            part = None  # an argument that is missing, or no value of a document
        if part is not None:
            path, bounds = part
            found[path] = found[path].and_also(bounds) if path in found else bounds
    return found


def _part(node: Any, arguments: dict[str, Any]) -> tuple[str, Bounds] | None:
    """Return (path, bounds) of a comparison, if it is one of a field with a constant."""
    operator, left = node[0], node[1]
    right = node[2] if len(node) > 2 else ("value", None)
    if operator in _FLIPPED and left[0] != "field":
        operator, left, right = _FLIPPED[operator], right, left
    if left[0] != "field" or left[1] == "_id" or not _is_constant(right):
        return None
    bounds = _bounds(operator, evaluate(right, {}, arguments))
    return None if bounds is None else (SEPARATOR.join(left[1:]), bounds)


def _bounds(operator: str, value: Any) -> Bounds | None:
    """Return what `field operator value` asks of the field's key. Raises as key_of does."""
    if operator == "=":
        return _points([value])
    if operator == "IN":
        return _points(value) if isinstance(value, (list, tuple)) else NOTHING
    if operator == "IS NULL" or operator == "IS MISSING":
        key = NULL_KEY if operator == "IS NULL" else MISSING_KEY
        return Bounds(frozenset([key]), _LOWEST, _HIGHEST)
    if operator == "LIKE":
        return _like(value)
    if operator == "BETWEEN":
        return _ordered(">=", value[0]).and_also(_ordered("<=", value[1]))
    return _ordered(operator, value)


NOTHING = Bounds(frozenset(), _LOWEST, _HIGHEST)


def _points(values: Any) -> Bounds:
    """One of these; NULL equals nothing."""
    points = frozenset(key_of(value) for value in values if value is not None)
    if len(points) <= POINT_COUNT_MAX:
        return Bounds(points, _LOWEST, _HIGHEST)
    return Bounds(None, min(points), max(points))


def _ordered(operator: str, value: Any) -> Bounds:
    """Only numbers, text and bytes are less than others, and than those of their own kind."""
    key = key_of(value)
    if not 3 <= key[0] <= 5:
        return NOTHING
    low, high = kind_range(key)
    return Bounds(None, low, key) if operator[0] == "<" else Bounds(None, key, high)


def _like(pattern: Any) -> Bounds | None:
    if not isinstance(pattern, str):
        return NOTHING
    prefix = pattern.replace("_", "%").split("%")[0]
    if prefix == pattern:
        return _points([pattern])
    return Bounds(None, *prefix_range(prefix)) if prefix else None


def _is_constant(node: Any) -> bool:
    """Return whether an expression is the same for every document."""
    nodes = [node]
    while nodes:
        node = nodes.pop()
        if node[0] == "field":
            return False
        if node[0] == "map":
            nodes.extend([pair[1] for pair in node[1:]])
        elif node[0] not in _CONSTANTS:
            nodes.extend(node[1:])
    return True


def used_of(index: Index, bounds: dict[str, Bounds]) -> tuple[int, int]:
    """Return how many of the index's fields are looked up by points, and whether one by range."""
    count = 0
    for path in index.paths:
        if path not in bounds:
            break
        if bounds[path].points is None:
            return count, 1
        count += 1
    return count, 0


def _look(index: Index, bounds: dict[str, Bounds], used: tuple[int, int]) -> Look:
    keys: list[bytes | str] = []
    terms, texts = [], []
    for path in index.paths[: sum(used)]:
        points, low, high = bounds[path]
        name, key = path.replace(SEPARATOR, "."), _key_sql(path)
        if points is None:
            terms.append(f"{key} BETWEEN ? AND ?")
            keys += [low, high]
            texts.append(f"a range of {name}")
        else:
            terms.append(f"{key} IN ({', '.join('?' * len(points))})")
            keys += sorted(points)
            texts.append(f"{len(points)} values of {name}" if len(points) != 1 else f"one {name}")
    where = " AND ".join([f"collection = {quoted(index.collection)}", *terms])
    source = f"FROM doc INDEXED BY index_{index.number} WHERE {where}"
    return Look(source, keys, f"index {index.name}: {' and '.join(texts)}")


def check(name: str, collection: str, paths: list[str]) -> None:
    """Raise QueryError for an index that cannot be."""
    if not 0 < len(name.encode()) <= NAME_BYTES_MAX:
        raise QueryError(f"an index's name has 1 to {NAME_BYTES_MAX} bytes")
    if not 0 < len(collection.encode()) <= COLLECTION_BYTES_MAX or "\0" in collection:
        raise QueryError(f"no collection can be called {collection}")
    if not 0 < len(paths) <= FIELD_COUNT_MAX or len(set(paths)) < len(paths):
        raise QueryError(f"an index has 1 to {FIELD_COUNT_MAX} fields, each once")
    for path in paths:
        names = path.split(SEPARATOR)
        if names[0] == "_id":
            raise QueryError("_id needs no index")
        if "" in names or len(path.encode()) > PATH_BYTES_MAX:
            raise QueryError(f"a field's name has 1 to {PATH_BYTES_MAX} bytes")


def _key_sql(path: str) -> str:
    return f"edge_key(body, X'{path.encode().hex()}')"
