"""
SELECT on a store, and the predicates of subscriptions.

Rows go one by one through WHERE, the groups, the order, and what is selected.
Only groups, and an order, hold more than one: of an order with a LIMIT about
twice as many as are wanted. Groups and DISTINCT are in core/query/group.py.
"""

from edge_peer.core import document as documents
from edge_peer.core.errors import QueryError
from edge_peer.core.query.evaluate import MISSING, evaluate, sort_key
from edge_peer.core.query.find import check_arguments, found, rows_of
from edge_peer.core.query.parser import parse
from edge_peer.core.query.view import view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_peer.core.query.execute import Codec
    from edge_peer.core.query.find import Fields
    from edge_peer.core.query.grammar_select import Select
    from edge_peer.core.store.store import Store

    Subscription = tuple[str, bytes]  # a statement and its arguments, packed
    Subscriptions = tuple[Subscription, ...]
    Matcher = Callable[[str, str, documents.Document], bool]

_SORT_SPARE = 64  # rows beside those that LIMIT wants, before they are sorted and cut


def select(
    statement: "Select", arguments: "Fields", store: "Store", codec: "Codec"
) -> "list[Fields]":
    """Return the rows; raise QueryError for an argument that is missing or wrong."""
    check_arguments(statement.columns, arguments)
    offset = whole_number("OFFSET", statement, arguments) or 0
    limit = whole_number("LIMIT", statement, arguments)
    end = None if limit is None else offset + limit
    rows: Iterable[Fields]
    if statement.where is None and _only_counts(statement):
        rows = rows_of(store, statement.collection)
    else:
        pairs = found(store, codec, statement.collection, statement.where, arguments)
        rows = (fields for _, fields in pairs)
    if statement.is_grouped:
        from edge_peer.core.query.group import grouped

        rows = grouped(rows, statement, arguments)
    if statement.order:
        rows = _sorted(rows, statement, arguments, None if statement.is_distinct else end)
    if statement.fields:
        rows = projected(rows, statement, arguments)
    if statement.is_distinct:
        from edge_peer.core.query.group import distinct

        rows = distinct(rows)
    return _first(rows, end)[offset:]


def matcher(subscriptions: "Iterable[Subscription]", codec: "Codec") -> "Matcher":
    """Return matches(collection, id, document) for [(SELECT text, packed arguments)].

    Of a collection that is subscribed every tombstone matches: who has the document
    must hear of it, and nobody knows what was in it.
    """
    parsed: list[tuple[Select, Fields]] = []
    for text, raw in subscriptions:
        statement = _subscribed(text)
        arguments = codec.unpack(raw) if raw else {}
        if not isinstance(arguments, dict):
            raise QueryError("a subscription's arguments are a map")
        check_arguments(statement.columns, arguments)
        parsed.append((statement, arguments))

    def matches(collection: str, id: str, document: "documents.Document") -> bool:
        fields = None
        for statement, arguments in parsed:
            if statement.collection == collection:
                if statement.where is None or documents.is_deleted(document):
                    return True
                if fields is None:
                    fields = view(document, codec.unpack)
                    fields["_id"] = id
                if evaluate(statement.where, fields, arguments) is True:
                    return True
        return False

    return matches


def filters(subscriptions: "Iterable[Subscription]") -> "dict[str, list[str]]":
    """Return collection -> the paths on which it depends what of it is subscribed."""
    found: dict[str, list[str]] = {}
    for text, _ in subscriptions:
        statement = _subscribed(text)
        _collect(statement.where, found.setdefault(statement.collection, []))
    return found


def _collect(node: "object", paths: "list[str]") -> None:
    if isinstance(node, tuple) and node:
        if node[0] == "field":
            paths.append(documents.SEPARATOR.join(node[1:]))
        elif node[0] != "value":
            for one in node[1:]:
                _collect(one, paths)


def _subscribed(text: str) -> "Select":
    statement: Select = parse(text)
    if (
        statement[0] != "select"
        or statement.is_distinct
        or statement.is_grouped
        or statement.order
        or statement.limit
        or statement.offset
    ):
        raise QueryError("a subscription is SELECT … FROM … WHERE …, and no more")
    return statement


def _only_counts(statement: "Select") -> bool:
    """Return whether no field of a document is asked for, only how many there are."""
    return (
        statement.is_grouped
        and not statement.groups
        and not any([node for _, _, node in statement.aggregates])
    )


def _sorted(
    rows: "Iterable[Fields]", statement: "Select", arguments: "Fields", count: "int | None"
) -> "list[Fields]":
    """Return the rows in their order, or the first `count` of them."""
    kept: list[Fields] = []
    for row in rows:
        kept.append(row)
        if count is not None and len(kept) >= 2 * count + _SORT_SPARE:
            kept = _in_order(kept, statement, arguments)[:count]
    return _in_order(kept, statement, arguments)


def _in_order(rows: "list[Fields]", statement: "Select", arguments: "Fields") -> "list[Fields]":
    """Sort by each key in turn, the last first; equal rows keep their order."""
    for node, descending in reversed(statement.order):
        sign = -1 if descending else 1
        keyed = [(sort_key(evaluate(node, rows[i], arguments)), sign * i) for i in range(len(rows))]
        keyed.sort(reverse=descending)
        rows = [rows[abs(i)] for _, i in keyed]
    return rows


def projected(
    rows: "Iterable[Fields]", statement: "Select", arguments: "Fields"
) -> "Iterator[Fields]":
    for row in rows:
        projected = {}
        for node, name in statement.fields:
            value = evaluate(node, row, arguments)
            if value is not MISSING:
                projected[name] = value
        yield projected


def _first(rows: "Iterable[Fields]", count: "int | None") -> "list[Fields]":
    first: list[Fields] = []
    if count is None:
        return list(rows)
    if count:
        for row in rows:
            first.append(row)
            if len(first) == count:
                break
    return first


def whole_number(word: str, statement: "Select", arguments: "Fields") -> "int | None":
    node = statement.limit if word == "LIMIT" else statement.offset
    if node is None:
        return None
    value = evaluate(node, {}, arguments)
    if not isinstance(value, int) or value is True or value is False or value < 0:
        raise QueryError("%s takes a whole number" % word, statement.columns[word])
    return value
