"""
Peers that come over WebSocket, at /sync, as where a network lets only HTTP out (host/websocket.py).

One binary message is one frame; who somebody is the handshake in it proves, as on TCP. Text, and
what is larger than a frame, ends the connection.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from edge_peer.bigpeer import reception
from edge_peer.core.errors import StorageError
from edge_peer.host import system
from edge_peer.host.lan import MEDIUM
from edge_peer.peer import Links

PATH = "/sync"


class WebSocketChannel:
    """The frames of one link, as transport/pump.py moves them."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def damaged_count(self) -> int:
        return 0  # checked by TCP

    async def receive(self) -> list[bytes]:
        message = await self._socket.receive()
        frame = message.get("bytes")
        if not frame or len(frame) > MEDIUM.frame_size_max:
            raise OSError("the connection is closed, or carries what are no frames")
        return [frame]

    async def send(self, frames: list[bytes]) -> None:
        try:
            for frame in frames:
                await self._socket.send_bytes(frame)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise OSError("the connection is closed") from error

    async def close(self) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError, WebSocketDisconnect):  # the other side was first
                await self._socket.close()


async def serve(served: Callable[[], Iterable[Links]], socket: WebSocket) -> None:
    """Run the link of one connection. served: what apps there are now, by their links."""
    await socket.accept()
    channel = WebSocketChannel(socket)
    try:
        found = await reception.receive(served, cast(Any, channel))
        if found is None:
            reason = "a stranger"
        else:
            links, received = found
            reason = await links.run(MEDIUM, received, waits=True)
    except (OSError, StorageError) as error:
        reason = str(error)
    await channel.close()
    system.log(f"websocket link closed: {reason}")
