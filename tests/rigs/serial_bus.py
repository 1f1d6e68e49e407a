"""
A shared serial line between processes: as many ptys, which all hear each other.

What two say at once reaches nobody whole: bytes that leave while another end's are still on
the line, at its baud rate, are garbage to all.
"""

import asyncio
import os
import tty

READ_SIZE = 4096
BITS_OF_BYTE = 10
PIECE_BYTES = 32  # which arrive together, as from a UART's buffer


class SerialBus:
    """Made inside a running event loop, which pumps it until `close`."""

    def __init__(self, count, baud=115_200):
        self.collisions = self.carried_bytes = 0
        self._byte_s = BITS_OF_BYTE / baud
        self._loop = asyncio.get_running_loop()
        self._ends = [os.openpty() for _ in range(count)]
        self._speaker, self._free_s = None, 0.0
        for number, (outer, inner) in enumerate(self._ends):
            tty.setraw(inner)
            os.set_blocking(outer, False)
            self._loop.add_reader(outer, self._carry, number)

    @property
    def paths(self):
        """Where to open the ends."""
        return [os.ttyname(inner) for _, inner in self._ends]

    def close(self):
        for outer, inner in self._ends:
            self._loop.remove_reader(outer)
            os.close(outer)
            os.close(inner)

    def _carry(self, number):
        data = os.read(self._ends[number][0], READ_SIZE)
        now_s = self._loop.time()
        if now_s < self._free_s and self._speaker != number:
            self.collisions += 1
            data = bytes(byte ^ 0x55 for byte in data)
        self._speaker = number
        self._free_s = max(now_s, self._free_s)
        self.carried_bytes += len(data)
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            self._free_s += len(piece) * self._byte_s
            self._loop.call_at(self._free_s, self._deliver, number, piece)

    def _deliver(self, number, data):
        for other, (outer, _) in enumerate(self._ends):
            if other != number:
                try:
                    os.write(outer, data)
                except (BlockingIOError, OSError):
                    pass  # as a UART that nobody reads, or the rig is closed
