"""
At which speed a serial line is: who has been told "auto" tries the common ones in turn.

    ASK      3f     is anybody at this speed? asked twice at each
    ANSWER   21     from any peer on a serial line, at once (stream.py)

Any frame with a good CRC tells the speed, so a neighbour need not know of this. Each round goes
through all speeds in another order, and stays at each between once and twice STAY_MS, by chance: so
two that both try meet. A station of a shared line (bus.py) only listens, for longer than a
controller is ever silent.

`Dial` is sans I/O, with time; `dial` moves its bytes.
"""

import asyncio

from edge_peer.core.sync.frame import FrameDecoder, encode
from edge_peer.transport.stream import ANSWER, ASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# The commonest first: two that both begin there meet at once.
BAUDS = (115_200, 9_600, 57_600, 38_400, 19_200, 230_400, 460_800, 921_600, 4_800, 2_400, 1_200)
FRAME_SIZE_MAX = 258  # what a link or a bus sends
STAY_MS = 300  # a board may collect garbage before it answers, and USB adapters wait to fill
STAY_BYTES = 48  # at a slow speed: two questions, two answers and room around them
LISTEN_MS = 1_500  # a controller hails each second
READ_BYTES = 64


class Dial:
    def __init__(
        self, entropy: "Callable[[int], bytes]", now_ms: int, first: int = 0, asks: bool = True
    ) -> None:
        """first: the speed of last time; asks: False to listen only."""
        self.baud = first or BAUDS[0]
        self.is_found = False
        self._entropy, self._asks = entropy, asks
        self._left = [baud for baud in BAUDS if baud != self.baud]
        self._out = b""
        self._until_ms = self._again_ms = 0
        self._begin(now_ms)

    def receive(self, data: bytes) -> None:
        for frame in self._decoder.receive(data):
            self.is_found = True
            if frame == ASK:
                self._out += encode(ANSWER)

    def data_to_send(self) -> bytes:
        data, self._out = self._out, b""
        return data

    def deadline_ms(self) -> int:
        return self._again_ms or self._until_ms

    def handle_timeout(self, now_ms: int) -> None:
        """Ask once more, or go on: `baud` is another one then."""
        if self._again_ms and now_ms >= self._again_ms:
            self._ask()
            self._again_ms = 0
        elif now_ms >= self._until_ms and not self.is_found:
            if not self._left:
                self._left = list(BAUDS)
            self.baud = self._left.pop(self._entropy(1)[0] % len(self._left))
            self._begin(now_ms)

    def _begin(self, now_ms: int) -> None:
        self._decoder = FrameDecoder(FRAME_SIZE_MAX)
        self._out = b""
        stay_ms = STAY_MS + STAY_BYTES * 10_000 // self.baud if self._asks else LISTEN_MS
        stay_ms += stay_ms * self._entropy(1)[0] // 256
        self._until_ms = now_ms + stay_ms
        self._again_ms = 0
        if self._asks:
            self._ask()
            self._again_ms = now_ms + stay_ms // 2

    def _ask(self) -> None:
        self._out += b"\0" + encode(ASK)  # the zero ends whatever noise came before


async def dial(
    stream: "Any",
    set_baud: "Callable[[int], None]",
    system: "Any",
    entropy: "Callable[[int], bytes]",
    first: int = 0,
    asks: bool = True,
) -> int:
    """Return the speed at which somebody is heard, to which the port is set then.

    stream: asyncio reader and writer of the port in one. Raises OSError when the port is gone.
    """
    line = Dial(entropy, system.now_ms(), first, asks)
    baud = 0
    while True:
        if line.baud != baud:
            baud = line.baud
            set_baud(baud)
        data = line.data_to_send()
        if data:
            stream.write(data)
            await stream.drain()
        if line.is_found:
            return baud
        wait_s = max(1, line.deadline_ms() - system.now_ms()) / 1000
        try:
            data = await asyncio.wait_for(stream.read(READ_BYTES), wait_s)
            if not data:
                raise OSError("end of stream")
            line.receive(data)
        except asyncio.TimeoutError:
            pass
        line.handle_timeout(system.now_ms())
