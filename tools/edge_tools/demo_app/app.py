"""
The demo's application on a board: a thermometer that replays real measurements.

    app.json        {"sensor": "seattle-1", "rows_per_s": 30}
    readings.csv    one measurement a line: Unix time, temperature
"""

import asyncio
import gc
import json

from edge_peer import StoreFull

INSERT = "INSERT INTO readings DOCUMENTS (:r)"
FULL_RETRY_S = 0.5


async def main(peer):
    with open("app.json") as file:
        settings = json.load(file)
    meter = Meter(peer)
    asyncio.create_task(meter.sample())
    asyncio.create_task(meter.report())
    with open("readings.csv") as rows:
        for row in rows:
            ts, temp = row.split(",")
            reading = {"sensor": settings["sensor"], "ts": int(ts), "temp": float(temp)}
            await insert(peer, reading)
            meter.count()
            await asyncio.sleep(1 / settings["rows_per_s"])


async def insert(peer, reading):
    """Write one reading. A full store takes no more before others are synced: wait for that."""
    while True:
        try:
            return peer.execute(INSERT, {"r": reading})
        except StoreFull:
            await asyncio.sleep(FULL_RETRY_S)


class Meter:
    """Tells the demo about the board in lines of JSON on the console: they cost no sync."""

    def __init__(self, peer):
        self._peer = peer
        self._row_count = 0
        self._heap_bytes = 0

    def count(self):
        self._row_count += 1
        self._measure()

    async def sample(self):
        while True:
            self._measure()
            await asyncio.sleep(0.02)

    async def report(self):
        while True:
            status = self._peer.status()
            status["rows"] = self._row_count
            status["heap_bytes"] = self._heap_bytes
            print(json.dumps(status))
            await asyncio.sleep(0.5)

    def _measure(self):
        self._heap_bytes = max(self._heap_bytes, gc.mem_alloc())
