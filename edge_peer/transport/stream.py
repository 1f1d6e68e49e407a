"""
Frames over one byte stream: TCP, UART, USB serial, a pty, on either runtime.

How frames stand in it is an argument: as core/sync/frame.py has it, or transport/lengths.py.

A channel carries frames for transport/pump.py and decides nothing:

    await channel.receive()     -> frames; calling again says that these were handled
    await channel.send(frames)
    await channel.close()

Any of them raises OSError when the wire is gone. `reader` and `writer` are
asyncio streams, or anything with their read, write, drain and close.
"""

from edge_peer.core.sync.frame import FrameDecoder, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


# Of one byte, which no frame of a link is: who looks for the speed of a line (dialling.py).
ASK, ANSWER = b"?", b"!"


class StreamChannel:
    def __init__(
        self,
        reader: "Any",
        writer: "Any",
        frame_size_max: int,
        encode: "Callable[[bytes], bytes]" = encode,
        decoder: "Any" = None,
    ) -> None:
        self.reader = reader
        self._writer = writer
        self._frame_size_max = frame_size_max
        self._encode = encode
        self._decoder = decoder or FrameDecoder(frame_size_max)

    def damaged_count(self) -> int:
        """Return how many frames arrived that were not whole."""
        count: int = self._decoder.damaged_count
        return count

    async def receive(self) -> "list[bytes]":
        data = await self.reader.read(self._frame_size_max)
        if not data:
            raise OSError("end of stream")
        frames: list[bytes] = self._decoder.receive(data)
        if ASK in frames:
            await self.send([ANSWER])
        return [frame for frame in frames if len(frame) > 1]

    async def send(self, frames: "list[bytes]") -> None:
        for frame in frames:
            data = self._encode(frame)
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
