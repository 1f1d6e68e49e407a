"""
Who has connected over TCP and is not linked yet: so many at a time.

A stranger costs a socket and a few kB until the handshake has told who it is. Where there are
STRANGERS_MAX, one more takes the place of another: of the address that has most, the one
that has waited longest. So who floods from one address pushes out himself, and who is
linked is no stranger any more. Nobody waits longer than channel.py's GIVE_UP_MS.
"""

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_peer.peer import Links

# A thousand devices behind one address that come back together resume within two round trips
# each; and a process has 1,024 files on many systems, of which links need their part.
STRANGERS_MAX = 256


class Stranger:
    def __init__(self, address: str, cut: Callable[[], None]) -> None:
        self.address = address
        self.cut = cut  # ends its connection
        self.is_linked: Callable[[], bool] = lambda: False


class Doorstep:
    def __init__(self, count_max: int = STRANGERS_MAX) -> None:
        self.cut_count = 0
        self._count_max = count_max
        self._count = 0
        self._waiting: dict[str, dict[Stranger, None]] = {}  # by address, the longest first

    def __len__(self) -> int:
        return self._count

    def enter(self, stranger: Stranger) -> None:
        """Let one in; another one may have to go."""
        while self._count >= self._count_max:
            most = max(self._waiting.values(), key=len)
            first = next(iter(most))
            self.leave(first)
            if not first.is_linked():
                self.cut_count += 1
                first.cut()
        self._waiting.setdefault(stranger.address, {})[stranger] = None
        self._count += 1

    def leave(self, stranger: Stranger) -> None:
        """Call when its connection has ended."""
        ones = self._waiting.get(stranger.address, {})
        if stranger in ones:
            del ones[stranger]
            self._count -= 1
        if not ones:
            self._waiting.pop(stranger.address, None)


def is_linked(links: "Links", channel: Any) -> bool:
    """Say whether the handshake on a channel has told who is at its other end."""
    return any(pump.channel is channel and pump.session.sync for pump in links.pumps)


def address_of(client: object) -> str:
    """Return what one customer has: of IPv6 the first 64 bits. client: (host, port), or None."""
    host = client[0] if isinstance(client, tuple | list) and client else ""
    try:
        address = ip_address(str(host))
    except ValueError:
        return str(host)[:64]
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)
