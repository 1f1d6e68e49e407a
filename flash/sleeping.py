"""
Sleep between syncs: for boards on batteries, whose radio costs more than all else.

    from sleeping import sleep_when_synced

    async def main(peer):
        peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"temp": read()}})
        await sleep_when_synced(peer, 600_000)

After deep sleep a board starts anew: the application runs from its beginning. Links resume
without public-key work, and what was not taken in time waits on flash for the next turn.
"""

import asyncio

import machine
from running import remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer import SmallPeer

PATIENCE_S = 30
LOOK_MS = 100


async def sleep_when_synced(peer: "SmallPeer", sleep_ms: int, patience_s: int = PATIENCE_S) -> None:
    """Sleep deeply once the Big Peer has everything, or after patience_s; does not return."""
    for _ in range(patience_s * 1000 // LOOK_MS):
        if not peer.status()["unsynced"]:
            break
        await asyncio.sleep(LOOK_MS / 1000)
    remove_file("starts")  # this one went well (flash/boot.py)
    machine.deepsleep(sleep_ms)
