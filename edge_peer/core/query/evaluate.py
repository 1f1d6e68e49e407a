"""
What an expression of core/query/expression.py means on one document.

SQL's three values: a comparison with NULL or with a field that is MISSING is
neither true nor false but unknown (None), and WHERE takes only what is true.
Values of different types are never equal, and which is less is unknown.
Arithmetic is on numbers; on anything else, and where a document could not hold
the result, it is NULL. Of an attachment `.id`, `.len` and `.type` can be read; it
compares as the array of these three.
"""

from edge_peer.core.errors import QueryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.core.query.expression import Node


class _Missing:
    pass


MISSING = _Missing()  # the value of a field that a document does not have

_OF_ATTACHMENT = {"id": 0, "len": 1, "type": 2}  # places in the tuple that core/kinds.py makes

_KINDS: "tuple[tuple[int, Any], ...]" = (
    (3, (int, float)),
    (4, str),
    (5, (bytes, bytearray)),
    (6, (list, tuple)),
    (7, dict),
)


def evaluate(node: "Node", fields: "dict[str, object]", arguments: "dict[str, object]") -> "Any":
    """Return the value of an expression: a document's value, MISSING, True, False or None."""
    # Left operands in a loop: what a long chain of operators needs no deep stack for.
    outer = []
    while node[0] in _UNARY or node[0] in BINARY:
        outer.append(node)
        node = node[1]
    value = _leaf(node, fields, arguments)
    while outer:
        node = outer.pop()
        operator = node[0]
        if operator in _UNARY:
            value = _UNARY[operator](value)
        elif not (value is False and operator == "AND" or value is True and operator == "OR"):
            value = BINARY[operator](value, evaluate(node[2], fields, arguments))
    return value


def sort_key(value: object) -> "tuple[int, Any]":
    """Order any two values: MISSING, NULL, booleans, numbers, text, bytes, arrays, maps."""
    rank = _rank(value)
    if 1 < rank < 6:
        return rank, value
    if isinstance(value, (list, tuple)):
        return rank, [sort_key(item) for item in value]
    if isinstance(value, dict):
        return rank, [(name, sort_key(value[name])) for name in sorted(value)]
    return rank, 0


def _leaf(node: "Node", fields: "dict[str, object]", arguments: "dict[str, object]") -> "Any":
    kind = node[0]
    if kind == "value":
        return node[1]
    if kind == "field":
        return _field(fields, node)
    if kind == "parameter":
        if node[1] not in arguments:
            raise QueryError("no argument for :%s" % node[1])
        return arguments[node[1]]
    if kind == "array":
        items = [evaluate(item, fields, arguments) for item in node[1:]]
        return [None if item is MISSING else item for item in items]
    pairs = [(name, evaluate(item, fields, arguments)) for name, item in node[1:]]
    return {name: value for name, value in pairs if value is not MISSING}


def _field(fields: "dict[str, object]", node: "Node") -> "Any":
    value: Any = fields
    for name in node[1:]:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, tuple) and name in _OF_ATTACHMENT:  # an array is a list
            value = value[_OF_ATTACHMENT[name]]
        else:
            return MISSING
    return value


def fit(number: "Any") -> "Any":
    """Return the number, or None if no document could hold it."""
    if isinstance(number, int):
        return number if -(1 << 63) <= number < 1 << 63 else None
    return number if number - number == 0 else None  # infinity and NaN are not


def _rank(value: object) -> int:
    if value is MISSING:
        return 0
    if value is None:
        return 1
    if value is True or value is False:
        return 2
    for rank, kinds in _KINDS:
        if isinstance(value, kinds):
            return rank
    return 8  # an argument that is no value of a document


def _is_unknown(left: object, right: object) -> bool:
    return left is None or right is None or left is MISSING or right is MISSING


def _equal(left: object, right: object) -> "bool | None":
    if _is_unknown(left, right):
        return None
    rank = _rank(left)
    if rank != _rank(right):
        return False
    if 5 < rank < 8:
        return sort_key(left) == sort_key(right)
    return bool(left == right)


def _less(left: "Any", right: "Any") -> "bool | None":
    rank = _rank(left)
    return bool(left < right) if 2 < rank < 6 and rank == _rank(right) else None


def _not(value: object) -> "bool | None":
    return not value if value is True or value is False else None


def _or(left: object, right: object) -> "bool | None":
    if left is True or right is True:
        return True
    return False if left is False and right is False else None


def _and(left: object, right: object) -> "bool | None":
    return _not(_or(_not(left), _not(right)))


def _in(left: object, right: object) -> "bool | None":
    if not isinstance(right, (list, tuple)):
        return None
    found: bool | None = False
    for item in right:
        found = _or(found, _equal(left, item))
        if found:
            break
    return found


def _between(value: object, bounds: "tuple[object, object]") -> "bool | None":
    return _and(_not(_less(value, bounds[0])), _not(_less(bounds[1], value)))


def _like(text: object, pattern: object) -> "bool | None":
    """`%` stands for any characters, `_` for one."""
    if not isinstance(text, str) or not isinstance(pattern, str):
        return None
    parts = pattern.split("%")
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return len(text) == len(first) and _find(text, first, 0, len(text)) == 0
    at, end = len(first), len(text) - len(last)
    if at > end or _find(text, first, 0, at) < 0 or _find(text, last, end, len(text)) < 0:
        return False
    for part in parts[1:-1]:
        at = _find(text, part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _find(text: str, part: str, start: int, end: int) -> int:
    """text.find(part, start, end), but for `_` that fits any character."""
    if "_" not in part:
        return text.find(part, start, end)
    for at in range(start, end - len(part) + 1):
        i = 0
        while i < len(part) and part[i] in ("_", text[at + i]):
            i += 1
        if i == len(part):
            return at
    return -1


def _arithmetic(operator: str) -> "Callable[[Any, Any], Any]":
    def apply(left: "Any", right: "Any") -> "Any":
        if _rank(left) != 3 or _rank(right) != 3:
            return None
        try:
            if operator == "+":
                result = left + right
            elif operator == "-":
                result = left - right
            elif operator == "*":
                result = left * right
            else:
                result = left / right if operator == "/" else left % right
        except ArithmeticError:
            return None
        return fit(result)

    return apply


def _join(left: object, right: object) -> "str | None":
    return left + right if isinstance(left, str) and isinstance(right, str) else None


_UNARY: "dict[str, Callable[[object], bool | None]]" = {
    "NOT": _not,
    "IS NULL": lambda value: value is None,
    "IS MISSING": lambda value: value is MISSING,
}
BINARY: "dict[str, Callable[[Any, Any], Any]]" = {
    "=": _equal,
    "!=": lambda left, right: _not(_equal(left, right)),
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "<=": lambda left, right: _not(_less(right, left)),
    ">=": lambda left, right: _not(_less(left, right)),
    "AND": _and,
    "OR": _or,
    "IN": _in,
    "BETWEEN": _between,
    "LIKE": _like,
    "||": _join,
    "+": _arithmetic("+"),
    "-": _arithmetic("-"),
    "*": _arithmetic("*"),
    "/": _arithmetic("/"),
    "%": _arithmetic("%"),
}
