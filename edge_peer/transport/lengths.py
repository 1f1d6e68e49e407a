"""
Frames on TCP: each behind its length, a varint (SPEC.md, "Frames").

TCP neither loses nor changes bytes, so there is nothing to find again and nothing to
check, as core/sync/frame.py has to on a bare wire: a length that no frame has means that
something else is at the other end.
"""

from edge_peer.core.packing import put_varint

LENGTH_SIZE_MAX = 3  # 21 bits


def encode(frame: bytes) -> bytes:
    out = bytearray()
    put_varint(out, len(frame))
    return bytes(out) + frame


class LengthDecoder:
    """Cuts a byte stream into frames; holds at most one frame of `size_max` bytes."""

    damaged_count = 0  # as FrameDecoder counts; here the first one is the last

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._part = b""

    def receive(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` completes; raise OSError for what is none."""
        self._part += data
        frames = []
        start = 0
        while (found := self._length(start)) is not None:
            size, begin = found
            if begin + size > len(self._part):
                break
            frames.append(self._part[begin : begin + size])
            start = begin + size
        self._part = self._part[start:]
        return frames

    def _length(self, start: int) -> tuple[int, int] | None:
        """Return (size of the frame at `start`, where it begins); None if that is not there yet."""
        size = 0
        for i, byte in enumerate(self._part[start : start + LENGTH_SIZE_MAX]):
            size |= (byte & 127) << 7 * i
            if byte < 128:
                if not 0 < size <= self._size_max:
                    break
                return size, start + i + 1
        else:
            if len(self._part) - start < LENGTH_SIZE_MAX:
                return None
        raise OSError("what comes over this connection are no frames")
