"""
Handshake messages as frames: their kinds, and how one is cut where frames are short.

    frame    40 if more parts follow, | number of the part << 3 | kind     then the part

A message's own first byte is its kind alone, so that one that fits a frame is the frame.
Bit 7 tells records (record.py). A part that is lost takes the message with it: handshakes
repeat whole messages.
"""

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
_MORE = 0x40
_PARTS_MAX = 8


def begins(frame: bytes) -> bool:
    """Return whether a frame is the start of a handshake."""
    return bool(frame) and frame[0] & ~_MORE in (M1, R1)


def cut(message: bytes, frame_size_max: int) -> "list[bytes]":
    """Return a message's frames."""
    size = frame_size_max - 1
    assert len(message) - 1 <= _PARTS_MAX * size
    frames: list[bytes] = []
    for start in range(1, len(message), size):
        more = _MORE if start + size < len(message) else 0
        head = more | len(frames) << 3 | message[0]
        frames.append(bytes((head,)) + message[start : start + size])
    return frames


class Joiner:
    """Puts parts together; holds at most one message."""

    def __init__(self) -> None:
        self._message = b""
        self._count = 0

    def join(self, frame: bytes) -> "bytes | None":
        """Return the message that this frame completes."""
        head = frame[0]
        kind, number = head & 7, head >> 3 & 7
        if not number:
            self._message, self._count = bytes((kind,)), 0
        elif number != self._count or self._message[:1] != bytes((kind,)):
            return None
        message = self._message + frame[1:]
        self._message, self._count = message, number + 1
        if len(message) > MESSAGE_SIZE_MAX:
            self._message, self._count = b"", 0
            return None
        return None if head & _MORE else message
