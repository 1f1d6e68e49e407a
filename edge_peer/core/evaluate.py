"""
What an expression of core/query.py means on one document.

SQL's three values: a comparison with NULL, with a field that is MISSING, or
between values of different types is neither true nor false but unknown (None),
and WHERE takes only what is true. Arithmetic on anything but numbers is NULL.
"""

from edge_peer.core.errors import QueryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.core.expression import Node


class _Missing:
    pass


MISSING = _Missing()  # the value of a field that a document does not have


def evaluate(node: "Node", fields: "dict[str, object]", arguments: "dict[str, object]") -> "Any":
    """Return the value of an expression: a document's value, MISSING, True, False or None."""
    operator = node[0]
    if operator == "value":
        return node[1]
    if operator == "field":
        return _field(fields, node)
    if operator == "parameter":
        if node[1] not in arguments:
            raise QueryError("no argument for :%s" % node[1])
        return arguments[node[1]]
    if operator == "array":
        return [evaluate(item, fields, arguments) for item in node[1:]]
    if operator == "map":
        return {key: evaluate(item, fields, arguments) for key, item in node[1:]}
    left = evaluate(node[1], fields, arguments)
    if len(node) == 2:
        return _UNARY[operator](left)
    if operator == "AND" and left is False:
        return False
    if operator == "OR" and left is True:
        return True
    return _BINARY[operator](left, evaluate(node[2], fields, arguments))


def sort_key(value: object) -> "tuple[int, Any]":
    """Order any two values: MISSING, NULL, booleans, numbers, text, bytes, arrays, maps."""
    rank = _rank(value)
    return (rank, str(value) if rank > 5 else 0 if rank < 2 else value)


def _field(fields: "dict[str, object]", node: "Node") -> "Any":
    value: Any = fields
    for name in node[1:]:
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def _rank(value: object) -> int:
    if value is MISSING:
        return 0
    if value is None:
        return 1
    if value is True or value is False:
        return 2
    for rank, kinds in ((3, (int, float)), (4, str), (5, bytes), (6, (list, tuple))):
        if isinstance(value, kinds):
            return rank
    return 7


def _is_unknown(left: object, right: object) -> bool:
    return left is None or right is None or left is MISSING or right is MISSING


def _equal(left: object, right: object) -> "bool | None":
    if _is_unknown(left, right):
        return None
    return _rank(left) == _rank(right) and left == right


def _less(left: "Any", right: "Any") -> "bool | None":
    if _is_unknown(left, right) or _rank(left) != _rank(right) or not 2 < _rank(left) < 6:
        return None
    return bool(left < right)


def _not(value: object) -> "bool | None":
    return not value if value is True or value is False else None


def _or(left: object, right: object) -> "bool | None":
    if left is True or right is True:
        return True
    return False if left is False and right is False else None


def _in(left: object, right: object) -> "bool | None":
    if not isinstance(right, (list, tuple)):
        return None
    found: bool | None = False
    for item in right:
        found = _or(found, _equal(left, item))
    return found


def _like(text: object, pattern: object) -> "bool | None":
    """`%` stands for any characters, `_` for one. Linear: the last `%` is tried again."""
    if not isinstance(text, str) or not isinstance(pattern, str):
        return None
    at = place = 0
    again: tuple[int, int] | None = None
    while at < len(text):
        if place < len(pattern) and pattern[place] == "%":
            again = (place + 1, at)
            place += 1
        elif place < len(pattern) and pattern[place] in ("_", text[at]):
            at += 1
            place += 1
        elif again is not None:
            again = (again[0], again[1] + 1)
            place, at = again
        else:
            return False
    return pattern[place:].strip("%") == ""


def _arithmetic(operator: str) -> "Callable[[Any, Any], Any]":
    def apply(left: "Any", right: "Any") -> "Any":
        if _rank(left) != 3 or _rank(right) != 3:
            return None
        if operator == "+":
            return left + right
        if operator == "-":
            return left - right
        if operator == "*":
            return left * right
        if right == 0:
            return None
        return left / right if operator == "/" else left % right

    return apply


def _join(left: object, right: object) -> "str | None":
    return left + right if isinstance(left, str) and isinstance(right, str) else None


_UNARY: "dict[str, Callable[[object], bool | None]]" = {
    "NOT": _not,
    "IS NULL": lambda value: value is None,
    "IS MISSING": lambda value: value is MISSING,
}
_BINARY: "dict[str, Callable[[Any, Any], Any]]" = {
    "=": _equal,
    "!=": lambda left, right: _not(_equal(left, right)),
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "<=": lambda left, right: _not(_less(right, left)),
    ">=": lambda left, right: _not(_less(left, right)),
    "AND": lambda left, right: _not(_or(_not(left), _not(right))),
    "OR": _or,
    "IN": _in,
    "LIKE": _like,
    "||": _join,
    "+": _arithmetic("+"),
    "-": _arithmetic("-"),
    "*": _arithmetic("*"),
    "/": _arithmetic("/"),
    "%": _arithmetic("%"),
}
