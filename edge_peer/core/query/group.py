"""
GROUP BY, aggregates and DISTINCT. Loaded with the first of them.

A group is a row of its own, with the fields that core/query/grammar_select.py names:
`@0`, … the values that its documents share, `#0`, … the aggregates. In memory are
the groups, not the documents in them; of COUNT(DISTINCT e) the values too.

Two values are the same where `=` says so, or where both are NULL or both MISSING.
"""

from edge_peer.core.query.evaluate import MISSING, evaluate, fit, sort_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from edge_peer.core.query.find import Fields
    from edge_peer.core.query.grammar_select import Select


def grouped(
    rows: "Iterable[Fields]", statement: "Select", arguments: "Fields"
) -> "Iterator[Fields]":
    """Yield a row for each group that HAVING takes, in no order; one without GROUP BY."""
    groups: dict[Any, tuple[Fields, list[Any]]] = {}
    if not statement.groups:
        groups[()] = ({}, _accumulators(statement))
    for row in rows:
        values = [evaluate(node, row, arguments) for node in statement.groups]
        key = tuple([key_of(value) for value in values])
        if key not in groups:
            shared = {"@%d" % i: values[i] for i in range(len(values)) if values[i] is not MISSING}
            groups[key] = (shared, _accumulators(statement))
        for accumulator, node in groups[key][1]:
            value = True if node is None else evaluate(node, row, arguments)
            if value is not None and value is not MISSING:
                accumulator.add(value)
    for group, accumulators in groups.values():
        for i in range(len(accumulators)):
            group["#%d" % i] = accumulators[i][0].result()
        if statement.having is None or evaluate(statement.having, group, arguments) is True:
            yield group


def distinct(rows: "Iterable[Fields]") -> "Iterator[Fields]":
    """Yield the first of all rows that are the same."""
    seen = set()
    for row in rows:
        key = key_of(row)
        if key not in seen:
            seen.add(key)
            yield row


def key_of(value: object) -> "Any":
    """Return what is equal, as the key of a dict, for values that are the same."""
    return _frozen(sort_key(value))


def _frozen(key: "Any") -> "Any":
    if isinstance(key, (list, tuple)):
        return tuple([_frozen(one) for one in key])
    return bytes(key) if isinstance(key, bytearray) else key


def _accumulators(statement: "Select") -> "list[Any]":
    return [
        (_DistinctCount() if is_distinct else _ACCUMULATORS[function](), node)
        for function, is_distinct, node in statement.aggregates
    ]


class _Count:
    def __init__(self) -> None:
        self.count = 0

    def add(self, value: object) -> None:
        self.count += 1

    def result(self) -> int:
        return self.count


class _DistinctCount:
    def __init__(self) -> None:
        self.keys: set[Any] = set()

    def add(self, value: object) -> None:
        self.keys.add(key_of(value))

    def result(self) -> int:
        return len(self.keys)


class _Sum:
    """Of the numbers; NULL where there are none, or the sum is none that a document holds."""

    def __init__(self) -> None:
        self.total: Any = 0
        self.count = 0

    def add(self, value: object) -> None:
        if isinstance(value, (int, float)) and value is not True and value is not False:
            self.total += value
            self.count += 1

    def result(self) -> object:
        return fit(self.total) if self.count else None


class _Average(_Sum):
    def result(self) -> object:
        return fit(self.total / self.count) if self.count else None


class _Least:
    """Of all values, in the order of ORDER BY."""

    sign = -1

    def __init__(self) -> None:
        self.value: object = None
        self.key: Any = None

    def add(self, value: object) -> None:
        key = sort_key(value)
        if self.key is None or (key < self.key if self.sign < 0 else self.key < key):
            self.value, self.key = value, key

    def result(self) -> object:
        return self.value


class _Greatest(_Least):
    sign = 1


_ACCUMULATORS: "dict[str, Any]" = {
    "COUNT": _Count,
    "SUM": _Sum,
    "AVG": _Average,
    "MIN": _Least,
    "MAX": _Greatest,
}
