"""
Integers, byte strings and text as they stand in our own formats (SPEC.md, "Primitives").

    varint    unsigned LEB128, at most 9 bytes (63 bits), the shortest form only
    zigzag    a signed integer as a varint: 0, -1, 1, -2 become 0, 1, 2, 3
    text      length varint | UTF-8

UTF-8 is what RFC 3629 says, on every runtime: a text that one peer takes and
another refuses would stand between them for ever.

Reader is the only place that compares a length with the bytes at hand, so that
a parser above it cannot forget to: it raises FormatError or returns.
"""

from edge_peer.core.errors import FormatError

VARINT_SIZE_MAX = 9  # 63 bits: every value fits SQLite's signed 64-bit integer

# MicroPython decodes surrogates, overlong forms and what lies above U+10FFFF.
_IS_LAX = b"\xed\xa0\x80".decode("utf-8", "ignore") != ""


def put_varint(out: bytearray, value: int) -> None:
    assert value >= 0
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def put_zigzag(out: bytearray, value: int) -> None:
    put_varint(out, 2 * value if value >= 0 else -2 * value - 1)


def put_text(out: bytearray, text: str) -> None:
    data = text.encode()
    put_varint(out, len(data))
    out += data


def to_utf8(text: str) -> bytes:
    """Encode text; raise ValueError for half a surrogate pair, which has no UTF-8."""
    raw = text.encode()
    if _IS_LAX and len(raw) > len(text) and not _is_strict(raw):
        raise ValueError("text with half a surrogate pair")
    return raw


def from_utf8(raw: bytes) -> str:
    """Decode text; raise FormatError for what is not UTF-8."""
    try:
        text = raw.decode()
    except UnicodeError:
        raise FormatError("text is not UTF-8")
    if _IS_LAX and len(raw) > len(text) and not _is_strict(raw):
        raise FormatError("text is not UTF-8")
    return text


class Reader:
    """A place in `data` that only moves forward. Every method raises FormatError at the end."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def at_end(self) -> bool:
        return self.position >= len(self.data)

    def byte(self) -> int:
        if self.position >= len(self.data):
            raise FormatError("cut short")
        self.position += 1
        return self.data[self.position - 1]

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise FormatError("cut short")
        data = bytes(self.data[self.position : end])
        self.position = end
        return data

    def varint(self) -> int:
        byte = self.byte()
        value = byte & 127
        shift = 7
        while byte > 127:
            if shift >= 7 * VARINT_SIZE_MAX:
                raise FormatError("varint too long")
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
        if byte == 0 and shift > 7:
            raise FormatError("varint not in its shortest form")
        return value

    def zigzag(self) -> int:
        value = self.varint()
        return -(value >> 1) - 1 if value & 1 else value >> 1

    def count(self, maximum: int) -> int:
        """Read a varint that says how many items follow, or how many bytes."""
        value = self.varint()
        if value > maximum:
            raise FormatError("count %d above %d" % (value, maximum))
        return value

    def text(self, size_max: int) -> str:
        return from_utf8(self.take(self.count(size_max)))


def _is_strict(raw: bytes) -> bool:
    """Look at what MicroPython does not: the first two bytes of each character."""
    for i in range(len(raw) - 1):
        pair = raw[i] << 8 | raw[i + 1]
        if (
            0xC000 <= pair < 0xC280  # U+0000 to U+007F in two bytes
            or 0xE000 <= pair < 0xE0A0  # to U+07FF in three
            or 0xEDA0 <= pair < 0xEE00  # surrogates
            or 0xF000 <= pair < 0xF090  # to U+FFFF in four
            or pair >= 0xF490  # above U+10FFFF
        ):
            return False
    return True
