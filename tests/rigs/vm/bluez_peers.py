"""
Runs in the virtual machine: a peer that visits (bleak, hci0) and one that is visited (hci1).

Documents go from one to the other and back, on links that end and begin again.
"""

import asyncio
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "core")]

from dbus_fast import BusType, Message, MessageType, Variant  # noqa: E402
from dbus_fast.aio import MessageBus  # noqa: E402
from peers import Peer, running  # noqa: E402

from edge_peer.core.sync.messages import RELAYS, WANTS_UNDURABLE  # noqa: E402
from edge_peer.host import ble, system  # noqa: E402
from edge_peer.host.ble_peripheral import Peripheral  # noqa: E402

LIMIT_S = 120
COUNT = 200
PEERS = []


async def until(condition, what):
    begun_s = time.monotonic()
    while not condition():
        assert time.monotonic() < begun_s + LIMIT_S, f"waited in vain for {what}"
        await asyncio.sleep(1)
        print([p.links.status() for p in PEERS], flush=True)
    print(f"{what}: {time.monotonic() - begun_s:.1f} s", flush=True)


async def power_on(adapter):
    """Wait until bluetoothd has the adapter, and switch it on."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    begun_s = time.monotonic()
    while True:
        answer = await bus.call(
            Message(
                "org.bluez",
                f"/org/bluez/{adapter}",
                "org.freedesktop.DBus.Properties",
                "Set",
                signature="ssv",
                body=["org.bluez.Adapter1", "Powered", Variant("b", True)],
            )
        )
        if answer.message_type != MessageType.ERROR:
            break
        assert time.monotonic() < begun_s + LIMIT_S, f"{adapter}: {answer.body}"
        await asyncio.sleep(0.1)
    bus.disconnect()


async def main():
    for adapter in ("hci0", "hci1"):
        await power_on(adapter)
    print("both adapters are on", flush=True)
    gateway, visited = Peer("gateway", WANTS_UNDURABLE | RELAYS), Peer("visited")
    visited.insert(COUNT)
    PEERS.extend([gateway, visited])
    both = [
        ble.Central({"adapter": "hci0"}, gateway.links, system).run(),
        Peripheral({"adapter": "hci1"}, visited.links, system).run(),
    ]
    async with running(*both):
        await until(lambda: len(gateway.numbers()) == COUNT, "documents")
        await until(lambda: not gateway.links.pumps, "the link to make room")
        visited.insert(10, first=COUNT)
        await until(lambda: len(gateway.numbers()) == COUNT + 10, "news, on another link")


if __name__ == "__main__":
    asyncio.run(main())
