"""
Which app a peer belongs to that has connected over TCP: its first message says so.

M1 carries a code that only the network key of its app makes, R1 the number of a ticket that
only one app has given (security/channel.py). What is neither is passed over, as it would be
further on, a few times. One hash for each app is all that a stranger costs.
"""

import asyncio
from collections.abc import Callable, Iterable

from edge_peer.peer import Links
from edge_peer.security.channel import GIVE_UP_MS
from edge_peer.security.wire import M1, M1_SIZE, NO, R1
from edge_peer.transport.stream import StreamChannel

TICKET_ID = slice(1, 9)  # in R1
STRANGE_COUNT_MAX = 4  # frames; an honest peer has one of them, a ticket that is not known here


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
    served: Callable[[], Iterable[Links]],
    channel: StreamChannel,
    may_meet: Callable[[], bool] = lambda: True,
) -> tuple[Links, Received] | None:
    """Return the links of the app whose peer it is, and the channel to it; None for a stranger.

    may_meet: asked before a full handshake, which costs more than a hash. Raises OSError when
    the wire is gone.
    """
    strange_count = 0
    try:
        async with asyncio.timeout(GIVE_UP_MS / 1000):
            while True:
                frames = await channel.receive()
                for place, frame in enumerate(frames):
                    links = host_of(served(), frame)
                    if links is not None:
                        if frame[0] == M1 and not may_meet():
                            return None
                        return links, Received(channel, frames[place:])
                    strange_count += 1
                    if strange_count > STRANGE_COUNT_MAX:
                        return None
                    if frame[:1] == bytes((R1,)):  # it begins anew, in full
                        await channel.send([bytes((NO,)) + frame[TICKET_ID]])
    except TimeoutError:
        return None


def host_of(served: Iterable[Links], frame: bytes) -> Links | None:
    """Return the links of the app whose peer has sent this as its first frame."""
    kind = frame[0] if frame else 0
    for links in served:
        keyring = links.local.keyring
        if kind == M1 and len(frame) == M1_SIZE and keyring.network_of(frame) is not None:
            return links
        if kind == R1 and keyring.ticket(frame[TICKET_ID]) is not None:
            return links
    return None
