"""Temperature and humidity of a DHT22, every minute; what it does not answer is left out."""

import asyncio

from dht import DHT22
from machine import Pin

from edge_peer import StoreFull

PIN = 16
INTERVAL_S = 60


async def main(peer):
    sensor = DHT22(Pin(PIN))
    while True:
        try:
            sensor.measure()
            reading = {"temp": sensor.temperature(), "humidity": sensor.humidity()}
            peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": reading})
        except StoreFull:
            pass  # the next one, when neighbours have taken some
        except OSError as error:  # its checksum was wrong, or it is not there
            print("dht22: %s" % error)
        await asyncio.sleep(INTERVAL_S)
