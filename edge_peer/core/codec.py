"""
MessagePack, the subset that documents are made of, in plain Python.

    nil  bool  int (-2**63 .. 2**64-1)  float  str  bin  array  map with str keys

Canonical, so that one value has one encoding on every peer: the shortest form
of every integer and length, map keys in the order of their UTF-8 bytes (a
MicroPython dict has no order). A float is written in the precision that this
runtime has: 64 bits, or 32 where a board computes with 32. Bytes that were
written once are never decoded and encoded again on their way (SPEC.md,
"Values"). Extension types are refused.

Writing is here; reading is in core/unpack.py, which a board that only sends never
loads. Hosts use edge_peer/host/codec.py, the msgpack package behind the same
two functions; tests/vectors/codec.json holds both to the same bytes.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct

from edge_peer.core.packing import to_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEPTH_MAX = 32  # of arrays and maps inside each other: bounds the recursion on a board's stack

# Asked at run time: a cross-compiler would fold a constant in its own precision.
_FLOAT = ">Bf" if float("1.000000001") == 1.0 else ">Bd"
_FLOAT_HEAD = 0xCA if _FLOAT == ">Bf" else 0xCB

_reading: "list[Callable[[bytes], object]]" = []  # core/unpack.py's unpack, once it is needed

# First byte of an integer that does not fit into one -> the rest of it.
_FORMS = {
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}


def pack(value: object) -> bytes:
    """Encode one value; raise TypeError for what MessagePack or this subset lacks."""
    if value is True or value is False:  # what most values are needs no buffer
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, float):
        return struct.pack(_FLOAT, _FLOAT_HEAD, value)
    if isinstance(value, str):
        raw = _utf8(value)
        if len(raw) < 32:
            return bytes([0xA0 | len(raw)]) + raw
    elif isinstance(value, int) and 255 < value < 65536:
        return struct.pack(">BH", 0xCD, value)
    out = bytearray()
    _pack(out, value, 0)
    return bytes(out)


def _utf8(value: str) -> bytes:
    try:
        return to_utf8(value)
    except ValueError:
        raise TypeError("text with half a surrogate pair has no UTF-8")


def unpack(data: bytes) -> object:
    """Decode exactly one value; raise FormatError if `data` is anything else."""
    if not _reading:  # to import again what is loaded takes a board 0.9 ms
        from edge_peer.core.unpack import unpack as read

        _reading.append(read)
    return _reading[0](data)


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
        out += struct.pack(_FLOAT, _FLOAT_HEAD, value)
    elif isinstance(value, str):
        data = _utf8(value)
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
    out += struct.pack(_FORMS[first], value)


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
