"""
CREATE INDEX, DROP INDEX and EXPLAIN on a store.

Indexes are the log's own; where it has none these are refused. EXPLAIN runs
nothing: it says which of the three ways of core/query/find.py would be taken.
"""

from edge_peer.core.errors import QueryError
from edge_peer.core.query.find import check_arguments, has_indexes, ids_asked_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.query.find import Fields
    from edge_peer.core.query.parser import Statement
    from edge_peer.core.store.store import Store


def change_indexes(statement: "Statement", store: "Store") -> None:
    """Raises QueryError for an index that exists, or does not, or where there are none."""
    log: Any = store.log
    if not log.has_indexes:
        raise QueryError(
            "indexes need a host: this peer keeps its documents on flash",
            statement.columns["INDEX"],
        )
    try:
        if statement.kind == "create index":
            log.create_index(
                statement.name, statement.collection, statement.paths, statement.if_exists
            )
        elif statement.if_exists and not _has(log, statement.name, statement.collection):
            return
        else:
            log.drop_index(statement.name, statement.collection)
    except QueryError as error:
        raise QueryError(str(error), statement.columns["INDEX"])


def explain(statement: "Statement", arguments: "Fields", store: "Store") -> "list[Fields]":
    """Return one row: {"statement": its kind, "collection", "plan": a sentence}."""
    check_arguments(statement[-1], arguments)
    row = {"statement": statement[0], "collection": statement.collection}
    row["plan"] = _plan(statement, arguments, store)
    return [row]


def _plan(statement: "Statement", arguments: "Fields", store: "Store") -> str:
    if statement[0] == "insert":
        return "looks up each _id that is given"
    if "index" in statement[0]:
        return "reads the whole collection once" if statement[0][0] == "c" else "reads nothing"
    collection, where = statement.collection, statement.where
    if where is not None:
        ids = ids_asked_for(where, arguments)
        if ids is not None:
            return "looks up %d by _id" % len(ids)
        if has_indexes(store):
            log: Any = store.log
            plan: str = log.plan(collection, where, arguments)
            return plan
    return "scans the collection"


def _has(log: "Any", name: str, collection: str) -> bool:
    return (name, collection) in [one[:2] for one in log.indexes()]
