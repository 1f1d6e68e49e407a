"""
Columns read: the other half of core/sync/column_writer.py, which has their layout.

Loaded with the first documents received. What comes out is bounded by the caller,
who counts it: no value is more than 31 bytes larger than what it was read from.
"""

from edge_peer.core.codec import pack
from edge_peer.core.errors import FormatError
from edge_peer.core.sync.column_writer import (
    CHOICE,
    DIGITS_MAX,
    DOUBLE,
    FORM,
    INTEGER,
    NUMBERED,
    PREFIX,
    RAW,
    SECOND,
    SINGLE,
    TABLE_COUNT_MAX,
    TABLE_VALUE_BYTES_MAX,
    Column,
)
from edge_peer.core.sync.decimals import float_of
from edge_peer.core.unpack import value_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.packing import Reader

_NUMBER_END = 1 << 63
_TEXT_BYTES_MAX = 31


def take_numbers(reader: "Reader", count: int, last: int, second: bool) -> "list[int]":
    numbers: list[int] = []
    zero_count = step = 0
    while len(numbers) < count:
        difference = 0
        if zero_count:
            zero_count -= 1
        else:
            difference = reader.zigzag()
            left = count - len(numbers) - 1
            if not difference and left:
                zero_count = reader.count(left)
        if second:
            step = difference = step + difference
        last += difference
        numbers.append(last)
    return numbers


def take_column(
    reader: "Reader", count: int, column: Column, depth: int
) -> "tuple[list[bytes], Column]":
    """Return packed values, and where the next column goes on. `depth`: of maps around it."""
    head = reader.byte()
    kind = head & 7
    if kind == RAW and head == RAW:
        values = [_take_value(reader, depth) for _ in range(count)]
        return values, Column(RAW, 0, b"", column.table)
    if kind == CHOICE and not head & ~(7 | SECOND):
        return _take_choices(reader, count, column, depth, bool(head & SECOND))
    form = head & FORM
    prefix = b"" if kind != NUMBERED or form != column.form else column.prefix
    if head & PREFIX and kind == NUMBERED:
        prefix = reader.take(reader.count(_TEXT_BYTES_MAX + 1))
    goes_on = form == column.form and prefix == column.prefix and not head & PREFIX
    last = column.number if goes_on else 0
    numbers = take_numbers(reader, count, last, bool(head & SECOND))
    values = _values(form, prefix, numbers)
    return values, Column(form, numbers[-1], prefix, column.table)


def _values(form: int, prefix: bytes, numbers: "list[int]") -> "list[bytes]":
    kind, scale = form & 7, form >> 4
    for number in numbers:
        if not -_NUMBER_END <= number < _NUMBER_END:
            raise FormatError("a number that no document holds")
    if kind == INTEGER and not scale:
        return [pack(number) for number in numbers]
    if kind == DOUBLE:
        return [b"\xcb" + float_of(number, scale, 8) for number in numbers]
    if kind == SINGLE:
        return [b"\xca" + float_of(number, scale, 4) for number in numbers]
    if kind != NUMBERED or not prefix or prefix[0] != 0xA0 | len(prefix) - 1 + scale:
        raise FormatError("a column of no known form")
    if not 0 < scale <= DIGITS_MAX:
        raise FormatError("a column of no known form")
    values = []
    for number in numbers:
        digits = str(number).encode()
        if number < 0 or len(digits) > scale:
            raise FormatError("a number with too many digits")
        values.append(prefix + b"0" * (scale - len(digits)) + digits)
    value_end(values[0], 0)  # the prefix is UTF-8
    return values


def _take_choices(
    reader: "Reader", count: int, column: Column, depth: int, second: bool
) -> "tuple[list[bytes], Column]":
    table = list(column.table)
    values = []
    for place in take_numbers(reader, count, 0, second):
        if not 0 <= place <= len(table):
            raise FormatError("a choice that there is not")
        if place:
            values.append(table[place - 1])
            continue
        value = _take_value(reader, depth)
        if len(value) > TABLE_VALUE_BYTES_MAX:
            raise FormatError("a choice of %d bytes" % len(value))
        table.append(value)
        values.append(value)
    return values, Column(CHOICE, 0, b"", tuple(table[-TABLE_COUNT_MAX:]))


def _take_value(reader: "Reader", depth: int) -> bytes:
    start = reader.position
    return reader.take(value_end(reader.data, start, depth) - start)
