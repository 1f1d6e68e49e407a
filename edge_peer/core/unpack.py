"""
MessagePack read: the other half of core/codec.py, which says what the subset is.

Loaded with the first value that is looked at; a sensor looks at none.
"""

import struct

from edge_peer.core.codec import DEPTH_MAX
from edge_peer.core.errors import FormatError
from edge_peer.core.packing import from_utf8

# What a first byte above 0xBF announces: type, struct format of the number that follows.
_NIL, _BOOL, _NUMBER, _STR, _BIN, _ARRAY, _MAP = range(7)
_HEADS = {
    0xC4: (_BIN, ">B"),
    0xC5: (_BIN, ">H"),
    0xC6: (_BIN, ">I"),
    0xCA: (_NUMBER, ">f"),
    0xCB: (_NUMBER, ">d"),
    0xCC: (_NUMBER, ">B"),
    0xCD: (_NUMBER, ">H"),
    0xCE: (_NUMBER, ">I"),
    0xCF: (_NUMBER, ">Q"),
    0xD0: (_NUMBER, ">b"),
    0xD1: (_NUMBER, ">h"),
    0xD2: (_NUMBER, ">i"),
    0xD3: (_NUMBER, ">q"),
    0xD9: (_STR, ">B"),
    0xDA: (_STR, ">H"),
    0xDB: (_STR, ">I"),
    0xDC: (_ARRAY, ">H"),
    0xDD: (_ARRAY, ">I"),
    0xDE: (_MAP, ">H"),
    0xDF: (_MAP, ">I"),
}
_SIZE = {">B": 1, ">b": 1, ">H": 2, ">h": 2, ">I": 4, ">i": 4, ">f": 4, ">Q": 8, ">q": 8, ">d": 8}


def unpack(data: bytes) -> object:
    """Decode exactly one value; raise FormatError if `data` is anything else."""
    size = len(data)
    first = data[0] if size else 0xC1
    if size == 1 and first < 0x80:  # this and the next two are most values, and take a third here
        return first
    if 0xA0 <= first < 0xC0 and size == first - 0x9F:
        return from_utf8(data[1:])
    if first == 0xCA and size == 5:
        return struct.unpack_from(">f", data, 1)[0]
    value, end = _unpack(data, 0, 0)
    if end != len(data):
        raise FormatError("bytes behind the value")
    return value


def value_end(data: bytes, position: int, depth: int = 0) -> int:
    """Return where the value that starts at `position` ends, without building it.

    Raises FormatError for what unpack would refuse, and for numbers that no document
    may hold: who keeps a value unread must not keep one that nobody can use. `depth`:
    of the arrays and maps around it.
    """
    left = [1]  # values still to come in each array around; in a map -2 * pairs, even at a key
    while left:
        count = left[-1]
        if not count:
            left.pop()
            continue
        if depth + len(left) - 1 > DEPTH_MAX:
            raise FormatError("value nested deeper than %d" % DEPTH_MAX)
        left[-1] -= 1 if count > 0 else -1
        start = position
        kind, argument, position = _head(data, start)
        if count < 0 and count % 2 == 0 and kind != _STR:
            raise FormatError("a map key must be text")
        if kind == _STR or kind == _BIN:
            raw, position = _take(data, position, argument)
            if kind == _STR:
                from_utf8(raw)
        elif kind == _NUMBER:
            # By its bits: where floats have 32, a 64-bit one above 3.4e38 reads as infinity.
            end = 0xF0 if data[start] == 0xCB else 0x80
            is_float = data[start] == 0xCA or data[start] == 0xCB
            if is_float and data[start + 1] & 0x7F == 0x7F and data[start + 2] >= end:
                raise FormatError("a number that no document holds")
            if not is_float and argument >= 1 << 63:
                raise FormatError("a number that no document holds")
        elif kind == _ARRAY:
            left.append(argument)
        elif kind == _MAP:
            left.append(-2 * argument)
    return position


def _head(data: bytes, position: int):  # type: ignore[no-untyped-def]
    """Return (type, number or length, position behind it)."""
    if position >= len(data):
        raise FormatError("value cut short")
    first = data[position]
    position += 1
    if first < 0x80:
        return _NUMBER, first, position
    if first < 0x90:
        return _MAP, first & 15, position
    if first < 0xA0:
        return _ARRAY, first & 15, position
    if first < 0xC0:
        return _STR, first & 31, position
    if first >= 0xE0:
        return _NUMBER, first - 256, position
    if first == 0xC0:
        return _NIL, None, position
    if first == 0xC2 or first == 0xC3:
        return _BOOL, first == 0xC3, position
    if first not in _HEADS:
        raise FormatError("MessagePack type 0x%02x is not used here" % first)
    kind, form = _HEADS[first]
    raw, position = _take(data, position, _SIZE[form])
    return kind, struct.unpack(form, raw)[0], position


def _take(data: bytes, position: int, size: int) -> "tuple[bytes, int]":
    end = position + size
    if end > len(data):
        raise FormatError("value cut short")
    return bytes(data[position:end]), end


def _unpack(data: bytes, position: int, depth: int):  # type: ignore[no-untyped-def]
    if depth > DEPTH_MAX:
        raise FormatError("value nested deeper than %d" % DEPTH_MAX)
    kind, argument, position = _head(data, position)
    if kind == _STR or kind == _BIN:
        raw, position = _take(data, position, argument)
        return (from_utf8(raw) if kind == _STR else raw), position
    if kind == _ARRAY:
        items = []
        for _ in range(argument):
            item, position = _unpack(data, position, depth + 1)
            items.append(item)
        return items, position
    if kind == _MAP:
        return _unpack_map(data, position, argument, depth)
    return argument, position


def _unpack_map(data: bytes, position: int, size: int, depth: int):  # type: ignore[no-untyped-def]
    fields = {}
    for _ in range(size):
        key, position = _unpack(data, position, depth + 1)
        if not isinstance(key, str):
            raise FormatError("a map key must be text")
        fields[key], position = _unpack(data, position, depth + 1)
    return fields, position
