"""
WebSocket as a link to a Big Peer, where a network lets only HTTP out.

    {"kind": "lan", "url": "wss://big.example/sync", "proxy": "http://proxy.example:3128"}

Without "proxy" what the environment names counts (https_proxy, no_proxy), as for other programs.
One binary message is one frame; the certificate of wss is checked against the authorities that
this computer trusts.
"""

from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_connection
from websockets.exceptions import ConnectionClosed, WebSocketException

from edge_peer.core.errors import ConfigError
from edge_peer.core.sync.session import Local, Medium

CONNECT_S_MAX = 10


async def connect(
    settings: dict[str, Any], local: Local, medium: Medium
) -> tuple[Medium, "WebSocketChannel"]:
    """Raises OSError when nobody answers, or a proxy refuses."""
    url, proxy = settings["url"], settings.get("proxy", True)
    if not isinstance(url, str) or not url.startswith(("ws://", "wss://")):
        raise ConfigError('"url" of a lan link begins with wss:// (or ws://)')
    try:
        connection = await open_connection(
            url,
            proxy=proxy,
            open_timeout=CONNECT_S_MAX,
            compression=None,  # frames are sealed
            max_size=medium.frame_size_max,
            ping_interval=None,  # the link has its own signs of life
        )
    except (WebSocketException, ValueError, TimeoutError, EOFError) as error:
        raise OSError(f"{error or 'no answer'}; is that the address of a Big Peer?") from error
    return medium, WebSocketChannel(connection)


class WebSocketChannel:
    """The frames of one link, as transport/pump.py moves them."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def damaged_count(self) -> int:
        return 0  # checked by TCP

    async def receive(self) -> list[bytes]:
        try:
            frame = await self._connection.recv()
        except ConnectionClosed as error:
            raise OSError("the connection is closed") from error
        if not isinstance(frame, bytes):
            raise OSError("what comes over this connection are no frames")
        return [frame]

    async def send(self, frames: list[bytes]) -> None:
        try:
            for frame in frames:
                await self._connection.send(frame)
        except ConnectionClosed as error:
            raise OSError("the connection is closed") from error

    async def close(self) -> None:
        await self._connection.close()
