"""What tests/bench/board.py runs on the virtual Pico: a line of JSON for each step."""

import asyncio
import gc
import json
import sys
import time

gc.threshold(3072)  # as flash/main.py has it
STARTED_MS = time.ticks_ms()
READINGS = 5
POLL_MS = 100


def tell(step):
    gc.collect()
    figures = {
        "heap": gc.mem_alloc(),
        "free": gc.mem_free(),
        "ms": time.ticks_diff(time.ticks_ms(), STARTED_MS),
        "modules": len([name for name in sys.modules if name.startswith("edge_peer")]),
    }
    print("@%s %s" % (step, json.dumps(figures)))


async def main():
    from edge_peer import SmallPeer

    tell("imported")
    peer = SmallPeer.open("/edge.json")
    tell("opened")
    asyncio.create_task(peer.run())
    while not peer.status()["links"]:
        await asyncio.sleep_ms(POLL_MS)
    tell("linked")
    for number in range(READINGS):
        peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"temp": 21.5, "n": number}})
    while peer.status()["links"][0]["sent"] < READINGS:
        await asyncio.sleep_ms(POLL_MS)
    tell("synced")


tell("start")
asyncio.run(main())
