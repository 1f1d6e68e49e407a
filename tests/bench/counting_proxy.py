"""
A TCP proxy on loopback that counts the payload bytes of its connections, both ways.

It also tells how many of them belong to the handshake of an edge-peer link, which is paid
once per connection whatever is to be synced: all that is not sealed, and each side's first
record, in which the link opens.
"""

import asyncio
import contextlib
import time
from typing import NamedTuple

from edge_peer.security.record import RECORD
from edge_peer.transport.lengths import LengthDecoder, encode

READ_SIZE = 65_536
POLL_S = 0.05


class Count(NamedTuple):
    total: int
    handshake: int

    def sync(self):
        return self.total - self.handshake


class CountingProxy:
    """`port` is where to connect to, `target_port` what answers there.

    has_frames: what passes is edge-peer's, so that its handshake can be told apart.
    """

    def __init__(self, target_port, has_frames=False):
        self.port = 0
        self._target_port = target_port
        self._has_frames = has_frames
        self._total = self._handshake = 0
        self._moved_s = 0.0
        self._server = None
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def take(self):
        """Return what passed since the last call."""
        count = Count(self._total, self._handshake)
        self._total = self._handshake = 0
        return count

    async def quiet(self, quiet_s):
        """Return when nothing has passed for so long, and something has before."""
        while not self._total or time.monotonic() - self._moved_s < quiet_s:
            await asyncio.sleep(POLL_S)

    async def _connected(self, reader, writer):
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # the target has gone: so do we
            writer.close()
            return
        for way in (self._relay(reader, there[1]), self._relay(there[0], writer)):
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader, writer):
        decoder = LengthDecoder(1 << 20)
        is_open = False
        try:
            while data := await reader.read(READ_SIZE):
                self._moved_s = time.monotonic()
                self._total += len(data)
                if self._has_frames:
                    for one in decoder.receive(data):
                        if not is_open:
                            self._handshake += len(encode(one))
                        is_open = is_open or bool(one[0] & RECORD)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # one side is gone: tell the other
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()
