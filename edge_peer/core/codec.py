"""
MessagePack, the subset that documents are made of, in plain Python.

    nil  bool  int (-2**63 .. 2**64-1)  float  str  bin  array  map with str keys

Canonical, so that one value has one encoding on every peer: the shortest form
of every integer and length, map keys in the order of their UTF-8 bytes (a
MicroPython dict has no order). A float is written in the precision that this
runtime has: 64 bits, or 32 where a board computes with 32. Bytes that were
written once are never decoded and encoded again on their way (SPEC.md,
"Values"). Extension types are refused.

Hosts use edge_peer/host/codec.py, the msgpack package behind the same two
functions; tests/vectors/codec.json holds both to the same bytes.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct

from edge_peer.core.errors import FormatError
from edge_peer.core.packing import from_utf8, to_utf8

DEPTH_MAX = 32  # of arrays and maps inside each other: bounds the recursion on a board's stack

# Asked at run time: a cross-compiler would fold a constant in its own precision.
_FLOAT = ">f" if float("1.000000001") == 1.0 else ">d"
_FLOAT_HEAD = 0xCA if _FLOAT == ">f" else 0xCB

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


def pack(value: object) -> bytes:
    """Encode one value; raise TypeError for what MessagePack or this subset lacks."""
    out = bytearray()
    _pack(out, value, 0)
    return bytes(out)


def unpack(data: bytes) -> object:
    """Decode exactly one value; raise FormatError if `data` is anything else."""
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
    if depth > DEPTH_MAX:
        raise FormatError("value nested deeper than %d" % DEPTH_MAX)
    kind, argument, position = _head(data, position)
    if kind == _STR or kind == _BIN:
        raw, position = _take(data, position, argument)
        if kind == _STR:
            from_utf8(raw)
    elif kind == _NUMBER:
        is_finite = argument - argument == 0  # of NaN and infinity it is NaN
        if not is_finite or (isinstance(argument, int) and argument >= 1 << 63):
            raise FormatError("a number that no document holds")
    elif kind == _ARRAY:
        for _ in range(argument):
            position = value_end(data, position, depth + 1)
    elif kind == _MAP:
        for _ in range(argument):
            if _head(data, position)[0] != _STR:
                raise FormatError("a map key must be text")
            position = value_end(data, position, depth + 1)
            position = value_end(data, position, depth + 1)
    return position


def _pack(out: bytearray, value: object, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise TypeError("value nested deeper than %d" % DEPTH_MAX)
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _pack_int(out, value)
    elif isinstance(value, float):
        out.append(_FLOAT_HEAD)
        out += struct.pack(_FLOAT, value)
    elif isinstance(value, str):
        try:
            data = to_utf8(value)
        except ValueError:
            raise TypeError("text with half a surrogate pair has no UTF-8")
        _pack_length(out, len(data), (0xA0, 32, 0xD9, 0xDA, 0xDB))
        out += data
    elif isinstance(value, (bytes, bytearray)):
        _pack_length(out, len(value), (0, 0, 0xC4, 0xC5, 0xC6))
        out += value
    elif isinstance(value, (list, tuple)):
        _pack_length(out, len(value), (0x90, 16, 0, 0xDC, 0xDD))
        for item in value:
            _pack(out, item, depth + 1)
    elif isinstance(value, dict):
        _pack_map(out, value, depth)
    else:
        raise TypeError("a %s has no MessagePack form" % type(value).__name__)


def _pack_map(out: bytearray, value: "dict[str, object]", depth: int) -> None:
    _pack_length(out, len(value), (0x80, 16, 0, 0xDE, 0xDF))
    for key in value:
        if not isinstance(key, str):
            raise TypeError("a map key must be text")
    for key in sorted(value):
        _pack(out, key, depth + 1)
        _pack(out, value[key], depth + 1)


def _pack_int(out: bytearray, value: int) -> None:
    if -32 <= value < 128:
        out.append(value & 255)
        return
    first = 0xCC if value > 0 else 0xD0
    bits = 8
    while not (value < 1 << bits if value > 0 else value >= -(1 << bits - 1)):
        first += 1
        bits *= 2
        if bits > 64:
            raise TypeError("an integer of more than 64 bits")
    out.append(first)
    out += struct.pack(_HEADS[first][1], value)


def _pack_length(out: bytearray, size: int, heads: "tuple[int, int, int, int, int]") -> None:
    """`heads`: first byte and bound of the short form, then of the 8, 16 and 32 bit forms."""
    fix, fix_end, head8, head16, head32 = heads
    if size < fix_end:
        out.append(fix | size)
    elif size < 256 and head8:
        out.append(head8)
        out.append(size)
    elif size < 65536:
        out.append(head16)
        out += struct.pack(">H", size)
    else:
        out.append(head32)
        out += struct.pack(">I", size)


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
