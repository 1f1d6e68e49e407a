"""
When a device was linked to this Big Peer last, since it started: to LOOK_S exactly.

What devices behind a relay have written is not seen here: their reports say when.
"""

import asyncio
from collections.abc import Callable

from edge_peer.peer import Links

LOOK_S = 10
DEVICE_COUNT_MAX = 65_536  # the one that was seen longest ago goes


class Sightings:
    def __init__(self, links: Links, wall_ms: Callable[[], int]) -> None:
        self._links = links
        self._wall_ms = wall_ms
        self._seen_ms: dict[bytes, int] = {}  # the latest is the last

    def linked(self) -> set[bytes]:
        """Return the authors that are linked here now."""
        return {pump.session.neighbour for pump in self._links.pumps} - {b""}

    def seen_ms(self, author: bytes) -> int | None:
        """Return when it was linked last; None for one that never was."""
        return self._seen_ms.get(author)

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Note who is linked now."""
        now_ms = self._wall_ms()
        for author in self.linked():
            self._seen_ms.pop(author, None)
            self._seen_ms[author] = now_ms
        while len(self._seen_ms) > DEVICE_COUNT_MAX:
            del self._seen_ms[next(iter(self._seen_ms))]
