"""
What the holder of a certificate may read and write: rules, and what they say of a document.

    permissions   rule*                                    at most 64 bytes; none: nothing
    rule          operations 1 | collection length 1 | collection | where length 1 | where

operations: 1 read, 2 write. `where` is the condition of a SELECT, in DQL, or nothing: all
documents. The collection `*` is all of them. In a condition `:name` is the name of the
certificate, so that one rule serves many devices. Rules ascend by collection and where,
and no two have both alike: there is one encoding.

A document may be read, or written, if the condition of any of the rules for its collection
is true of it. A write is judged by what it makes of the document as this peer knows it: of
the state before, if there was one, and of the state after, if it leaves one. So nobody
takes a document into reach, nor pushes one out of it. A delete of what is not known here
has neither; it takes a rule without a condition, or an automatic id of the same author.

System collections (`__…`) are written under rules that name them, and by a Big Peer; but
each author may write its own document in INFO_COLLECTION. `*` lets them be read.
"""

from binascii import hexlify
from collections import namedtuple

from edge_peer.core.errors import FormatError, QueryError
from edge_peer.core.ids import COLLECTION_BYTES_MAX, automatic_id
from edge_peer.core.packing import Reader, from_utf8, to_utf8
from edge_peer.core.query.evaluate import evaluate
from edge_peer.core.query.expression import Expression
from edge_peer.core.query.parser import tokens_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.query.expression import Node

    Fields = dict[str, object]

READ = 1
WRITE = 2
EVERY = "*"
WHERE_BYTES_MAX = 255  # one byte says how many; certificates take less
INFO_COLLECTION = "__small_peer_info"
_SYSTEM = "__"
_ARGUMENTS = (":name",)

Rule = namedtuple("Rule", ("operations", "collection", "where"))


def encode(rules: "list[Rule]") -> bytes:
    """Return the one encoding of these rules; those with the same documents become one.

    Raises QueryError for a condition that cannot be read, ValueError for other mistakes.
    """
    operations: dict[tuple[bytes, bytes], int] = {}
    for rule in rules:
        condition_of(rule.where)
        collection, where = to_utf8(rule.collection), to_utf8(rule.where)
        if not 0 < len(collection) <= COLLECTION_BYTES_MAX or len(where) > WHERE_BYTES_MAX:
            raise ValueError("a collection's name or a condition is too long, or missing")
        if rule.operations not in (READ, WRITE, READ | WRITE):
            raise ValueError("a rule is about reading, writing or both")
        key = collection, where
        operations[key] = operations.get(key, 0) | rule.operations
    out = bytearray()
    for collection, where in sorted(operations):
        out.append(operations[collection, where])
        out.append(len(collection))
        out += collection
        out.append(len(where))
        out += where
    return bytes(out)


def decode(raw: bytes) -> "list[Rule]":
    """Read what `encode` wrote; raises FormatError for anything else."""
    rules = []
    reader = Reader(raw)
    before = None
    while not reader.at_end():
        operations = reader.byte()
        collection = reader.take(reader.byte())
        where = reader.take(reader.byte())
        if operations not in (READ, WRITE, READ | WRITE):
            raise FormatError("a rule about %d" % operations)
        if not 0 < len(collection) <= COLLECTION_BYTES_MAX:
            raise FormatError("a rule for a name of %d bytes" % len(collection))
        if before is not None and (collection, where) <= before:
            raise FormatError("rules not in their order")
        before = collection, where
        rules.append(Rule(operations, from_utf8(collection), from_utf8(where)))
    return rules


def condition_of(where: str) -> "Node | None":
    """Return the tree of a condition, None for all documents; raises QueryError."""
    if not where:
        return None
    parser = Expression(tokens_of(where))
    node = parser.expression()
    parser.end()
    for name in parser.columns:
        if name[0] == ":" and name not in _ARGUMENTS:
            raise QueryError("a permission knows only :name", parser.columns[name])
    return node


class Permissions:
    """The rules of one certificate, ready to be asked."""

    def __init__(self, raw: bytes, name: str) -> None:
        """name: of the certificate. Raises FormatError for what is no list of rules."""
        self._arguments: Fields = {"name": name}
        self._rules: list[tuple[int, str, Node | None]] = []
        for rule in decode(raw):
            try:
                condition = condition_of(rule.where)
            except QueryError as error:
                raise FormatError("permissions: %s" % error)
            self._rules.append((rule.operations, rule.collection, condition))

    def may_read(self, collection: str, id: str, fields: "Fields | None") -> bool:
        """Say whether a document may be shown.

        fields: None for a deleted one, which every rule of its collection shows: who may
        have seen the document must hear of its end, and nobody knows what was in it.
        """
        for condition in self._conditions(READ, collection):
            if fields is None or self._is_true(condition, id, fields):
                return True
        return False

    def may_write(
        self,
        author: bytes,
        collection: str,
        id: str,
        before: "Fields | None",
        after: "Fields | None",
    ) -> bool:
        """Say whether this author may make `after` of `before`; None where there is no document."""
        if collection == INFO_COLLECTION and id == hexlify(author).decode():
            return True
        conditions = list(self._conditions(WRITE, collection))
        if before is None and after is None:
            return None in conditions or (bool(conditions) and is_automatic_of(id, author))
        return all(
            [
                state is None or any([self._is_true(one, id, state) for one in conditions])
                for state in (before, after)
            ]
        )

    def has(self, operation: int) -> bool:
        """Say whether there is any rule for reading, or writing."""
        return any([rule[0] & operation for rule in self._rules])

    def writes_all(self, collection: str) -> bool:
        """Say whether any document of this collection may be written, whatever is in it."""
        return None in self._conditions(WRITE, collection)

    def _conditions(self, operation: int, collection: str) -> "list[Node | None]":
        names = [collection]
        if operation == READ or not collection.startswith(_SYSTEM):
            names.append(EVERY)
        return [rule[2] for rule in self._rules if rule[0] & operation and rule[1] in names]

    def _is_true(self, condition: "Node | None", id: str, fields: "Fields") -> bool:
        if condition is None:
            return True
        row = dict(fields)
        row["_id"] = id
        return evaluate(condition, row, self._arguments) is True


def is_automatic_of(id: str, author: bytes) -> bool:
    """Say whether an id is one that this author's writes are given."""
    return len(id) == 19 and id[8:] == automatic_id(0, author)[8:]
