"""
SELECT on a store, and the predicates of subscriptions.

Documents are looked at one by one; WHERE _id = … needs one look. A document
whose bytes lack a text that WHERE asks for is not even decoded.
"""

from edge_peer.core import document as documents
from edge_peer.core.errors import QueryError
from edge_peer.core.evaluate import MISSING, evaluate, sort_key
from edge_peer.core.expression import Select
from edge_peer.core.packing import to_utf8
from edge_peer.core.query import parse
from edge_peer.core.view import fields_of, view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_peer.core.execute import Codec
    from edge_peer.core.expression import Node
    from edge_peer.core.store import Store
    from edge_peer.core.sync import Subscription

    Fields = dict[str, object]
    Matcher = Callable[[str, str, documents.Document], bool]

_CONSTANTS = ("value", "parameter")


def select(
    statement: Select, arguments: "Fields", store: "Store", codec: "Codec"
) -> "list[Fields]":
    """Return the rows; raise QueryError for an argument that is missing or wrong."""
    _check_arguments(statement, arguments)
    rows = _matching(statement, arguments, store, codec)
    if statement.kind == "count":
        return [{"count": sum([1 for _ in rows])}]
    limit = _whole_number("LIMIT", statement.limit, arguments)
    offset = _whole_number("OFFSET", statement.offset, arguments) or 0
    if statement.order:
        found = _sorted(list(rows), statement, arguments)
    else:
        found = _first(rows, None if limit is None else offset + limit)
    found = found[offset:] if limit is None else found[offset : offset + limit]
    if statement.kind == "*":
        return found
    return [_project(fields, statement, arguments) for fields in found]


def matcher(subscriptions: "Iterable[Subscription]", codec: "Codec") -> "Matcher":
    """Return matches(collection, id, document) for [(SELECT text, packed arguments)]."""
    parsed: list[tuple[Select, Fields]] = []
    for text, raw in subscriptions:
        statement = parse(text)
        if not isinstance(statement, Select) or (
            statement.order or statement.limit or statement.offset
        ):
            raise QueryError("a subscription is SELECT … FROM … WHERE …, and no more")
        arguments = codec.unpack(raw) if raw else {}
        if not isinstance(arguments, dict):
            raise QueryError("a subscription's arguments are a map")
        _check_arguments(statement, arguments)
        parsed.append((statement, arguments))

    def matches(collection: str, id: str, document: "documents.Document") -> bool:
        fields = None
        for statement, arguments in parsed:
            if statement.collection == collection:
                if documents.is_deleted(document):
                    return True  # nobody can know whether it matched
                if fields is None:
                    fields = view(document, codec.unpack)
                    fields["_id"] = id
                if _is_true(statement.where, fields, arguments):
                    return True
        return False

    return matches


def _check_arguments(statement: Select, arguments: "Fields") -> None:
    """Before the first document is looked at: there may be none, and it may not need them all."""
    for name in statement.parameters:
        if name not in arguments:
            raise QueryError("no argument for :%s" % name)


def _matching(
    statement: Select, arguments: "Fields", store: "Store", codec: "Codec"
) -> "Iterator[Fields]":
    for id, body in _candidates(statement, arguments, store):
        fields = fields_of(body, codec.unpack)
        if fields is None:
            continue
        fields["_id"] = id
        if _is_true(statement.where, fields, arguments):
            yield fields


def _candidates(
    statement: Select, arguments: "Fields", store: "Store"
) -> "Iterable[tuple[str, bytes]]":
    where = statement.where
    if (
        where is not None
        and where[0] == "="
        and where[1] == ("field", "_id")
        and where[2][0] in _CONSTANTS
    ):
        id = evaluate(where[2], {}, arguments)
        body = store.body(statement.collection, id) if isinstance(id, str) else None
        return [] if body is None else [(id, body)]
    part = _text_in_all(where, arguments)
    return store.scan(statement.collection, (lambda body: part in body) if part else None)


def _text_in_all(where: "Node | None", arguments: "Fields") -> bytes:
    """Return the longest text that WHERE field = text AND … asks for, as UTF-8.

    However the author packed it, it stands like that in every document that can match.
    """
    longest = b""
    nodes = [] if where is None else [where]
    while nodes:
        node = nodes.pop()
        if node[0] == "AND":
            nodes.extend(node[1:])
        elif node[0] == "=" and node[1][0] == "field" and node[2][0] in _CONSTANTS:
            text = evaluate(node[2], {}, arguments)
            if isinstance(text, str) and node[1] != ("field", "_id"):
                longest = max(longest, _utf8(text), key=len)
    return longest


def _utf8(text: str) -> bytes:
    try:
        return to_utf8(text)
    except ValueError:  # half a surrogate pair, which no document holds
        return b""


def _is_true(where: "Node | None", fields: "Fields", arguments: "Fields") -> bool:
    return where is None or evaluate(where, fields, arguments) is True


def _sorted(rows: "list[Fields]", statement: Select, arguments: "Fields") -> "list[Fields]":
    """Sort by each key in turn, the last first; equal rows keep their order."""
    for node, descending in reversed(statement.order):
        sign = -1 if descending else 1
        keyed = [(sort_key(evaluate(node, rows[i], arguments)), sign * i) for i in range(len(rows))]
        keyed.sort(reverse=descending)
        rows = [rows[abs(i)] for _, i in keyed]
    return rows


def _first(rows: "Iterator[Fields]", count: "int | None") -> "list[Fields]":
    found: list[Fields] = []
    if count == 0:
        return found
    for row in rows:
        found.append(row)
        if len(found) == count:
            break
    return found


def _project(fields: "Fields", statement: Select, arguments: "Fields") -> "Fields":
    row = {}
    for node, name in statement.fields:
        value = evaluate(node, fields, arguments)
        if value is not MISSING:
            row[name] = value
    return row


def _whole_number(what: str, node: "Node | None", arguments: "Fields") -> "int | None":
    if node is None:
        return None
    value = evaluate(node, {}, arguments)
    if not isinstance(value, int) or value is True or value is False or value < 0:
        raise QueryError("%s takes a whole number" % what)
    return value
