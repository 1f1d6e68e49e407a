"""
A look at the raw bytes of a document, before it is decoded: can WHERE be true at all?

Of `field op constant`, where it must be true for WHERE to be true, the field's
cell is looked for in the bytes by its head (core/document.py, "Layout"), which is
the same in every document:

    cell   path length << 2 | kind, varint | path | value length varint | value

 1. The head is nowhere, nor anything else that can make a value there (below):
    the document lacks the field, and no comparison with it is true.
 2. The head is there once: if that is the field's cell, this is its value. If it is
    not, but bytes in a text that look the same, the document lacks the field.
    Either way, where this value does not compare true, nothing does.
 3. The head is there more than once, or what follows is no short value: nobody knows.

Other cells that can make a value: fields below it and counters (path, NUL), an
attachment (the same head but for the kind), and for a nested field the maps
around it (their heads). Where their bytes are found: nobody knows.

Only whether a document may be left out is said; whether it matches, never.
"""

from edge_peer.core.document import ATTACHMENT, REGISTER, SEPARATOR, put_cell_head
from edge_peer.core.errors import EdgeError
from edge_peer.core.query.evaluate import BINARY, evaluate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.core.query.expression import Node

    Keep = Callable[[bytes], bool]
    Unpack = Callable[[bytes], object]
    Test = Callable[[Any], bool]

_MIRRORED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_CONSTANTS = ("value", "parameter")
_SHORT = 128  # values below it have one byte of length


def prefilter(
    where: "Node | None", arguments: "dict[str, object]", unpack: "Unpack"
) -> "Keep | None":
    """Return keep(body), false only where WHERE cannot be true; None where that says nothing."""
    if where is None:
        return None
    operator = where[0]
    nodes = [where]
    if operator == "AND" or operator == "OR":
        while nodes[-1][0] == operator:  # a long chain needs no deep stack
            nodes[-1:] = [nodes[-1][2], nodes[-1][1]]
    if operator != "OR":
        return _all(nodes, arguments, unpack)
    keeps = []
    for node in nodes:
        keep = prefilter(node, arguments, unpack)
        if keep is None:
            return None
        keeps.append(keep)
    return _any(keeps)


def _all(nodes: "list[Node]", arguments: "dict[str, object]", unpack: "Unpack") -> "Keep | None":
    """Of what must all be true; all that is said of one field is asked in one look."""
    tests: dict[Node, list[Test]] = {}
    keeps = []
    for node in nodes:
        condition = _condition(node, arguments)
        if condition is not None:
            tests.setdefault(condition[0], []).append(condition[1])
        elif node[0] == "OR" or node[0] == "AND":
            keep = prefilter(node, arguments, unpack)
            if keep is not None:
                keeps.append(keep)
    for field in tests:
        keeps.append(_field_filter(list(field[1:]), _both(tests[field]), unpack))
    if len(keeps) < 2:
        return keeps[0] if keeps else None

    def keep_all(body: bytes) -> bool:
        for keep in keeps:  # noqa: SIM110 - a generator takes longer
            if not keep(body):
                return False
        return True

    return keep_all


def _any(keeps: "list[Keep]") -> "Keep":
    def keep_any(body: bytes) -> bool:
        for keep in keeps:  # noqa: SIM110
            if keep(body):
                return True
        return False

    return keep_any


def _both(tests: "list[Test]") -> "Test":
    if len(tests) == 1:
        return tests[0]
    first, rest = tests[0], _both(tests[1:])
    return lambda value: first(value) and rest(value)


def _condition(node: "Node", arguments: "dict[str, object]") -> "tuple[Node, Test] | None":
    """Return (field, test of its value) of `field op constant`."""
    operator = node[0]
    test: Test
    if operator == "IS NULL":
        field, test = node[1], _is_null
    elif operator in _MIRRORED or operator in ("IN", "BETWEEN", "LIKE"):
        field, constant = node[1], node[2]
        if operator in _MIRRORED and _is_constant(field):
            operator, field, constant = _MIRRORED[operator], constant, field
        if not _is_constant(constant):
            return None
        test = _test(operator, evaluate(constant, {}, arguments))
    else:
        return None
    return None if field[0] != "field" or field[1] == "_id" else (field, test)


def _is_constant(node: "Node") -> bool:
    return node[0] in _CONSTANTS or (
        node[0] == "array" and all([one[0] in _CONSTANTS for one in node[1:]])
    )


def _is_null(value: object) -> bool:
    return value is None


def _test(operator: str, constant: object) -> "Test":
    """Return test(value): false only if `value operator constant` is not true."""
    if isinstance(constant, (int, float, str)) and operator in _QUICK:
        return _QUICK[operator](constant)
    if operator == "BETWEEN" and isinstance(constant, list):
        low, high = constant
        if isinstance(low, (int, float)) and isinstance(high, (int, float)):
            return lambda value: low <= value <= high
    compare = BINARY[operator]
    return lambda value: compare(value, constant) is True


# As the host language compares, which differs from ours only in what it takes for true.
_QUICK: "dict[str, Callable[[Any], Test]]" = {
    "=": lambda constant: _equals(constant),
    "<": lambda constant: lambda value: value < constant,
    "<=": lambda constant: lambda value: value <= constant,
    ">": lambda constant: lambda value: value > constant,
    ">=": lambda constant: lambda value: value >= constant,
}


def _equals(constant: object) -> "Test":
    if isinstance(constant, str):  # MicroPython warns of text beside bytes
        return lambda value: isinstance(value, str) and value == constant
    return lambda value: value == constant


def _field_filter(names: "list[str]", test: "Test", unpack: "Unpack") -> "Keep":
    path = SEPARATOR.join(names)
    head = _head(path, REGISTER)
    head_size = len(head)
    around = []
    for i in range(1, len(names)):
        outer = SEPARATOR.join(names[:i])
        around += [_head(outer, REGISTER), _head(outer, ATTACHMENT)]
    around.append((path + SEPARATOR).encode())
    instead = around + [_head(path, ATTACHMENT)]

    def keep(body: bytes) -> bool:
        at = body.find(head)
        if at < 0:
            return _has_any(body, instead)
        if body.find(head, at + 1) >= 0:
            return True
        at += head_size
        try:
            end = at + 1 + body[at]
            if body[at] >= _SHORT or test(unpack(body[at + 1 : end])):
                return True
        except TypeError:  # of different types, which never compare
            pass
        except (EdgeError, IndexError):  # no value
            return True
        return _has_any(body, around)

    return keep


def _has_any(body: bytes, parts: "list[bytes]") -> bool:
    for part in parts:  # noqa: SIM110
        if part in body:
            return True
    return False


def _head(path: str, kind: int) -> bytes:
    out = bytearray()
    put_cell_head(out, path, kind)
    return bytes(out)
