"""
What an API key may read and write: predicates of DQL, on any field.

    {"read":  {"everything": true, "queriesByCollection": {}},
     "write": {"everything": false, "queriesByCollection": {"readings": ["site == 'A'"]}}}

A collection's predicates are alternatives: one that takes the document is enough.
`_id` is a field like any other; `true` takes every document of its collection. What
nothing is said of is not allowed. Parameters have no place here: who asks would fill
them in.

Here is only what the words mean; scoped.py lets a statement see and change no
more than that.
"""

from typing import Any

from edge_peer.core.errors import QueryError
from edge_peer.core.ids import COLLECTION_BYTES_MAX
from edge_peer.core.limits import HIDDEN
from edge_peer.core.query.evaluate import evaluate
from edge_peer.core.query.expression import Expression
from edge_peer.core.query.parser import tokens_of

COLLECTION_COUNT_MAX = 64
PREDICATE_COUNT_MAX = 16  # of a collection; each is evaluated for every document
PREDICATE_CHARS_MAX = 1024

ALWAYS = ("value", True)
_SIDES = ("read", "write")
_MEMBERS = {"everything", "queriesByCollection"}


class Permissions:
    def __init__(self, fields: Any) -> None:
        """Raises ValueError, with a sentence, for anything but the JSON shape above.

        A side, or a member of it, that is left out allows nothing.
        """
        if not isinstance(fields, dict) or not set(fields) <= set(_SIDES):
            raise ValueError('permissions are an object with "read" and "write"')
        sides = [_side(name, fields.get(name, {})) for name in _SIDES]
        self.fields = dict(zip(_SIDES, sides, strict=True))  # the JSON shape, all of it
        self._rules = [_rules(name, side) for name, side in self.fields.items()]
        self._all = [side["everything"] for side in sides]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Permissions) and self.fields == other.fields

    def reads(self, collection: str) -> Any:
        """Return the expression that a document must fulfil, or None: not one may be read."""
        return ALWAYS if self._all[0] else self._rules[0].get(collection)

    def writes(self, collection: str) -> Any:
        """Return the expression for a document before and after, or None."""
        return ALWAYS if self._all[1] else self._rules[1].get(collection)

    def reads_everything(self) -> bool:
        return bool(self._all[0])

    def writes_everything(self) -> bool:
        return bool(self._all[1])

    def writes_something(self) -> bool:
        return bool(self._all[1] or self._rules[1])

    def collections_read(self) -> list[str]:
        """Return those with a rule of their own."""
        return list(self._rules[0])


def takes(node: Any, fields: dict[str, object]) -> bool:
    """fields: those of a document, `_id` with them."""
    return evaluate(node, fields, {}) is True


def _side(name: str, side: Any) -> dict[str, Any]:
    if not isinstance(side, dict) or not set(side) <= _MEMBERS:
        raise ValueError(f'"{name}" has the members "everything" and "queriesByCollection"')
    everything = side.get("everything", False)
    queries = side.get("queriesByCollection", {})
    if not isinstance(everything, bool):
        raise ValueError(f'"{name}.everything" is true or false')
    if not isinstance(queries, dict) or len(queries) > COLLECTION_COUNT_MAX:
        raise ValueError(
            f'"{name}.queriesByCollection" is an object with at most {COLLECTION_COUNT_MAX} members'
        )
    return {"everything": everything, "queriesByCollection": queries}


def _rules(name: str, side: dict[str, Any]) -> dict[str, Any]:
    """Return {collection: expression}."""
    rules = {}
    for collection, predicates in side["queriesByCollection"].items():
        size = len(collection.encode(errors="replace"))
        if not 0 < size <= COLLECTION_BYTES_MAX or collection in HIDDEN:
            raise ValueError(f"no collection can have this name: {collection[:80]}")
        where = f"{name}.queriesByCollection.{collection}"
        if not isinstance(predicates, list) or not 0 < len(predicates) <= PREDICATE_COUNT_MAX:
            raise ValueError(f"{where} is a list of 1 to {PREDICATE_COUNT_MAX} predicates")
        node = None
        for text in predicates:
            one = _predicate(where, text)
            node = one if node is None else ("OR", node, one)
        rules[collection] = node
    return rules


def _predicate(where: str, text: Any) -> Any:
    if not isinstance(text, str) or len(text) > PREDICATE_CHARS_MAX:
        raise ValueError(
            f"{where}: a predicate is text of at most {PREDICATE_CHARS_MAX} characters"
        )
    try:
        parser = Expression(tokens_of(text))
        node = parser.expression()
        parser.end()
    except (QueryError, RecursionError) as error:
        raise ValueError(f"{where}: {error}") from error
    if any(name.startswith(":") for name in parser.columns):
        raise ValueError(f"{where}: a predicate has no parameters")
    return node


EVERYTHING = Permissions({"read": {"everything": True}, "write": {"everything": True}})
