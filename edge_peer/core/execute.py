"""
Run a statement of core/query.py on a store.

One Executor serves a board, a gateway and the Big Peer alike: it sees documents
one by one and knows nothing of how the log beneath keeps them. What SELECT
needs is loaded with the first SELECT.
"""

from collections import namedtuple

from edge_peer.core import document as documents
from edge_peer.core.errors import QueryError
from edge_peer.core.messages import COLLECTION_BYTES_MAX, ID_BYTES_MAX
from edge_peer.core.packing import to_utf8
from edge_peer.core.query import Insert, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from edge_peer.core.expression import Node, Select
    from edge_peer.core.select import Matcher
    from edge_peer.core.store import Store, Write
    from edge_peer.core.sync import Subscription

    class Codec(Protocol):
        """MessagePack: core/codec.py, or host/codec.py where the msgpack package is."""

        def pack(self, value: object) -> bytes: ...
        def unpack(self, data: bytes) -> object: ...


PARSED_COUNT_MAX = 4  # statements that an application repeats are parsed once

# kind: "select" or "insert"; items: what SELECT found; ids: the documents that were written
Result = namedtuple("Result", ("kind", "items", "ids"))


class Executor:
    def __init__(self, store: "Store", codec: "Codec") -> None:
        self._store = store
        self._codec = codec
        self._parsed: dict[str, Select | Insert] = {}

    def execute(self, text: str, arguments: "dict[str, object] | None" = None) -> Result:
        """Run one statement; durable on return.

        Raises QueryError for a wrong statement, argument or document, and
        StoreFull with nothing changed when there is no room.
        """
        try:
            return self._execute(text, arguments or {})
        except RuntimeError:  # what MicroPython raises when the stack is used up
            raise QueryError("statement or document nested too deep for this machine")

    def _execute(self, text: str, arguments: "dict[str, Any]") -> Result:
        statement = self._parse(text)
        if isinstance(statement, Insert):
            return self._insert(statement, arguments)
        from edge_peer.core.select import select

        return Result("select", select(statement, arguments, self._store, self._codec), [])

    def matcher(self, subscriptions: "Iterable[Subscription]") -> "Matcher":
        """Return matches(collection, id, document) for [(SELECT text, packed arguments)]."""
        if not subscriptions:
            return lambda collection, id, document: False
        from edge_peer.core.select import matcher

        return matcher(subscriptions, self._codec)

    def _parse(self, text: str) -> "Select | Insert":
        statement = self._parsed.get(text)
        if statement is None:
            statement = parse(text)
            if len(self._parsed) >= PARSED_COUNT_MAX:
                self._parsed = {}
            self._parsed[text] = statement
        return statement

    # INSERT

    def _insert(self, statement: Insert, arguments: "dict[str, object]") -> Result:
        if len(statement.collection.encode()) > COLLECTION_BYTES_MAX:
            raise QueryError("a collection's name has at most %d bytes" % COLLECTION_BYTES_MAX)
        writes = []
        seen: dict[str, set[str]] = {}
        for node in statement.documents:
            value = _value(node, arguments)
            for fields in value if isinstance(value, (list, tuple)) else (value,):
                write = self._write(statement, fields, seen)
                if write is not None:
                    writes.append(write)
        return Result("insert", [], self._store.write(writes) if writes else [])

    def _write(
        self, statement: Insert, fields: "Any", seen: "dict[str, set[str]]"
    ) -> "Write | None":
        """Return one write for Store.insert, or None where ON ID CONFLICT says so.

        seen: id -> paths of every document that exists, or that this statement wrote before.
        """
        if not isinstance(fields, dict):
            raise QueryError("a document is a map of fields, not %s" % type(fields).__name__)
        id = fields.get("_id")
        values = {name: fields[name] for name in fields if name != "_id"}
        if not values:
            raise QueryError("a document has at least one field beside _id")
        try:
            flat = documents.flatten(values, self._codec.pack)
            if id is None:
                return statement.collection, None, flat
            if not isinstance(id, str) or not 0 < len(to_utf8(id)) <= ID_BYTES_MAX:
                raise ValueError("_id is text of 1 to %d bytes" % ID_BYTES_MAX)
        except (TypeError, ValueError) as error:
            raise QueryError(str(error))
        if id not in seen:
            old = self._store.get(statement.collection, id)
            if old is not None:
                seen[id] = set(old)
        if id in seen and statement.on_conflict != "UPDATE":
            if statement.on_conflict == "NOTHING":
                return None
            raise QueryError("_id %s exists; ON ID CONFLICT says what to do then" % id)
        paths = seen.setdefault(id, set())
        paths.update(flat)
        if len(paths) > documents.CELL_COUNT_MAX:
            raise QueryError("a document has at most %d fields" % documents.CELL_COUNT_MAX)
        return statement.collection, id, flat


def _value(node: "Node", arguments: "dict[str, object]") -> "Any":
    if node[0] != "parameter":
        from edge_peer.core.evaluate import evaluate

        return evaluate(node, {}, arguments)
    if node[1] not in arguments:
        raise QueryError("no argument for :%s" % node[1])
    return arguments[node[1]]
