"""Bluetooth LE on the virtual air (tests/rigs), beside plain GATT writes on the same."""

import asyncio
import time

from bleak import BleakClient, BleakScanner
from links_serial import SIZE, put
from peers import Peer, running, until
from rigs.ble.air import Air
from rigs.ble.bleak_backend import backends
from rigs.ble.visited import Visited

from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE
from edge_peer.host import ble, system
from edge_peer.transport.gatt import VALUE_SIZE_MAX

COUNT = {23: 60, 247: 2_000}  # documents; a few seconds each
BOARD_COUNT, LINK_COUNT = 30, 3
READINGS = 20


async def measure(folder):
    figures = {}
    for mtu in (247, 23):
        raw = await raw_bytes_per_s(mtu, COUNT[mtu] * SIZE)
        took_s = await sync_s(mtu)
        goodput = COUNT[mtu] * SIZE / took_s
        figures[f"ble_{mtu}_goodput_percent"] = round(100 * goodput / raw)
        if mtu == 247:
            figures["ble_documents_per_s"] = round(COUNT[mtu] / took_s)
    figures["ble_first_document_ms"] = await first_document_ms()
    return figures | await crowd()


async def raw_bytes_per_s(mtu, size):
    """Write values as large as they go, without response, to a device that only counts."""
    air = Air()
    device, count, done = await air.device("counts"), 0, asyncio.Event()
    visited = Visited(device, Peer("counts"))

    def written(connection, value):
        nonlocal count
        count += len(value)
        if count >= size:
            done.set()

    visited.written = written
    await visited.start()
    scanner, client = backends(await air.device("writes"), mtu)
    found = await BleakScanner.find_device_by_filter(
        lambda device, heard: ble.SERVICE_TEXT in heard.service_uuids, backend=scanner
    )
    async with BleakClient(found, backend=client) as connected:
        value = bytes(min(mtu - 3, VALUE_SIZE_MAX))
        begun_s = time.monotonic()
        for _ in range(size // len(value) + 1):
            await connected.write_gatt_char(ble.TO_PERIPHERAL_TEXT, value, response=False)
        await done.wait()
        took_s = time.monotonic() - begun_s
    await visited.stop()
    await air.close()
    return count / took_s


def visiting(links, device, mtu=247, link_count=LINK_COUNT):
    return ble.Central({"links": link_count}, links, system, backends(device, mtu)).run()


async def sync_s(mtu):
    """From the open link to everything durable, from who visits to who is visited."""
    air, opened_s = Air(), []
    sender, big = Peer("sender"), Peer("big", WANTS_ALL)
    put(sender, COUNT[mtu])
    sender.links.on_open = lambda session: opened_s.append(time.monotonic())
    visited = Visited(await air.device("big"), big)
    await visited.start()
    async with running(visiting(sender.links, await air.device("sender"), mtu)):
        await until(lambda: sender.store.unsynced_count() == 0, "everything durable")
        took_s = time.monotonic() - opened_s[0]
    await visited.stop()
    await air.close()
    return took_s


async def first_document_ms():
    """From the news of a peer that is known, and not linked, to its document."""
    air, gateway, board = Air(), Peer("gateway", WANTS_UNDURABLE | RELAYS), Peer("board")
    visited = Visited(await air.device("board"), board)
    board.insert(1)
    await visited.start()
    async with running(visiting(gateway.links, await air.device("gateway"))):
        await until(lambda: len(gateway.numbers()) == 1, "the first visit")
        await until(lambda: not gateway.links.pumps and not board.links.pumps, "its end")
        board.insert(1, first=1)
        begun_s = time.monotonic()
        await visited.start()
        await until(lambda: len(gateway.numbers()) == 2, "news")
        took_s = time.monotonic() - begun_s
    await visited.stop()
    await air.close()
    return round(1000 * took_s)


async def crowd():
    """Return when all boards around one gateway are synced, and the spread of their waits."""
    air, gateway = Air(), Peer("gateway", WANTS_UNDURABLE | RELAYS)
    opened_s, boards = {}, []
    gateway.links.on_open = lambda one: opened_s.setdefault(one.neighbour, time.monotonic())
    for number in range(BOARD_COUNT):
        board = Peer(f"board{number}")
        board.insert(READINGS, first=READINGS * number)
        boards.append(Visited(await air.device(f"board{number}"), board))
        await boards[-1].start()
    begun_s = time.monotonic()
    async with running(visiting(gateway.links, await air.device("gateway"))):
        while len(gateway.numbers()) < BOARD_COUNT * READINGS:
            await asyncio.sleep(0.05)
    took_s = time.monotonic() - begun_s
    for board in boards:
        await board.stop()
    await air.close()
    spread_s = max(opened_s.values()) - min(opened_s.values())
    return {
        "ble_30_boards_ms": round(1000 * took_s),
        "ble_30_boards_spread_ms": round(1000 * spread_s),
    }
