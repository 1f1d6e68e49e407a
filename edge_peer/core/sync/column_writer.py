"""
Columns: one field of many documents, in the shortest of a few forms (SPEC.md, "Columns").

    numbers   varint, zigzag, of each difference to the number before it, or of the
              difference of two such differences; behind a 0 that is not the last number:
              how many more zeros follow
    column    head u8 | content
    head      kind | 8 second differences | scale << 4 | 80 a prefix follows
    kind      RAW       the values, one behind the other
              INTEGER   numbers
              DOUBLE    numbers: values * 10**scale, of floats of 64 bits
              SINGLE    the same of floats of 32 bits
              NUMBERED  [length u8 | prefix] | numbers: texts, a prefix and `scale` digits
              CHOICE    numbers, then the new values: 0 a new value, n the n-th of the table

A column goes on where the last one of its field ended: numbers of the same form at
the last number, CHOICE with its table. So a Column is kept with the shape, on both
sides. Whatever the form, the values that come out are the bytes that went in.
"""

from collections import namedtuple

from edge_peer.core.codec import pack
from edge_peer.core.packing import put_varint, put_zigzag
from edge_peer.core.sync.decimals import SCALE_MAX, number_of

RAW, INTEGER, DOUBLE, SINGLE, NUMBERED, CHOICE = range(6)
SECOND = 8  # the numbers are differences of differences
PREFIX = 0x80  # the prefix of the texts follows
FORM = 0x77  # kind and scale: what must be the same to go on with the last number

DIGITS_MAX = 7
TABLE_COUNT_MAX = 16  # values of a CHOICE that both sides remember
TABLE_VALUE_BYTES_MAX = 31
_DIFFERENCE_END = 1 << 60  # twice its double is a varint

# form: the head of the last column, as far as FORM; number: its last; table: values of CHOICE
Column = namedtuple("Column", ("form", "number", "prefix", "table"))
FRESH = Column(RAW, 0, b"", ())


def put_numbers(out: bytearray, numbers: "list[int]", last: int, second: bool) -> None:
    zero_count = step = 0
    for number in numbers:
        difference = number - last
        last = number
        if second:
            difference, step = difference - step, difference
        if not difference:
            zero_count += 1
            continue
        if zero_count:
            out.append(0)
            put_varint(out, zero_count - 1)
            zero_count = 0
        put_zigzag(out, difference)
    if zero_count:
        out.append(0)
        if zero_count > 1:
            put_varint(out, zero_count - 1)


def coded(numbers: "list[int]", last: int) -> "tuple[int, bytearray]":
    """Return (SECOND or 0, the numbers in the shorter of both ways)."""
    first = bytearray()
    put_numbers(first, numbers, last, False)
    if len(numbers) < 3 or len(first) < 4:
        return 0, first
    second = bytearray()
    put_numbers(second, numbers, last, True)
    return (SECOND, second) if len(second) < len(first) else (0, first)


def put_column(out: bytearray, values: "list[bytes]", column: Column) -> Column:
    """Write packed values; return where the next column of this field goes on."""
    head = RAW
    content: bytes | bytearray = b"".join(values)
    after = Column(RAW, 0, b"", column.table)
    found = _numbers(values, column)
    if found is not None:
        form, prefix, numbers = found
        goes_on = form == column.form and prefix == column.prefix
        order, data = coded(numbers, column.number if goes_on else 0)
        head = form | order
        if prefix and not goes_on:
            head |= PREFIX
            data = bytes([len(prefix)]) + prefix + data
        if len(data) < len(content):
            content, after = data, Column(form, numbers[-1], prefix, column.table)
        else:
            head = RAW
    if len(content) > 1:
        chosen = _choices(values, column.table)
        if chosen is not None and len(chosen[1]) < len(content):
            head, content, table = chosen
            after = Column(CHOICE, 0, b"", table)
    out.append(head)
    out += content
    return after


def _numbers(values: "list[bytes]", column: Column):  # type: ignore[no-untyped-def]
    """Return (form, prefix, numbers), or None."""
    first = values[0][0]
    if first == 0xCA or first == 0xCB:
        return _decimals(values, DOUBLE if first == 0xCB else SINGLE, column.form)
    if 0xA0 <= first < 0xC0:
        return _digits(values)
    if 0x80 <= first < 0xE0 and not 0xCC <= first <= 0xD3:
        return None
    numbers = []
    for value in values:
        number = _integer(value)
        if number is None:
            return None
        numbers.append(number)
    return INTEGER, b"", numbers


def _integer(value: bytes) -> "int | None":
    """Return an integer that is not so large that a difference of two is no varint."""
    first = value[0]
    if first < 0x80 or first >= 0xE0:
        return first if first < 0x80 else first - 256
    if not 0xCC <= first <= 0xD3:
        return None
    number = int.from_bytes(value[1:], "big")
    if first >= 0xD0:
        number -= 1 << 8 * (len(value) - 1)
    if not -_DIFFERENCE_END < number < _DIFFERENCE_END:
        return None
    return number if pack(number) == value else None


def _decimals(values: "list[bytes]", kind: int, form: int):  # type: ignore[no-untyped-def]
    head = values[0][:1]
    scale = form >> 4 if form & 7 == kind else 0
    while scale <= SCALE_MAX:
        numbers = []
        for value in values:
            if value[:1] != head:
                return None
            number = number_of(value[1:], scale)
            if number is None:
                break
            numbers.append(number)
        if len(numbers) == len(values):
            return kind | scale << 4, b"", numbers
        scale += 1
    return None


def _digits(values: "list[bytes]"):  # type: ignore[no-untyped-def]
    text = values[0]
    count = 0
    while count < DIGITS_MAX and count < len(text) - 1 and 48 <= text[-1 - count] < 58:
        count += 1
    prefix = text[: len(text) - count]
    if not count:
        return None
    numbers = []
    for value in values:
        digits = value[len(prefix) :]
        if len(value) != len(text) or value[: len(prefix)] != prefix or not digits.isdigit():
            return None
        numbers.append(int(digits))
    return NUMBERED | count << 4, prefix, numbers


def _choices(values: "list[bytes]", table):  # type: ignore[no-untyped-def]
    """Return (head, content, table afterwards), or None."""
    table = list(table)
    places = {}
    for i in range(len(table)):
        places[table[i]] = i + 1
    new = bytearray()
    numbers = []
    end = len(table) + TABLE_COUNT_MAX
    for value in values:
        place = places.get(value, 0)
        numbers.append(place)
        if not place:
            if len(value) > TABLE_VALUE_BYTES_MAX or len(table) == end:
                return None
            table.append(value)
            places[value] = len(table)
            new += value
    order, content = coded(numbers, 0)
    return CHOICE | order, content + new, tuple(table[-TABLE_COUNT_MAX:])
