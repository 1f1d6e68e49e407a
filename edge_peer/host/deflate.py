"""
Deflate between hosts that both can: one window per link and direction (SPEC.md, "Sync").

What columns leave is mostly numbers, and half of it goes once more. A window of 8 KiB takes
60 kB on the sending side and 16 kB on the other, from the first message that is worth it; so a
Big Peer affords a thousand links. Boards could only inflate, and offer neither.
"""

import zlib
from typing import Any

from edge_peer.core.errors import FormatError

LEVEL = 6
_WINDOW_BITS = -13  # raw
_MEMORY_LEVEL = 6
_TAIL = b"\0\0\xff\xff"  # ends each sync flush, and is left out


class Deflate:
    def __init__(self) -> None:
        self._out: Any = None
        self._in: Any = None

    def deflate(self, message: bytes) -> bytes:
        if self._out is None:
            self._out = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
        data: bytes = self._out.compress(message) + self._out.flush(zlib.Z_SYNC_FLUSH)
        return data[: -len(_TAIL)]

    def inflate(self, data: bytes, size_max: int) -> bytes:
        """Raise FormatError for what is not deflated, or more than `size_max` bytes."""
        if self._in is None:
            self._in = zlib.decompressobj(_WINDOW_BITS)
        try:
            message: bytes = self._in.decompress(data + _TAIL, size_max + 1)
        except zlib.error as error:
            raise FormatError("not deflated") from error
        if len(message) > size_max or self._in.unconsumed_tail or self._in.eof:
            raise FormatError(f"more than {size_max} bytes deflated")
        return message
