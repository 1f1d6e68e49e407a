"""
Frames on a byte stream: UART, USB serial, TCP.

A frame is a short byte string for core/sync/link.py. On a wire that may lose, add or
change bytes anywhere it travels as

    COBS( frame | CRC-32 of it, big-endian ) | 0x00

so that a zero byte always ends a frame and a reader finds the next one after
any garbage. What fails the check is dropped and counted: the link above
repeats what was lost (SPEC.md, "Frames").

Sources: Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM
Transactions on Networking 7(2), 1999; CRC-32 as in IEEE 802.3 (binascii.crc32).
"""

from binascii import crc32

FRAME_SIZE_MAX = 4096 + 8  # a whole message and the link's header, on links without a smaller one
_CRC_SIZE = 4


def encode(frame: bytes) -> bytes:
    """Return what goes on the wire for one frame, not empty, the closing zero included."""
    return stuff(frame + _crc(frame)) + b"\0"


class FrameDecoder:
    """Cuts a byte stream into frames; holds at most one frame of `size_max` bytes."""

    def __init__(self, size_max: int = FRAME_SIZE_MAX) -> None:
        self._size_max = size_max
        self._stuffed_max = size_max + _CRC_SIZE + (size_max + _CRC_SIZE) // 254 + 1
        self._part = bytearray()
        self._too_long = False
        self.damaged_count = 0

    def receive(self, data: bytes) -> "list[bytes]":
        """Take bytes from the wire; return the whole and undamaged frames that they complete."""
        frames = []
        parts = bytes(data).split(b"\0")
        for part in parts[:-1]:
            self._grow(part)
            frame = self._finish()
            if frame:
                frames.append(frame)
        self._grow(parts[-1])
        return frames

    def _grow(self, part: bytes) -> None:
        if len(self._part) + len(part) > self._stuffed_max:
            self._too_long = True
            self._part = bytearray()
        elif not self._too_long:
            self._part += part

    def _finish(self) -> "bytes | None":
        """Return the frame that a zero byte has just ended; None if there was none."""
        stuffed, self._part = bytes(self._part), bytearray()
        frame = None if self._too_long else _check(unstuff(stuffed))
        if frame is not None and len(frame) > self._size_max:  # zeros stuff to less than others
            frame = None
        if frame is None and (stuffed or self._too_long):
            self.damaged_count += 1
        self._too_long = False
        return frame


def _crc(frame: bytes) -> bytes:
    return (crc32(frame) & 0xFFFFFFFF).to_bytes(_CRC_SIZE, "big")


def _check(data: "bytes | None") -> "bytes | None":
    if data is None or len(data) <= _CRC_SIZE:
        return None
    frame = data[:-_CRC_SIZE]
    return frame if _crc(frame) == data[-_CRC_SIZE:] else None


def stuff(data: bytes) -> bytes:
    """COBS: each block is its length + 1, then up to 254 bytes that are not zero."""
    out = bytearray()
    for part in data.split(b"\0"):
        while len(part) > 253:
            out.append(255)
            out += part[:254]
            part = part[254:]
        out.append(len(part) + 1)
        out += part
    return bytes(out)


def unstuff(data: bytes) -> "bytes | None":
    """Undo `stuff`; None if the blocks do not end where the data ends."""
    out = bytearray()
    position = 0
    while position < len(data):
        size = data[position]
        end = position + size
        if size == 0 or end > len(data):
            return None
        out += data[position + 1 : end]
        position = end
        if size < 255 and position < len(data):
            out.append(0)
    return bytes(out)
