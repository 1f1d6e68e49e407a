"""
DQL for a key that may not do everything.

 1. What WHERE looks at is what the key may read: its predicate is put into the statement
    with AND, before groups, aggregates and LIMIT. That goes for UPDATE and DELETE, too,
    or their answers would tell what lies in documents that the key cannot see.
 2. What a statement writes waits in a batch. Of each document the state before and the
    state after must fulfil what the key may write, or nothing of the statement happens.
    A deleted document has no state: anybody who may write the new one may begin it anew.
 3. Indexes are everybody's: to make or drop one, a key must be allowed to write everything.

An INSERT that names an `_id` tells whether there is such a document, whoever reads it:
ids are one space for all. In a batch no index is used, as it does not know what waits.
"""

from typing import TYPE_CHECKING, Any

from edge_peer.bigpeer.permissions import ALWAYS, Permissions, takes
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.core.query.execute import Executor, Result
from edge_peer.core.query.parser import Explain, parse
from edge_peer.core.query.view import fields_of
from edge_peer.core.store.batch import Batch
from edge_peer.core.store.store import Store

if TYPE_CHECKING:
    from edge_peer.core.query.execute import Codec

CHANGED_COUNT_MAX = 10_000  # documents of one statement that wait in memory to be checked
FORBIDDEN = "forbidden"


class ScopedExecutor(Executor):
    """An Executor that does what these permissions allow, and else raises Refusal (403)."""

    def __init__(self, store: Store, codec: "Codec", permissions: Permissions) -> None:
        super().__init__(store, codec)
        self._permissions = permissions

    def execute(self, text: str, arguments: "dict[str, Any] | None" = None) -> Result:
        statement = parse(text)
        if statement[0] not in ("insert", "update", "delete"):
            return super().execute(text, arguments)
        if self._permissions.writes(statement.collection) == ALWAYS:
            return super().execute(text, arguments)
        with _CheckedBatch(self._store, self._codec, self._permissions):
            return super().execute(text, arguments)

    def _parse(self, text: str) -> Any:
        return restricted(parse(text), self._permissions)


class _CheckedBatch(Batch):
    def __init__(self, store: Store, codec: "Codec", permissions: Permissions) -> None:
        super().__init__(store)
        self._unpack = codec.unpack
        self._permissions = permissions

    def write(self, writes: Any, stamps: "list[int] | None" = None) -> "list[str]":
        ids = super().write(writes, stamps)
        if len(self.puts) > CHANGED_COUNT_MAX:
            text = f"this key changes at most {CHANGED_COUNT_MAX} documents at once: narrow WHERE"
            raise Refusal(413, "size", text)
        for (collection, _, _), id in zip(writes, ids, strict=True):
            before = self._store.log.get(collection, id)
            self._check(collection, id, before, self.puts[collection, id][1])
        return ids

    def _check(self, collection: str, id: str, *bodies: "bytes | None") -> None:
        rule = self._permissions.writes(collection)
        for body in bodies:
            fields = None if body is None else fields_of(body, self._unpack)
            if fields is not None:
                fields["_id"] = id
                if not takes(rule, fields):
                    text = f"this key may not write this document of {collection}"
                    raise Refusal(403, FORBIDDEN, f"{text}, as it was or as it would be")


def restricted(statement: Any, permissions: Permissions) -> Any:
    """Return the statement for what may be read. Raises Refusal where nothing may be done."""
    kind = statement[0]
    if kind == "explain":
        inner = restricted(statement.statement, permissions)
        return Explain(kind, inner, statement.columns)
    if kind in ("create index", "drop index"):
        if not permissions.writes_everything():
            raise Refusal(403, FORBIDDEN, "indexes are for keys that may write everything")
        return statement
    collection = statement.collection
    if kind != "select" and permissions.writes(collection) is None:
        raise Refusal(403, FORBIDDEN, f"this key may not write to {collection}")
    if kind == "insert":
        return statement
    rule = permissions.reads(collection)
    if rule is None:
        more = "" if kind == "select" else ", and WHERE would; it may INSERT"
        raise Refusal(403, FORBIDDEN, f"this key may not read {collection}{more}")
    if rule == ALWAYS:
        return statement
    where = rule if statement.where is None else ("AND", rule, statement.where)
    return statement._replace(where=where)
