"""
The documents that tests/bench/sync.py copies: readings of about 60 bytes of JSON.

    {"_id": "r01234", "sensor": "s17", "temp": 21.53, "ts": 1700012340}

Twenty sensors take turns, one reading in ten seconds; each temperature moves by up to
0.25 degrees at a time. The same seed gives the same documents.
"""

import random

SENSOR_COUNT = 20
INTERVAL_S = 10
FIRST_S = 1_700_000_000


def documents(count, seed):
    """Return the first `count` readings, in the order in which they were written."""
    chance = random.Random(seed)
    degrees = [chance.uniform(15, 25) for _ in range(SENSOR_COUNT)]
    readings = []
    for number in range(count):
        sensor = number % SENSOR_COUNT
        degrees[sensor] += chance.uniform(-0.25, 0.25)
        readings.append(
            {
                "_id": f"r{number:05}",
                "sensor": f"s{sensor:02}",
                "temp": round(degrees[sensor], 2),
                "ts": FIRST_S + INTERVAL_S * number,
            }
        )
    return readings


def changed(readings, count, seed):
    """Return `count` of the readings, spread at random, with another temperature."""
    chosen = random.Random(seed).sample(readings, count)
    return [reading | {"temp": round(reading["temp"] + 0.5, 2)} for reading in chosen]


def temperatures(readings):
    """Return only what `changed` changes: for who can write single fields."""
    return [{name: reading[name] for name in ("_id", "temp")} for reading in readings]


def differing(count, first=0):
    """Return readings, from the number `first` on, that are in none of the others."""
    return [
        {"_id": f"x{i:05}", "sensor": "s99", "temp": 20 + i / 100, "ts": FIRST_S - i}
        for i in range(first, first + count)
    ]
