"""
The documents of a collection that WHERE takes: where SELECT, UPDATE, DELETE and EVICT begin.

Of the three ways to them the first that leads there is taken:

 1. WHERE _id = … or _id IN […], alone or with AND: a look for each id.
 2. An index, where the log has indexes and one of them helps.
 3. A scan, which passes over what core/query/prefilter.py can rule out by its raw bytes.

Each way may give documents too many, so in the end WHERE itself is evaluated.
"""

from edge_peer.core.codec import DEPTH_MAX
from edge_peer.core.document import decode, is_deleted
from edge_peer.core.errors import QueryError
from edge_peer.core.packing import to_utf8
from edge_peer.core.query.evaluate import evaluate
from edge_peer.core.query.parser import bare
from edge_peer.core.query.view import fields_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from edge_peer.core.query.execute import Codec
    from edge_peer.core.query.expression import Node
    from edge_peer.core.store.store import Store

    Fields = dict[str, object]

# One stands in every deleted document: the head and the value of LIFE.
_TOMBSTONES = (b"\2\1\xc0", b"\2\x10\xc4\x0e")
_ID = ("field", "_id")
_CONSTANTS = ("value", "parameter")
_INFINITY = float("inf")


def check_arguments(columns: "dict[str, int]", arguments: "Fields") -> None:
    """Before the first document is looked at: there may be none, and it may not need them all.

    Raises QueryError for one that is missing, or that `check_finite` refuses.
    """
    for name in columns:
        if name[0] == ":":
            if bare(name) not in arguments:
                raise QueryError("no argument for " + name, columns[name])
            value = arguments[bare(name)]
            if not isinstance(value, str):
                check_finite(name, value, columns[name])


def check_finite(name: str, value: object, column: int, depth: int = 1) -> None:
    """Refuse NaN and infinity, however deep: no document holds them, and NaN has no order."""
    if isinstance(value, float):
        if not -_INFINITY < value < _INFINITY:
            raise QueryError("NaN and infinity are no values: %s" % name, column)
    elif isinstance(value, (list, tuple, dict)):
        if depth > DEPTH_MAX:
            raise QueryError("values are nested at most %d deep: %s" % (DEPTH_MAX, name), column)
        for item in value.values() if isinstance(value, dict) else value:
            check_finite(name, item, column, depth + 1)


def found(
    store: "Store", codec: "Codec", collection: str, where: "Node | None", arguments: "Fields"
) -> "Iterator[tuple[bytes, Fields]]":
    """Yield (body, fields with `_id`) of each document for which WHERE is true."""
    is_exact = where is None or _is_lookup(where)
    for id, body in candidates(store, codec, collection, where, arguments):
        fields = fields_of(body, codec.unpack)
        if fields is not None:
            fields["_id"] = id
            if is_exact or evaluate(where, fields, arguments) is True:  # type: ignore[arg-type]
                yield body, fields


def rows_of(store: "Store", collection: str) -> "Iterator[Fields]":
    """Yield nothing but a row for each document, for those who only count."""
    nothing: Fields = {}
    for _, body in store.scan(collection):
        if not (_TOMBSTONES[0] in body or _TOMBSTONES[1] in body) or not is_deleted(decode(body)):
            yield nothing


def candidates(
    store: "Store", codec: "Codec", collection: str, where: "Node | None", arguments: "Fields"
) -> "Iterable[tuple[str, bytes]]":
    """Return (id, body) of all documents that can match, and maybe of others."""
    if where is None:
        return store.scan(collection)
    ids = ids_asked_for(where, arguments)
    if ids is not None:
        return _by_ids(store, collection, ids)
    if has_indexes(store):
        log: Any = store.log
        indexed: Iterable[tuple[str, bytes]] | None = log.candidates(collection, where, arguments)
        if indexed is not None:
            return indexed
    from edge_peer.core.query.prefilter import prefilter

    return store.scan(collection, prefilter(where, arguments, codec.unpack))


def ids_asked_for(where: "Node", arguments: "Fields") -> "list[str] | None":
    """Return the only ids that a document can have for WHERE to be true; None if it may be any."""
    if _is_lookup(where):
        id: Any = arguments[where[2][1]] if where[2][0] == "parameter" else where[2][1]
        return [id] if _is_text(id) else []
    nodes = [where]
    while nodes:
        node = nodes.pop()
        if node[0] == "AND":
            nodes.extend(node[1:])
        elif (node[0] == "=" or node[0] == "IN") and _names_constants(node):
            value = evaluate(node[2], {}, arguments)
            if node[0] == "=":
                value = [value]
            if isinstance(value, (list, tuple)):
                return sorted(set([id for id in value if _is_text(id)]))
    return None


def has_indexes(store: "Store") -> bool:
    """An open batch has documents that no index knows of yet."""
    return store.log.has_indexes and store.open_batch is None


def _is_lookup(where: "Node") -> bool:
    """Return whether this is `_id = …` and no more."""
    return where[0] == "=" and where[1] == _ID and where[2][0] in _CONSTANTS


def _names_constants(node: "Node") -> bool:
    values = node[2][1:] if node[2][0] == "array" else (node[2],)
    return node[1] == _ID and all([one[0] in _CONSTANTS for one in values])


def _is_text(id: object) -> bool:
    """No document is called by half a surrogate pair, and no log can look for it."""
    try:
        return isinstance(id, str) and to_utf8(id) is not None
    except ValueError:
        return False


def _by_ids(store: "Store", collection: str, ids: "list[str]") -> "Iterator[tuple[str, bytes]]":
    for id in ids:
        body = store.body(collection, id)
        if body is not None:
            yield id, body
