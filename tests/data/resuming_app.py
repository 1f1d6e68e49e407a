"""
An application that starts over after every power cut: each reading has an _id of its
own, so that writing it again changes nothing. Otherwise as the demo's.
"""

import asyncio
import json

INSERT = "INSERT INTO readings DOCUMENTS (:r) ON ID CONFLICT DO NOTHING"


async def main(peer):
    with open("app.json") as file:
        settings = json.load(file)
    row_count = 0
    with open("readings.csv") as rows:
        for row in rows:
            ts, temp = row.split(",")
            reading = {"_id": ts, "sensor": settings["sensor"], "ts": int(ts), "temp": float(temp)}
            peer.execute(INSERT, {"r": reading})
            row_count += 1
            print(json.dumps({"rows": row_count}))
            await asyncio.sleep(1 / settings["rows_per_s"])
