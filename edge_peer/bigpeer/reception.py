"""
Which app a peer belongs to that has connected over TCP: its first message says so.

M1 carries a code that only the network key of its app makes, R1 the number of a ticket that
only one app has given (security/channel.py). What is neither is passed over, as it would be
further on. One hash for each app is all that a stranger costs.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge_peer.security.channel import GIVE_UP_MS
from edge_peer.security.wire import M1, M1_SIZE, NO, R1
from edge_peer.transport.stream import StreamChannel

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

TICKET_ID = slice(1, 9)  # in R1


class Received:
    """A channel that gives again what was read from it already."""

    def __init__(self, channel: StreamChannel, frames: list[bytes]) -> None:
        self._channel = channel
        self._frames = frames
        self.send = channel.send
        self.close = channel.close
        self.damaged_count = channel.damaged_count

    async def receive(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        return frames or await self._channel.receive()


async def receive(
    tenants: Iterable["Tenant"], channel: StreamChannel
) -> "tuple[Tenant, Received] | None":
    """Return whose peer it is, and the channel to it; None where nothing of ours has come.

    Raises OSError when the wire is gone.
    """
    try:
        async with asyncio.timeout(GIVE_UP_MS / 1000):
            while True:
                frames = await channel.receive()
                for place, frame in enumerate(frames):
                    tenant = host_of(tenants, frame)
                    if tenant is not None:
                        return tenant, Received(channel, frames[place:])
                    if frame[:1] == bytes((R1,)):  # it begins anew, in full
                        await channel.send([bytes((NO,)) + frame[TICKET_ID]])
    except TimeoutError:
        return None


def host_of(tenants: Iterable["Tenant"], frame: bytes) -> "Tenant | None":
    """Return the app whose peer has sent this as its first frame."""
    kind = frame[0] if frame else 0
    for tenant in tenants:
        keyring = tenant.links.local.keyring
        if kind == M1 and len(frame) == M1_SIZE and keyring.network_of(frame) is not None:
            return tenant
        if kind == R1 and keyring.ticket(frame[TICKET_ID]) is not None:
            return tenant
    return None
