"""
TCP as a link of a board on Wi-Fi or Ethernet: to a Big Peer, a gateway, any peer that listens.

    {"kind": "lan", "host": "192.0.2.7", "port": 7700}
    {"kind": "lan"}          whoever of our app answers on this network (transport/mdns.py)
    {"kind": "lan", "listen": true}          and is found by others (lan_meeting.py)
    {"kind": "lan", "ask": "192.0.2.7"}      that address is asked, where multicast is not passed on

It needs a network, which flash/running.py joins (wifi.json); until then this link tries
again. Without a host it asks anew each time, so it follows a gateway whose address changes.
"""

import asyncio
import socket

from edge_peer.core.errors import ConfigError
from edge_peer.core.sync.session import Medium
from edge_peer.transport.lengths import LengthDecoder, encode
from edge_peer.transport.stream import StreamChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.sync.session import Local

PORT = 7700
CONNECT_S_MAX = 10
ASK_COUNT, ASK_MS = 3, 1_000  # multicast may be lost, and on Wi-Fi often is
LOOK_MS = 20


class _Medium(Medium):
    is_ordered = True
    retransmit_ms_min = 30_000  # TCP repeats what is lost; by then the link is silent, and ends


# Two frames make a message of the largest size, as on its other links: heap is scarce.
MEDIUM = _Medium("lan", 1, 523, 1024, 10_000, 20)


def label(settings: "dict[str, Any]") -> str:
    return "tcp %s:%s" % (settings.get("host", "*"), settings.get("port", PORT))


def finds(settings: "dict[str, Any]") -> bool:
    """Return whether `keep` finds the neighbours, or `connect` has one."""
    return bool(settings.get("listen"))


async def keep(settings: "dict[str, Any]", links: "Any", system: "Any") -> None:
    from edge_peer.board import lan_meeting

    await lan_meeting.keep(settings, links, system)


async def connect(settings: "dict[str, Any]", local: "Local") -> "tuple[Medium, StreamChannel]":
    """Raises OSError when nobody answers."""
    host, port = settings.get("host"), settings.get("port", PORT)
    if host is None:
        host, port = await _find(local.keyring.app_id, settings.get("ask"))
    if not isinstance(host, str) or not isinstance(port, int):
        raise ConfigError("a lan link's host is text, and its port a number")
    try:
        opening = asyncio.open_connection(host, port)
        reader, writer = await asyncio.wait_for(opening, CONNECT_S_MAX)
    except asyncio.TimeoutError:
        raise OSError("no answer; is the host up, and the port open in its firewall?")
    size_max = MEDIUM.frame_size_max
    return MEDIUM, StreamChannel(reader, writer, size_max, encode, LengthDecoder(size_max))


async def _find(app_id: bytes, asked: "str | None") -> "tuple[str, int]":
    """Return address and port of a peer of the app on this network; raises OSError."""
    from edge_peer.transport import mdns
    from edge_peer.transport.advertisement import app_hash

    app = app_hash(app_id)
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.setblocking(False)
    group = socket.getaddrinfo(asked or mdns.GROUP, mdns.PORT)[0][-1]
    try:
        for _ in range(ASK_COUNT):
            asking.sendto(mdns.query(), group)
            for _ in range(ASK_MS // LOOK_MS):
                await asyncio.sleep(LOOK_MS / 1000)
                try:
                    packet = asking.recv(mdns.PACKET_BYTES_MAX)
                except OSError:
                    continue  # nothing has come yet
                for place in mdns.found(packet, app):
                    for address in place.addresses:
                        if ":" not in address:  # boards' networks are IPv4
                            return address, place.port
    finally:
        asking.close()
    raise OSError("no peer of the app answers on this network")
