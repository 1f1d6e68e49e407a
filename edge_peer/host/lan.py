"""
TCP as a link: to a Big Peer, or to another peer that listens.

    {"kind": "lan", "host": "big.example", "port": 7700, "deflate": true}

Without a host it finds the peers of its app on this network: discovery.py. With a "url" it
speaks WebSocket: websocket.py.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from edge_peer.core.errors import ConfigError
from edge_peer.core.sync.session import Local, Medium
from edge_peer.host.deflate import Deflate
from edge_peer.host.doorstep import Doorstep, Stranger, address_of
from edge_peer.transport.lengths import LengthDecoder, encode
from edge_peer.transport.stream import StreamChannel

PORT = 7700
CONNECT_TIMEOUT_S = 10
# A message may be as large as a host's largest document; frames of 4 KiB carry it.
SIZES = ("lan", 1, 4096, 262_144 + 4096, 10_000, 20)


class Plain(Medium):
    is_ordered = True
    retransmit_ms_min = 30_000  # TCP repeats what is lost; by then the link is silent, and ends
    ack_delay_ms = 10_000  # nobody waits for one, so a last one goes with the next sign of life


class Deflating(Plain):
    deflate = Deflate


PLAIN, MEDIUM = Plain(*SIZES), Deflating(*SIZES)


def label(settings: dict[str, Any]) -> str:
    if "url" in settings:
        return str(settings["url"])
    return f"tcp {settings.get('host')}:{settings.get('port', PORT)}"


def finds(settings: dict[str, Any]) -> bool:
    """Return whether `keep` finds the neighbours, or `connect` has one."""
    return "host" not in settings and "url" not in settings


async def keep(settings: dict[str, Any], links: Any, system: Any) -> None:
    """Find peers and be found, for ever: of a link without a host."""
    from edge_peer.host.discovery import Discovery

    await Discovery(settings, links, system).run()


async def connect(settings: dict[str, Any], local: Local) -> tuple[Medium, Any]:
    """Raises OSError when nobody answers."""
    if "url" in settings:
        from edge_peer.host import websocket

        return await websocket.connect(settings, local, MEDIUM)
    host, port = settings.get("host"), settings.get("port", PORT)
    deflate = settings.get("deflate", True)
    if not isinstance(host, str) or not isinstance(port, int):
        raise ConfigError("a lan link needs a host, and a port if it is not 7700")
    if not isinstance(deflate, bool):
        raise ConfigError('"deflate" of a lan link is true or false')
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError as error:
        raise OSError("no answer; is the host up, and the port open in its firewall?") from error
    except ConnectionRefusedError as error:
        raise OSError("nobody listens there; start `edge-peer big`, or mend the port") from error
    return (MEDIUM if deflate else PLAIN), _channel(reader, writer)


async def serve(
    host: str | None,
    port: int,
    handle: Callable[[Medium, StreamChannel, Stranger], Awaitable[object]],
    doorstep: Doorstep | None = None,
) -> asyncio.Server:
    """Listen, and `handle` each connection until it is done.

    host None: on all addresses, IPv4 and IPv6; port 0 picks a free one. `handle` says of the
    stranger how it shows that it is linked.
    """
    strangers = Doorstep() if doorstep is None else doorstep

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = address_of(writer.get_extra_info("peername"))
        stranger = Stranger(address, writer.transport.abort)
        strangers.enter(stranger)
        try:
            await handle(MEDIUM, _channel(reader, writer), stranger)
        finally:
            strangers.leave(stranger)

    return await asyncio.start_server(connected, host, port)


def _channel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> StreamChannel:
    size_max = MEDIUM.frame_size_max
    return StreamChannel(reader, writer, size_max, encode, LengthDecoder(size_max))
