"""
Run a statement of core/query/parser.py on a store.

One Executor serves a board, a gateway and the Big Peer alike: it sees documents
one by one and knows nothing of how the log beneath keeps them. INSERT is here; what
the other statements need is loaded with the first of them.
"""

from collections import namedtuple

from edge_peer.core import document as documents
from edge_peer.core.clock import INITIAL_STAMP
from edge_peer.core.errors import QueryError
from edge_peer.core.ids import COLLECTION_BYTES_MAX, ID_BYTES_MAX
from edge_peer.core.packing import to_utf8
from edge_peer.core.query.parser import PARSED_COUNT_MAX, bare, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from edge_peer.core.query.expression import Node
    from edge_peer.core.query.parser import Insert, Statement
    from edge_peer.core.query.select import Matcher, Subscription
    from edge_peer.core.store.store import Store, Write

    class Codec(Protocol):
        """MessagePack: core/codec.py, or host/codec.py where the msgpack package is."""

        def pack(self, value: object) -> bytes: ...
        def unpack(self, data: bytes) -> object: ...


_CHANGES = ("update", "delete", "evict")

# kind: what the statement did, "select", "insert", "create index", …; items: the rows of
# SELECT and EXPLAIN; ids: the documents that were written or evicted; warnings: sentences
Result = namedtuple("Result", ("kind", "items", "ids", "warnings"))


class Executor:
    def __init__(self, store: "Store", codec: "Codec") -> None:
        self._store = store
        self._codec = codec
        self._parsed: dict[str, Statement] = {}
        self._loaded: dict[str, Any] = {}  # what runs a kind of statement, once there was one

    def execute(self, text: str, arguments: "dict[str, object] | None" = None) -> Result:
        """Run one statement; durable on return.

        Raises QueryError for a wrong statement, argument or document, with nothing
        changed, and StoreFull when there is no room: nothing is changed by an INSERT;
        core/query/change.py says what UPDATE and DELETE do.
        """
        try:
            return self._execute(self._parse(text), arguments or {})
        except RuntimeError:  # what MicroPython raises when the stack is used up
            raise QueryError("statement or document nested too deep for this machine")

    def _execute(self, statement: "Statement", arguments: "dict[str, Any]") -> Result:
        kind = statement[0]
        if kind == "insert":
            return self._insert(statement, arguments)
        if kind not in self._loaded:  # to import again what is loaded takes a board 0.9 ms
            self._loaded[kind] = _load(kind)
        run = self._loaded[kind]
        if kind == "select":
            try:
                rows = run(statement, arguments, self._store, self._codec)
            except MemoryError:
                raise QueryError("more rows than this machine's memory has room for: say LIMIT")
            return Result(kind, rows, [], [])
        if kind in _CHANGES:
            ids, warnings = run(statement, arguments, self._store, self._codec)
            return Result(kind, [], ids, warnings)
        if kind == "explain":
            return Result(kind, run(statement.statement, arguments, self._store), [], [])
        run(statement, self._store)
        return Result(kind, [], [], [])

    def matcher(self, subscriptions: "Iterable[Subscription]") -> "Matcher":
        """Return matches(collection, id, document) for [(SELECT text, packed arguments)]."""
        if not subscriptions:
            return lambda collection, id, document: False
        from edge_peer.core.query.select import matcher

        return matcher(subscriptions, self._codec)

    def _parse(self, text: str) -> "Statement":
        statement = self._parsed.get(text)
        if statement is None:
            statement = parse(text)
            if len(self._parsed) >= PARSED_COUNT_MAX:
                self._parsed = {}
            self._parsed[text] = statement
        return statement

    # INSERT

    def _insert(self, statement: "Insert", arguments: "dict[str, object]") -> Result:
        if len(statement.collection.encode()) > COLLECTION_BYTES_MAX:
            raise QueryError("a collection's name has at most %d bytes" % COLLECTION_BYTES_MAX)
        documents_given = [node for node, _ in statement.documents]  # which `flatten` looks at
        for name, column in statement.columns.items():
            if bare(name) not in arguments:
                raise QueryError("no argument for " + name, column)
            if ("parameter", bare(name)) not in documents_given:
                from edge_peer.core.query.find import check_finite

                check_finite(name, arguments[bare(name)], column)
        writes = []
        seen: dict[str, set[str]] = {}
        for node, column in statement.documents:
            value = _value(node, arguments)
            for fields in value if isinstance(value, (list, tuple)) else (value,):
                try:
                    write = self._write(statement, fields, seen)
                except (TypeError, ValueError) as error:
                    raise QueryError(str(error), column)
                if write is not None:
                    writes.append(write)
        if not writes:
            return Result("insert", [], [], [])
        stamps = [INITIAL_STAMP] * len(writes) if statement.on_conflict == "INITIAL" else None
        return Result("insert", [], self._store.write(writes, stamps), [])

    def _write(
        self, statement: "Insert", fields: "Any", seen: "dict[str, set[str]]"
    ) -> "Write | None":
        """Return one write for Store.write, or None where the statement says that there is none.

        seen: id -> paths of every document of which that was asked or written before.
        Raises TypeError or ValueError for what is no document.
        """
        if not isinstance(fields, dict):
            raise TypeError("a document is a map of fields, not %s" % type(fields).__name__)
        id = fields.get("_id")
        values = fields
        if "_id" in fields:
            values = {name: fields[name] for name in fields if name != "_id"}
        if not values:
            raise ValueError("a document has at least one field beside _id")
        flat = documents.flatten(values, self._codec.pack)
        if id is None and statement.on_conflict != "INITIAL":
            return statement.collection, None, flat
        if not isinstance(id, str) or not 0 < len(to_utf8(id)) <= ID_BYTES_MAX:
            raise ValueError("_id is text of 1 to %d bytes" % ID_BYTES_MAX)
        exists = id in seen
        if not exists:
            exists, seen[id] = self._paths(statement, id)
        if exists and statement.on_conflict != "UPDATE":
            if statement.on_conflict != "FAIL":
                return None
            raise ValueError("_id %s exists; ON ID CONFLICT says what to do then" % id)
        paths = seen[id]
        paths.update(flat)
        if len(paths) > documents.CELL_COUNT_MAX:
            raise ValueError("a document has at most %d fields" % documents.FIELD_COUNT_MAX)
        if statement.on_conflict != "INITIAL":  # nobody would take that for newer than a delete
            flat[documents.BIRTH] = documents.NIL
        return statement.collection, id, flat

    def _paths(self, statement: "Insert", id: str) -> "tuple[bool, set[str]]":
        """Return whether a document exists, and what it has of the cells that one may have.

        For INITIAL a deleted one exists, too.
        """
        paths = set([documents.LIFE, documents.BIRTH])
        body = self._store.body(statement.collection, id)
        if body is None:
            return False, paths
        document = documents.decode(body)
        if statement.on_conflict != "INITIAL" and documents.is_deleted(document):
            return False, paths
        paths.update(document)
        return True, paths


def _load(kind: str) -> "Any":
    """Return what runs statements of this kind."""
    if kind == "select":
        from edge_peer.core.query.select import select

        return select
    if kind in _CHANGES:
        from edge_peer.core.query.change import change

        return change
    from edge_peer.core.query.plan import change_indexes, explain

    return explain if kind == "explain" else change_indexes


def _value(node: "Node", arguments: "dict[str, object]") -> "Any":
    if node[0] == "parameter":
        return arguments[node[1]]
    from edge_peer.core.query.evaluate import evaluate

    return evaluate(node, {}, arguments)
