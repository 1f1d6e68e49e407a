"""
A board that others find on its network: it listens, and answers multicast DNS (transport/mdns.py).

    {"kind": "lan", "listen": true, "port": 7700}
    … "address": "192.0.2.9"     its own, where the firmware's network does not say it
    … "ask": "239.1.2.3"         the group in place of mDNS's

It asks, too. Of two that hear each other the one with the smaller author connects, and to who
"waits" anybody does. Beside lan.py, so that a board which only asks does not load it.
"""

import asyncio
import socket
from binascii import hexlify

from edge_peer.board.lan import MEDIUM, PORT, connect
from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.transport import mdns
from edge_peer.transport.advertisement import app_hash
from edge_peer.transport.lengths import LengthDecoder, encode
from edge_peer.transport.stream import StreamChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LINK_COUNT_MAX = 3  # a link takes some 10 kB of heap
LOOK_MS = 100
PACKETS_MAX = 8  # of one look: who floods us delays his own
ASK_MS = 15_000
_IP = 0
_ADD_MEMBERSHIP = getattr(socket, "IP_ADD_MEMBERSHIP", 35)
_MULTICAST_IF, _MULTICAST_ALL = 32, 49  # Linux's


async def keep(settings: "dict[str, Any]", links: "Any", system: "Any") -> None:
    """Be found and find, for ever. Raises OSError while there is no network, and ConfigError."""
    port = settings.get("port", PORT)
    if not isinstance(port, int):
        raise ConfigError("a lan link's port is a number")
    await _Meeting(settings.get("address") or _own_address(), port, settings, links, system).run()


def _own_address() -> str:
    from network import STA_IF, WLAN

    station = WLAN(STA_IF)
    if not station.isconnected():
        raise OSError("no network")
    return str(station.ifconfig()[0])


class _Meeting:
    def __init__(
        self, address: str, port: int, settings: "dict[str, Any]", links: "Any", system: "Any"
    ) -> None:
        local = links.local
        self._links, self._system = links, system
        self._author = hexlify(local.store.author).decode()
        self._app = app_hash(local.keyring.app_id)
        self._place = mdns.Place(self._author, [address], port, False)
        self._group = settings.get("ask", mdns.GROUP)
        self._is_linux = "address" in settings
        self._tasks: dict[str, Any] = {}  # of whom we visit, by author
        self._visitor_count = 0

    async def run(self) -> None:
        address = self._place.addresses[0]
        server = await asyncio.start_server(self._welcome, address, self._place.port)
        ear = self._join(address)
        group = socket.getaddrinfo(self._group, mdns.PORT)[0][-1]
        ask_ms = 0
        try:
            while True:
                if self._system.now_ms() >= ask_ms:
                    ask_ms = self._system.now_ms() + ASK_MS
                    ear.sendto(mdns.query(), group)
                    self._say(ear, mdns.query(), group)  # who we are, unasked
                await asyncio.sleep(LOOK_MS / 1000)
                for _ in range(PACKETS_MAX):
                    try:
                        packet, sender = ear.recvfrom(mdns.PACKET_BYTES_MAX)
                    except OSError:
                        break  # nothing has come
                    if self._say(ear, packet, group):
                        self._say(ear, packet, sender)  # who asks from elsewhere hears no group
                    else:
                        self._meet(packet)
        finally:
            for task in self._tasks.values():
                task.cancel()
            ear.close()
            server.close()

    def _join(self, address: str) -> "Any":
        ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.bind(socket.getaddrinfo("0.0.0.0", mdns.PORT)[0][-1])
        own = _bytes(address)
        ear.setsockopt(_IP, _ADD_MEMBERSHIP, _bytes(self._group) + own)
        if self._is_linux:  # which has more than one network, and shares groups among programs
            ear.setsockopt(_IP, _MULTICAST_IF, own)
            ear.setsockopt(_IP, _MULTICAST_ALL, 0)
        ear.setblocking(False)
        return ear

    def _say(self, ear: "Any", packet: bytes, to: "Any") -> bool:
        """Answer a packet that asks for us; return whether it does."""
        said = mdns.answer(packet, self._place, self._app)
        if said:
            ear.sendto(said, to)
        return bool(said)

    def _meet(self, packet: bytes) -> None:
        for place in mdns.found(packet, self._app):
            is_ours = place.waits or self._author < place.author
            if is_ours and place.author != self._author and self._has_room(place.author):
                self._tasks[place.author] = asyncio.create_task(self._visit(place))

    def _has_room(self, author: str) -> bool:
        for known in [known for known, task in self._tasks.items() if task.done()]:
            del self._tasks[known]
        return author not in self._tasks and len(self._tasks) + self._visitor_count < LINK_COUNT_MAX

    async def _visit(self, place: mdns.Place) -> None:
        try:
            for address in place.addresses:
                if ":" not in address:
                    settings = {"host": address, "port": place.port}
                    medium, channel = await connect(settings, self._links.local)
                    reason = await self._links.run(medium, channel)
                    self._system.log("lan %s: %s" % (address, reason))
                    return
        except (OSError, EdgeError) as error:
            self._system.log("lan %s: %s" % (place.author, error))

    async def _welcome(self, reader: "Any", writer: "Any") -> None:
        size_max = MEDIUM.frame_size_max
        channel = StreamChannel(reader, writer, size_max, encode, LengthDecoder(size_max))
        if self._visitor_count + len(self._tasks) >= LINK_COUNT_MAX:
            await channel.close()
            return
        self._visitor_count += 1
        try:
            reason = await self._links.run(MEDIUM, channel, waits=True)
        except EdgeError as error:
            reason = str(error)
        finally:
            self._visitor_count -= 1
        self._system.log("lan link closed: %s" % reason)


def _bytes(address: str) -> bytes:
    return bytes([int(part) for part in address.split(".")])
