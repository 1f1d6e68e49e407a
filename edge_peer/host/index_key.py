"""
The keys of SQLite's indexes over fields of documents: edge_key(body, path).

A key is bytes that compare as core/query/evaluate.py's sort_key does. It belongs to the
layout of the file (SPEC.md, "SQLite store"): a store keeps the keys that it has.

    00 MISSING, deleted, unreadable   01 NULL   02 | 00 or 01 boolean
    03 | number   04 | UTF-8   05 | bytes   06 | item … | 00   07 | (01 | name | item) … | 00
    number   64-bit float, not above it, in the order of its bits: negative ones inverted,
             others with the first bit set | for an integer, how much above it is: u16, if not 0
    item     as above, but numbers with their u16 always, and text, bytes and names each
             with 00 written as 00 ff, and 00 00 behind

A key is cut to KEY_BYTES_MAX: of documents that differ behind it, all are found. So
whoever looks by keys looks for a range with both its ends, and then at each document.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from math import inf, nextafter

from edge_peer.core.document import AUTHOR_SIZE, COUNTER, SEPARATOR, STAMP_SIZE
from edge_peer.core.errors import FormatError
from edge_peer.core.packing import Reader
from edge_peer.core.query.evaluate import MISSING, evaluate
from edge_peer.core.query.view import fields_of
from edge_peer.host.codec import unpack

KEY_BYTES_MAX = 128  # a long text makes no long index
_SEPARATOR = SEPARATOR.encode()
_ENTRY = 2 * _SEPARATOR  # behind a counter's name


def edge_key(body: bytes, path: bytes) -> bytes:
    """Return the key of a field of a document; path: the names joined by NUL, as UTF-8."""
    try:
        return key_of(value_at(body, path))
    except (FormatError, ValueError, IndexError, TypeError):  # whatever a damaged document does
        return b"\0"


def key_of(value: object) -> bytes:
    """Raises ValueError for what no document holds."""
    if isinstance(value, str):
        return b"\4" + value.encode()[: KEY_BYTES_MAX - 1]
    if isinstance(value, (int, float)) and value is not True and value is not False:
        return b"\3" + _number(value, False)
    if value is MISSING:
        return b"\0"
    if isinstance(value, (bytes, bytearray)):
        return b"\5" + value[: KEY_BYTES_MAX - 1]
    return _item(value)[:KEY_BYTES_MAX]


def prefix_range(prefix: str) -> tuple[bytes, bytes]:
    """Return the ends of the range of all texts that begin so."""
    low = key_of(prefix)
    return low, low + b"\xff"  # above it in no UTF-8


def kind_range(key: bytes) -> tuple[bytes, bytes]:
    """Return the ends of the range of all keys of values of the same kind."""
    return key[:1], bytes([key[0] + 1])


def value_at(body: bytes, path: bytes) -> object:
    """Return the value of a field, or MISSING, as it is in core/query/view.py's fields.

    Where the cells leave no doubt, only that of the field is decoded. They do when
    no cell is of the document's life, of a map around the field, or of one in it.
    """
    names, above, below = _parts(path)
    value: object = MISSING
    last = body[0] - 1
    if last > 126:
        return _value_by_view(body, names)
    at = 1
    for run in range(last + 1):
        at += AUTHOR_SIZE
        while body[at] > 127:
            at += 1
        at += 1 + STAMP_SIZE
        count = body[at]
        at += 1
        if count > 127:
            return _value_by_view(body, names)
        for _ in range(count):
            head = body[at]
            at += 1
            if head > 127:
                head, at = _long(body, at - 1)
            end = at + (head >> 2)
            name = body[at:end]
            size = body[end]
            at = end + 1
            if size > 127:
                size, at = _long(body, end)
            if head & 3 == COUNTER:
                name = name.split(_ENTRY)[0]
            if name == path and not head & 3:
                value = unpack(body[at : at + size])
            elif name == path or name in above or name.startswith(below):
                return _value_by_view(body, names)
            elif name > path and run == last:
                return value  # paths ascend
            at += size
    return value


def _value_by_view(body: bytes, names: tuple[str, ...]) -> object:
    fields = fields_of(body, unpack)
    return MISSING if fields is None else evaluate(("field", *names), fields, {})


@lru_cache
def _parts(path: bytes) -> tuple[tuple[str, ...], frozenset[bytes], bytes]:
    """Return the names, the paths of the maps around (LIFE is one), how those in it begin."""
    names = path.split(_SEPARATOR)
    above = frozenset(_SEPARATOR.join(names[:i]) for i in range(len(names)))
    return tuple(name.decode() for name in names), above, path + _SEPARATOR


def _long(body: bytes, at: int) -> tuple[int, int]:
    """Return the varint at this place, and where it ends."""
    reader = Reader(body)
    reader.position = at
    return reader.varint(), reader.position


def _number(value: int | float, in_item: bool) -> bytes:
    above = 0
    if isinstance(value, int):
        if abs(value) > 1 << 64:
            raise ValueError("no document holds such a number")
        number = float(value)
        if number > value:
            number = nextafter(number, -inf)
        above = value - int(number)
    else:
        number = value + 0.0  # -0.0 becomes 0.0
        if number - number != 0:
            raise ValueError("no document holds such a number")
    bits: int = struct.unpack(">Q", struct.pack(">d", number))[0]
    bits ^= (1 << 64) - 1 if bits >> 63 else 1 << 63
    key = bits.to_bytes(8, "big")
    return key + above.to_bytes(2, "big") if above or in_item else key


def _item(value: object) -> bytes:
    if value is None:
        return b"\1"
    if value is True or value is False:
        return b"\2" + bytes([bool(value)])
    if isinstance(value, (int, float)):
        return b"\3" + _number(value, True)
    if isinstance(value, str):
        return b"\4" + _ended(value.encode())
    if isinstance(value, (bytes, bytearray)):
        return b"\5" + _ended(bytes(value))
    if isinstance(value, (list, tuple)):
        return b"\6" + b"".join([_item(item) for item in value]) + b"\0"
    if isinstance(value, dict):
        pairs = [b"\1" + _ended(name.encode()) + _item(value[name]) for name in sorted(value)]
        return b"\7" + b"".join(pairs) + b"\0"
    raise ValueError(f"no document holds a {type(value).__name__}")


def _ended(raw: bytes) -> bytes:
    return raw.replace(b"\0", b"\0\xff") + b"\0\0"
