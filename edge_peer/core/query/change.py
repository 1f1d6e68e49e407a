"""
UPDATE, DELETE and EVICT on a store. Loaded with the first of them.

Before the first document changes all are found, and what each would become is made
out; so a mistake in one leaves all as they are. They are written in one commit,
all or none, if the log takes them in one (on flash about 15 documents of 76 bytes;
in SQLite DOCUMENT_COUNT_MAX). Of more than that only the ids are kept in memory,
and they are written in several commits: where a later one finds no room, the
earlier ones stay, and StoreFull says how many documents that are.
"""

from edge_peer.core import document as documents
from edge_peer.core.clock import STAMP_MAX
from edge_peer.core.document import (
    BIRTH,
    CELL_COUNT_MAX,
    COUNTER,
    FIELD_COUNT_MAX,
    LIFE,
    REMOVED,
    SEPARATOR,
)
from edge_peer.core.errors import QueryError, StoreFull
from edge_peer.core.query.evaluate import MISSING, evaluate
from edge_peer.core.query.find import check_arguments, found
from edge_peer.core.query.view import fields_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.document import Changes
    from edge_peer.core.query.execute import Codec
    from edge_peer.core.query.find import Fields
    from edge_peer.core.query.parser import Statement
    from edge_peer.core.store.store import Store, Write

DOCUMENT_COUNT_MAX = 1_000  # in a commit: what is written at once is in memory
# What a commit adds to the bytes of a document, at most.
_RECORD_SIZE = 96  # the log's own, and one more write in the document
_CELL_SIZE = 64  # one more cell, beside its path and value
_REMOVAL_FACTOR = 4  # a cell of 4 bytes becomes one of 18
_CELL_SIZE_MIN = 4
_NO_MEMORY = "more documents than this machine's memory has room to name: narrow WHERE"


def change(
    statement: "Statement", arguments: "Fields", store: "Store", codec: "Codec"
) -> "tuple[list[str], list[str]]":
    """Return the ids of what was changed, and warnings."""
    check_arguments(statement.columns, arguments)
    if statement.kind == "evict":
        return _evict(statement, arguments, store, codec)
    commit = _Commit(store, statement)
    try:
        later = _find(commit, statement, arguments, codec)
    except MemoryError:
        raise QueryError(_NO_MEMORY)
    written: list[str] = []
    try:
        written += commit.write()
        for id in later:
            body = store.body(statement.collection, id)
            fields = None if body is None else fields_of(body, codec.unpack)
            if body is None or fields is None:
                continue  # evicted to make room for those before it
            fields["_id"] = id
            changes = _changes(statement, body, fields, arguments, codec)
            if not commit.add(id, body, changes):
                written += commit.write()
                commit.add(id, body, changes)
        written += commit.write()
    except StoreFull as error:
        if not written:
            raise
        raise StoreFull("after %d documents were changed: %s" % (len(written), error))
    except ValueError as error:  # a counter above its bound
        raise QueryError(str(error))
    return written, []


class _Commit:
    """Writes that are waiting for each other."""

    def __init__(self, store: "Store", statement: "Statement") -> None:
        self.store = store
        self._collection = statement.collection
        self._column = 0 if statement.kind == "delete" else statement.actions[0][3]
        self._writes: list[Write] = []
        self._size = 0

    def add(self, id: str, body: bytes, changes: "Changes") -> bool:
        """Return False, with nothing done, if the log would not take this one, too."""
        if len(body) // _CELL_SIZE_MIN + len(changes) >= FIELD_COUNT_MAX:
            self._check_count(body, changes)
        size = _RECORD_SIZE + len(self._collection.encode()) + len(id.encode())
        if LIFE not in changes:
            size += len(body)
            for path, value in changes.items():
                is_value = isinstance(value, bytes)
                size += _CELL_SIZE + 2 * len(path.encode()) + (len(value) if is_value else 0)
                if not is_value and value[0] == REMOVED:
                    size += _REMOVAL_FACTOR * len(body)
        is_full = self._size + size > self.store.log.commit_bytes_max
        if self._writes and (is_full or len(self._writes) == DOCUMENT_COUNT_MAX):
            return False
        self._writes.append((self._collection, id, changes))
        self._size += size
        return True

    def _check_count(self, body: bytes, changes: "Changes") -> None:
        """Refuse what would push out other fields."""
        old = documents.decode(body)
        new = documents.make(changes, STAMP_MAX, self.store.author, 1, old)
        if LIFE not in changes and len(set(old) | set(new) | set([LIFE, BIRTH])) > CELL_COUNT_MAX:
            raise QueryError("a document has at most %d fields" % FIELD_COUNT_MAX, self._column)

    def write(self) -> "list[str]":
        writes, self._writes, self._size = self._writes, [], 0
        return self.store.write(writes) if writes else []


def _find(
    commit: _Commit, statement: "Statement", arguments: "Fields", codec: "Codec"
) -> "list[str]":
    """Put into the commit what it takes; return the ids of the rest."""
    later: list[str] = []
    for body, fields in found(
        commit.store, codec, statement.collection, statement.where, arguments
    ):
        id = str(fields["_id"])
        changes = _changes(statement, body, fields, arguments, codec)
        if changes and (later or not commit.add(id, body, changes)):
            later.append(id)
    return later


def _evict(
    statement: "Statement", arguments: "Fields", store: "Store", codec: "Codec"
) -> "tuple[list[str], list[str]]":
    if store.keeps_all:
        raise QueryError("the Big Peer evicts nothing; DELETE removes documents everywhere", 1)
    collection = statement.collection
    try:
        rows = found(store, codec, collection, statement.where, arguments)
        ids = [str(fields["_id"]) for _, fields in rows]
    except MemoryError:
        raise QueryError(_NO_MEMORY)
    kept_count = store.evict([(collection, id) for id in ids]) if ids else 0
    if not kept_count:
        return ids, []
    gone = [id for id in ids if store.log.get(collection, id) is None]
    return gone, ["%d documents stay: they are not at the Big Peer yet" % kept_count]


def _changes(
    statement: "Statement", body: bytes, fields: "Fields", arguments: "Fields", codec: "Codec"
) -> "Changes":
    """Return {path: what `documents.make` takes} of one document; every e sees the old fields."""
    if statement.kind == "delete":
        return {LIFE: (REMOVED, None)}
    changes: Changes = {}
    for word, path, node, column in statement.actions:
        try:
            if word == "UNSET":
                _set(changes, path, MISSING, fields, codec)
            elif word == "SET":
                _set(changes, path, evaluate(node, fields, arguments), fields, codec)
            else:
                _increment(changes, path, evaluate(node, fields, arguments), fields)
        except (TypeError, ValueError) as error:
            raise QueryError(str(error), column)
    return changes


def _set(
    changes: "Changes", path: "tuple[str, ...]", value: "Any", fields: "Fields", codec: "Codec"
) -> None:
    name = SEPARATOR.join(path)
    if value is MISSING:
        if evaluate(("field",) + path, fields, {}) is not MISSING:
            changes[name] = (REMOVED, None)
        return
    if isinstance(value, dict) and value:
        changes[name] = (REMOVED, None)  # what the new map lacks
    for one in reversed(path):
        value = {one: value}
    changes.update(documents.flatten(value, codec.pack))


def _increment(
    changes: "Changes", path: "tuple[str, ...]", amount: "Any", fields: "Fields"
) -> None:
    if not _is_number(amount, int) or not -(1 << 63) <= amount < 1 << 63:
        raise TypeError("INCREMENT BY takes a whole number")
    present = evaluate(("field",) + path, fields, {})
    if present is not MISSING and not _is_number(present, (int, float)):
        raise TypeError("%s is no number in one of the documents" % ".".join(path))
    changes[SEPARATOR.join(path)] = (COUNTER, amount)


def _is_number(value: object, types: "Any") -> bool:
    return isinstance(value, types) and value is not True and value is not False
