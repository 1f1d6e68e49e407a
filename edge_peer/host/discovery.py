"""
Peers of the same app on the same network find each other: multicast DNS, by zeroconf.

    {"kind": "lan", "port": 7700, "interface": "192.0.2.7"}          a lan link without a host

The peer listens, says so as an instance of _edgepeer._tcp called by its author, and keeps a link
to each other one. Of two that hear each other the one with the smaller author connects, unless the
other one "waits", as a Big Peer does. Addresses are looked up again when they change and before
each try, IPv4 and IPv6. interface: an address of this computer, if not all of them.
"""

import asyncio
from typing import TYPE_CHECKING, Any
from zlib import crc32

from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.core.sync.session import Medium
from edge_peer.host import lan
from edge_peer.host.announcement import ADDRESS_COUNT_MAX, TYPE, Announcement
from edge_peer.host.doorstep import Stranger, is_linked
from edge_peer.transport.advertisement import app_hash
from edge_peer.transport.pump import about
from edge_peer.transport.stream import StreamChannel

if TYPE_CHECKING:
    from edge_peer.peer import Links

NEIGHBOUR_COUNT_MAX = 64  # kept in touch with; a network of more needs relays
LOOK_UP_MS = 3_000
RETRY_S_MIN, RETRY_S_MAX = 0.5, 15.0


class Discovery:
    def __init__(self, settings: dict[str, Any], links: "Links", system: Any) -> None:
        self._port = settings.get("port", lan.PORT)
        self._interface = settings.get("interface", "")
        if not isinstance(self._port, int) or not isinstance(self._interface, str):
            raise ConfigError('"port" of a lan link is a number, "interface" an address')
        self._links, self._system = links, system
        self._app = app_hash(links.local.keyring.app_id).hex().encode()
        self._author = links.local.store.author.hex()
        self._neighbours: dict[str, asyncio.Task[None]] = {}
        self._visitors: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Be found and find, for ever; raises OSError when the port is taken."""
        server = await lan.serve(self._interface or None, self._port, self._welcome)
        port = server.sockets[0].getsockname()[1]
        said = Announcement(self._interface)
        browser = None
        try:
            local = self._links.local
            await said.add(local.store.author, local.keyring.app_id, port)
            browser = AsyncServiceBrowser(said.zeroconf.zeroconf, TYPE, handlers=[self._changed])
            await asyncio.Event().wait()
        finally:
            if browser is not None:
                await browser.async_cancel()
            server.close()
            tasks = [*self._neighbours.values(), *self._visitors]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await said.close()

    async def _welcome(self, medium: Medium, channel: StreamChannel, who: Stranger) -> None:
        who.is_linked = lambda: is_linked(self._links, channel)
        task = asyncio.current_task()
        assert task is not None
        self._visitors.add(task)
        try:
            reason = await self._links.run(medium, channel, waits=True)
        except EdgeError as error:
            reason = str(error)
        finally:
            self._visitors.remove(task)
        self._system.log(f"lan link closed: {reason}")

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        author = name.removesuffix("." + TYPE).lower()
        if state_change is ServiceStateChange.Removed:
            return  # who is gone for good is given up by `_keep`
        is_new = author not in self._neighbours and author != self._author
        if is_new and len(self._neighbours) < NEIGHBOUR_COUNT_MAX:
            task = asyncio.ensure_future(self._keep(zeroconf, name, author))
            self._neighbours[author] = task
            task.add_done_callback(lambda _: self._neighbours.pop(author, None))

    async def _keep(self, zeroconf: Zeroconf, name: str, author: str) -> None:
        """Keep a link to a neighbour as long as it says that it is there."""
        delay_s = RETRY_S_MIN
        while True:
            info = AsyncServiceInfo(TYPE, name)
            if not await info.async_request(zeroconf, LOOK_UP_MS):
                return  # browsing finds it again
            if info.properties.get(b"app") != self._app:
                return
            if self._author > author and b"waits" not in info.properties:
                return  # it connects to us
            for address in info.parsed_scoped_addresses(IPVersion.All)[:ADDRESS_COUNT_MAX]:
                try:
                    medium, channel = await lan.connect(
                        {"host": address, "port": info.port}, self._links.local
                    )
                    delay_s = RETRY_S_MIN
                    reason = await self._links.run(medium, channel, hint=crc32(author.encode()) | 1)
                except (OSError, EdgeError) as error:
                    reason = str(error)
                self._system.log(f"lan {author} at {address}: {reason}")
            await asyncio.sleep(about(int(1000 * delay_s), self._system.entropy) / 1000)
            delay_s = min(2 * delay_s, RETRY_S_MAX)
