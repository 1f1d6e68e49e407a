"""A voltage, smoothed, told when it has changed by more than noise: flash and radio are dear."""

import asyncio

from machine import ADC

from edge_peer import StoreFull

PIN = 26
SAMPLES = 16
STEP_MV = 20
INTERVAL_S = 1


async def main(peer):
    sensor = ADC(PIN)
    told_mv = None
    while True:
        total = 0
        for _ in range(SAMPLES):
            total += sensor.read_u16()
        mv = total // SAMPLES * 3300 // 65535
        if told_mv is None or abs(mv - told_mv) >= STEP_MV:
            try:
                peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"mv": mv}})
                told_mv = mv
            except StoreFull:
                pass  # the next one, when neighbours have taken some
        await asyncio.sleep(INTERVAL_S)
