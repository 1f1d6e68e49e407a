"""
Handshake messages as frames: their kinds, and how one is cut where frames are short.

    frame    a message that fits
    part     40 if more follow, | number of the part << 3 | kind     check u16     the part

A message's own first byte is its kind alone, bit 7 tells records (record.py). The check is
the low half of the whole message's CRC-32: a message that is said again has the same parts,
so that what was lost of it the first time may come with the second. A noisy line lets short
frames through long before it lets through a whole message.
"""

from binascii import crc32

M1 = 1
M2 = 2
M3 = 3
R1 = 4
R2 = 5
NO = 6  # | the ticket's id: it is not known here, or too old
BEHIND = 7  # ticket.py

MAC1_SIZE = 4
M1_SIZE = 54
MESSAGE_SIZE_MAX = 512  # above any; what more parts make is dropped
PART_SIZE = 64  # of messages that are said again
_MORE = 0x40
_PARTS_MAX = 8
_HEAD_SIZE = 3


def cut(message: bytes, frame_size_max: int) -> "list[bytes]":
    """Return a message's frames."""
    if len(message) <= frame_size_max:
        return [message]
    size = frame_size_max - _HEAD_SIZE
    assert len(message) - 1 <= _PARTS_MAX * size
    check = (crc32(message) & 0xFFFF).to_bytes(2, "big")
    frames: list[bytes] = []
    for start in range(1, len(message), size):
        more = _MORE if start + size < len(message) else 0
        head = bytes((more | len(frames) << 3 | message[0],))
        frames.append(head + check + message[start : start + size])
    return frames


class Joiner:
    """Puts parts together; holds those of one message, of at most MESSAGE_SIZE_MAX bytes."""

    def __init__(self) -> None:
        self.lacks_parts = False  # the last frame was the end of a message with holes
        self._name = b""  # kind and check of the message
        self._parts: dict[int, bytes] = {}
        self._count = 0  # of its parts, 0 while the last one has not come

    def join(self, frame: bytes) -> "bytes | None":
        """Return the message that this frame completes."""
        self.lacks_parts = False
        head = frame[0]
        kind, number = head & 7, head >> 3 & 7
        if head == kind:
            return frame if len(frame) <= MESSAGE_SIZE_MAX else None
        name = bytes((kind,)) + frame[1:_HEAD_SIZE]
        if name != self._name:
            self._forget(name)
        self._parts[number] = frame[_HEAD_SIZE:]
        if not head & _MORE:
            self._count = number + 1
        if sum([len(part) for part in self._parts.values()]) >= MESSAGE_SIZE_MAX:
            self._forget(b"")
        if not self._count or len(self._parts) < self._count:
            self.lacks_parts = not head & _MORE
            return None
        message = name[:1] + b"".join([self._parts.get(n, b"") for n in range(self._count)])
        self._forget(b"")
        return message if crc32(message) & 0xFFFF == int.from_bytes(name[1:], "big") else None

    def _forget(self, name: bytes) -> None:
        self._name, self._parts, self._count = name, {}, 0
