"""
Links over a shared line: moves bytes and time between a station (bus.py) and a serial port.

Each station that joins gets a channel, as transport/pump.py takes it, and a link of its own;
the controller waits for the nodes to begin. Decides nothing.
"""

import asyncio

from edge_peer.core.errors import EdgeError
from edge_peer.core.sync.frame import FrameDecoder, encode
from edge_peer.core.sync.session import Medium
from edge_peer.transport.bus import DATA, HEADER_SIZE, JOINED, Controller, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BITS_OF_BYTE = 10  # with start and stop
FRAME_SIZE_MAX = 256
READ_BYTES = 256
WAIT_MS_MAX = 60_000
INBOX_COUNT_MAX = 8  # two windows of a link
_HINT = 0x627573  # of this link for tickets: a node has one controller


class _Medium(Medium):
    retransmit_ms_min = 2_000  # a round takes its time


# The longest silence is long, since a round of 32 busy nodes is, too.
MEDIUM = _Medium("bus", 5, FRAME_SIZE_MAX, 1024, 20_000, 250)


async def run(
    settings: "dict[str, Any]", links: "Any", system: "Any", stream: "Any", baud: int
) -> None:
    """Be a station of the line, until the port is gone; raises OSError then.

    stream: asyncio reader and writer of the port in one. settings: "bus" is "controller" or
    "node".
    """
    byte_us = BITS_OF_BYTE * 1_000_000 // baud
    is_controller = settings["bus"] == "controller"
    if is_controller:
        station: Any = Controller(byte_us, FRAME_SIZE_MAX, system.now_ms())
    else:
        station = Node(byte_us, links.local.entropy, system.now_ms())
    await _Bus(station, links, system, stream, is_controller).run()


class _Bus:
    def __init__(
        self, station: "Any", links: "Any", system: "Any", stream: "Any", is_controller: bool
    ) -> None:
        self.station, self.changed = station, asyncio.Event()
        self._links, self._system, self._stream = links, system, stream
        self._is_controller = is_controller
        self._channels: dict[int, BusChannel] = {}
        self._tasks: list[Any] = []
        self._decoder = FrameDecoder(FRAME_SIZE_MAX + HEADER_SIZE)
        self._gone = ""

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            while not self._gone:
                now_ms = self._system.now_ms()
                frames = self.station.frames_to_send(now_ms)
                for frame in frames:
                    self._stream.write(encode(frame))
                await self._stream.drain()
                self._tell()
                due_ms = self.station.deadline_ms()
                wait_ms = WAIT_MS_MAX if due_ms is None else due_ms - self._system.now_ms()
                if wait_ms > 0:
                    await self._system.wait(self.changed, wait_ms)
                self.changed.clear()
            raise OSError(self._gone)
        finally:
            reading.cancel()
            for channel in self._channels.values():
                channel.lose("the line is gone")
            for task in self._tasks:
                task.cancel()

    async def _read(self) -> None:
        try:
            while True:
                data = await self._stream.read(READ_BYTES)
                if not data:
                    raise OSError("end of stream")
                damaged = self._decoder.damaged_count
                frames = self._decoder.receive(data)
                if self._decoder.damaged_count > damaged:
                    self.station.note_damage()
                for frame in frames:
                    self.station.receive(frame, self._system.now_ms())
                self._tell()
                self.changed.set()
        except OSError as error:
            self._gone = str(error) or "the port is gone"
            self.changed.set()

    def _tell(self) -> None:
        event = self.station.next_event()
        while event is not None:
            kind, address, payload = event
            if kind == DATA:
                if address in self._channels:
                    self._channels[address].deliver(payload)
            elif kind == JOINED:
                self._channels[address] = channel = BusChannel(self, address)
                self._tasks = [task for task in self._tasks if not task.done()]
                self._tasks.append(asyncio.create_task(self._run_links(channel)))
            elif address in self._channels:
                self._channels.pop(address).lose("it does not answer any more")
            event = self.station.next_event()
        for channel in self._channels.values():
            channel.moved.set()

    async def _run_links(self, channel: "BusChannel") -> None:
        """Run links to a station, one after the other, until it leaves the line."""
        while not channel.lost:
            try:
                reason = await self._links.run(MEDIUM, channel, self._is_controller, _HINT)
            except EdgeError as error:
                reason = str(error)
            self._system.log("bus %d: %s" % (channel.address, reason))
            await asyncio.sleep(0.5)


class BusChannel:
    """The frames of one link, as transport/pump.py moves them."""

    def __init__(self, bus: _Bus, address: int) -> None:
        self.address = address
        self.lost = ""
        self.moved = asyncio.Event()
        self._bus = bus
        self._inbox: list[bytes] = []

    def deliver(self, payload: bytes) -> None:
        if len(self._inbox) < INBOX_COUNT_MAX:  # the link repeats what has no room
            self._inbox.append(payload)

    def lose(self, reason: str) -> None:
        self.lost = reason
        self.moved.set()

    def damaged_count(self) -> int:
        return 0  # whose they were, a damaged frame does not say

    async def receive(self) -> "list[bytes]":
        while not self._inbox:
            self._check()
            self.moved.clear()
            await self.moved.wait()
        frames, self._inbox = self._inbox, []
        return frames

    async def send(self, frames: "list[bytes]") -> None:
        for frame in frames:
            while not self._bus.station.can_send(self.address):
                self._check()
                self.moved.clear()
                await self.moved.wait()
            self._check()
            self._bus.station.send(self.address, frame)
            self._bus.changed.set()

    async def close(self) -> None:
        pass  # a link ends, the line stays

    def _check(self) -> None:
        if self.lost:
            raise OSError(self.lost)
