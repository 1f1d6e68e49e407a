"""
Frames over GATT: cut into values as large as the connection takes, no more than there is room for.

A connection carries values in order, but whoever receives one has to put it somewhere at once,
and what overflows is gone (SPEC.md, "BLE"). So a value leaves only against credit:

    data      number, 6 bits, | 40 if it ends a frame | a piece of a frame
    credit    80 | the number below which values may be sent, 6 bits

A gap in the numbers costs the frame that it is in, which the link repeats. `Fragments` counts
and never waits; `GattChannel` carries frames for transport/pump.py, like stream.py. Beneath it is
a port, the one thing that knows a radio:

    port.value_size              bytes of the largest value now, 20 … VALUE_SIZE_MAX
    port.signal_dbm              how strongly the other side is heard, or None
    await port.read()            -> the next value that has arrived
    await port.write(value)      once the radio takes it
    await port.close()

The first two raise OSError when the connection is gone.
"""

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Port(Protocol):
        value_size: int
        signal_dbm: int | None

        async def read(self) -> bytes: ...
        async def write(self, value: bytes) -> None: ...
        async def close(self) -> None: ...


VALUE_SIZE_MIN = 20  # ATT's smallest MTU, 23, less its header
VALUE_SIZE_MAX = 244  # with L2CAP's and ATT's headers one packet of the radio, 251
WINDOW = 24  # values that a receiver has room for: half of 6 bits tell old from new
STUCK_MS_MAX = 5_000  # without credit; then the other side has lost count, or is not ours

_LAST = 0x40
_CREDIT = 0x80
_NUMBER = 0x3F


class Fragments:
    """Both directions of one connection. Frames of at most `frame_size_max` bytes are joined."""

    def __init__(self, frame_size_max: int) -> None:
        self.damaged_count = 0
        self._frame_size_max = frame_size_max
        self._next = 0  # number of the next value that leaves
        self._limit = WINDOW  # below which it may
        self._expected = 0
        self._granted = WINDOW
        self._part = bytearray()
        self._skips = False  # the rest of a frame that has a gap

    def may_send(self) -> bool:
        return self._next != self._limit

    def value(self, piece: bytes, is_last: bool) -> bytes:
        """Return the value for the next piece of a frame; it leaves when `may_send`."""
        number = self._next
        self._next = (number + 1) & _NUMBER
        return bytes([number | _LAST if is_last else number]) + piece

    def receive(self, value: bytes) -> "bytes | None":
        """Take a value; return the frame that it ends. Raises OSError for what is none of ours."""
        first = value[0] if value else _CREDIT
        if first & _CREDIT:
            self._take_credit(value)
            return None
        number = first & _NUMBER
        if not 0 < (self._granted - number) & _NUMBER <= WINDOW:
            raise OSError("the other side sends more than it has room for")
        if number != self._expected:
            self._drop()
        self._expected = (number + 1) & _NUMBER
        if not self._skips:
            self._part += value[1:]
            if len(self._part) > self._frame_size_max:
                self._drop()
        if not first & _LAST:
            return None
        frame = None if self._skips else bytes(self._part)
        self._part, self._skips = bytearray(), False
        return frame

    def credit(self) -> bytes:
        """Return the value that gives credit, b"" while the other side has half of it left."""
        if (self._granted - self._expected) & _NUMBER > WINDOW // 2:
            return b""
        self._granted = (self._expected + WINDOW) & _NUMBER
        return bytes([_CREDIT | self._granted])

    def _take_credit(self, value: bytes) -> None:
        if len(value) != 1 or value[0] & ~(_CREDIT | _NUMBER):
            raise OSError("the other side speaks another language")
        limit = value[0] & _NUMBER
        if (limit - self._next) & _NUMBER <= WINDOW:
            self._limit = limit

    def _drop(self) -> None:
        self.damaged_count += 1
        self._part, self._skips = bytearray(), True


class GattChannel:
    def __init__(self, port: "Port", frame_size_max: int, system: "Any") -> None:
        """system: this runtime's clock and way to wait (host/system.py, board/system.py)."""
        self._port = port
        self._fragments = Fragments(frame_size_max)
        self._system = system
        self._credited = asyncio.Event()

    @property
    def signal_dbm(self) -> "int | None":
        return self._port.signal_dbm

    def damaged_count(self) -> int:
        """Return how many frames arrived that were not whole."""
        return self._fragments.damaged_count

    async def receive(self) -> "list[bytes]":
        while True:
            credit = self._fragments.credit()
            if credit:
                await self._port.write(credit)
            frame = self._fragments.receive(await self._port.read())
            self._credited.set()
            if frame:
                return [frame]

    async def send(self, frames: "list[bytes]") -> None:
        for frame in frames:
            size = self._port.value_size - 1
            for start in range(0, len(frame), size):
                end = start + size
                await self._await_credit()
                await self._port.write(self._fragments.value(frame[start:end], end >= len(frame)))

    async def close(self) -> None:
        await self._port.close()

    async def _await_credit(self) -> None:
        due_ms = self._system.now_ms() + STUCK_MS_MAX
        while not self._fragments.may_send():
            left_ms = due_ms - self._system.now_ms()
            if left_ms <= 0:
                raise OSError("the other side makes no room")
            self._credited.clear()
            await self._system.wait(self._credited, left_ms)
