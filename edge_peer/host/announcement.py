"""
A peer that listens says so on its network, as an instance of _edgepeer._tcp (SPEC.md).
"""

import ifaddr
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from edge_peer.transport.advertisement import app_hash
from edge_peer.transport.mdns import SERVICE

TYPE = SERVICE + "."
ADDRESS_COUNT_MAX = 16  # of one peer, tried in turn
_LOOPBACK = ("127.", "::1")
_ONLY_HERE = ("127.0.0.1", "::1", "localhost")
_ALL = ("", "0.0.0.0", "::")  # noqa: S104 - what a listener is told, not what listens here


class Announcement:
    def __init__(self, host: str) -> None:
        """host: the address of this computer on which to be found, or one that means all of them.

        Raises OSError where there is no network.
        """
        self._host = "" if host in _ALL else host
        one = AsyncZeroconf(interfaces=[self._host]) if self._host else None
        self.zeroconf = one or AsyncZeroconf(ip_version=IPVersion.All)

    async def add(self, author: bytes, app_id: bytes, port: int, waits: bool = False) -> None:
        """waits: it connects to nobody, so whoever hears of it does."""
        name = author.hex()
        properties = {"app": app_hash(app_id).hex().encode()}
        if waits:
            properties["waits"] = b"1"
        info = AsyncServiceInfo(
            TYPE,
            f"{name}.{TYPE}",
            port=port,
            properties=properties,
            server=f"{name}.local.",
            parsed_addresses=self._addresses(),
        )
        await self.zeroconf.async_register_service(info)

    async def close(self) -> None:
        """Say goodbye."""
        await self.zeroconf.async_close()

    def _addresses(self) -> list[str]:
        if self._host:
            return [self._host]
        all_ips = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
        texts = [ip if isinstance(ip, str) else ip[0] for ip in all_ips]
        return [text for text in texts if not text.startswith(_LOOPBACK)][:ADDRESS_COUNT_MAX]


def is_of_use(host: str) -> bool:
    """Return whether others could come to who listens there."""
    return host not in _ONLY_HERE
