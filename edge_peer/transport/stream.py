"""
Frames over one byte stream: TCP, UART, USB serial, a pty, on either runtime.

A channel carries frames for transport/pump.py and decides nothing:

    await channel.receive()     -> frames; calling again says that these were handled
    await channel.send(frames)
    await channel.close()

Any of them raises OSError when the wire is gone. `reader` and `writer` are
asyncio streams, or anything with their read, write, drain and close.
"""

from edge_peer.core.frame import FrameDecoder, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class StreamChannel:
    def __init__(self, reader: "Any", writer: "Any", frame_size_max: int) -> None:
        self._reader = reader
        self._writer = writer
        self._frame_size_max = frame_size_max
        self._decoder = FrameDecoder(frame_size_max)

    def damaged_count(self) -> int:
        """Return how many frames arrived that were not whole."""
        return self._decoder.damaged_count

    async def receive(self) -> "list[bytes]":
        data = await self._reader.read(self._frame_size_max)
        if not data:
            raise OSError("end of stream")
        return self._decoder.receive(data)

    async def send(self, frames: "list[bytes]") -> None:
        for frame in frames:
            data = encode(frame)
            try:
                self._writer.write(data)
            except RuntimeError as error:  # what uvloop says of a transport that has closed
                raise OSError(str(error))
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass  # it was gone already
