"""
Integers, byte strings and text as they stand in our own formats (SPEC.md, "Primitives").

    varint    unsigned LEB128, at most 9 bytes (63 bits), the shortest form only
    zigzag    a signed integer as a varint: 0, -1, 1, -2 become 0, 1, 2, 3
    text      length varint | UTF-8

Reader is the only place that compares a length with the bytes at hand, so that
a parser above it cannot forget to: it raises FormatError or returns.
"""

from edge_peer.core.errors import FormatError

VARINT_SIZE_MAX = 9  # 63 bits: every value fits SQLite's signed 64-bit integer


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


class Reader:
    """A place in `data` that only moves forward. Every method raises FormatError at the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

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
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift >= 7 * VARINT_SIZE_MAX:
                raise FormatError("varint too long")
        if byte == 0 and shift:
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
        data = self.take(self.count(size_max))
        try:
            return data.decode()
        except UnicodeError:
            raise FormatError("text is not UTF-8")
