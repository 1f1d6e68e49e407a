"""
A serial cable between two processes: two pseudo-terminals and a pump between them.

Each end is a path that opens like a tty, so it serves as a board's UART and as the
port that pyserial opens. What a UART does, the cable does: bytes that the other end
has no room for, or that leave while the cable is unplugged, are lost without a word.
"""

import asyncio
import os
import random
from collections.abc import Callable

READ_SIZE = 4096
NOISE_RUN_MAX = 24  # bytes that one disturbance adds or swallows at most

Fault = Callable[[bytes], bytes]  # what one end sent -> what reaches the other


class Cable:
    """Made inside a running event loop, which pumps it until `close`."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.is_plugged = True
        self.lost_bytes = 0
        self._fault = fault
        self._loop = asyncio.get_running_loop()
        self._ends = (_End(), _End())
        for end, other in (self._ends, self._ends[::-1]):
            self._loop.add_reader(end.outer, self._carry, end, other)

    @property
    def paths(self) -> tuple[str, str]:
        """Where to open the two ends."""
        return self._ends[0].path, self._ends[1].path

    @property
    def sent_bytes(self) -> tuple[int, int]:
        """How much has left each end, whatever became of it."""
        return self._ends[0].sent_bytes, self._ends[1].sent_bytes

    def unplug(self) -> None:
        self.is_plugged = False

    def plug(self) -> None:
        self.is_plugged = True

    def close(self) -> None:
        for end in self._ends:
            self._loop.remove_reader(end.outer)
            end.close()

    def _carry(self, end: "_End", other: "_End") -> None:
        data = os.read(end.outer, READ_SIZE)
        end.sent_bytes += len(data)
        if not self.is_plugged:
            self.lost_bytes += len(data)
            return
        if self._fault is not None:
            data = self._fault(data)
        self.lost_bytes += len(data) - other.deliver(data)


class _End:
    def __init__(self) -> None:
        # The inner side stays open here, too: then the line survives whoever closes it.
        import tty  # Windows has none, and no pseudo-terminals either

        self.outer, self._inner = os.openpty()
        tty.setraw(self._inner)
        os.set_blocking(self.outer, False)
        self.path = os.ttyname(self._inner)
        self.sent_bytes = 0

    def deliver(self, data: bytes) -> int:
        """Return how many of the bytes found room."""
        try:
            return os.write(self.outer, data) if data else 0
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.outer)
        os.close(self._inner)


class Noise:
    """A fault: once in about `interval_bytes` a bit flips, bytes get lost, or garbage comes in."""

    def __init__(self, seed: int, interval_bytes: int) -> None:
        self.count = 0
        self._random = random.Random(seed)
        self._interval_bytes = interval_bytes
        self._swallow = 0
        self._next = self._distance()

    def __call__(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            self._next -= 1
            if self._next <= 0:
                self._next = self._distance()
                self.count += 1
                byte = self._disturb(out, byte)
            if self._swallow:
                self._swallow -= 1
            else:
                out.append(byte)
        return bytes(out)

    def _distance(self) -> int:
        return 1 + int(self._random.expovariate(1 / self._interval_bytes))

    def _disturb(self, out: bytearray, byte: int) -> int:
        """Return the byte as it is now."""
        kind = self._random.randrange(3)
        size = self._random.randint(1, NOISE_RUN_MAX)
        if kind == 0:
            return byte ^ 1 << self._random.randrange(8)
        if kind == 1:
            self._swallow = size
        else:
            out += self._random.randbytes(size)
        return byte
