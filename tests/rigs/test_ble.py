"""Peers over the virtual air: real MicroPython, real host code, no radio."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from bleak import BleakClient, BleakScanner
from peers import Peer, running, until

from edge_peer.host import ble, system
from rigs.ble.air import Air
from rigs.ble.bleak_backend import backends
from rigs.ble.visited import Flaky, Visited
from rigs.boards import READER, SENSOR, Boards

BLUETOOTH = Path(__file__).parent / "ble/bluetooth.py"
RADIO_HEAP_BYTES = 50_000  # bluetooth.py, and 24 values that wait in it as text
READER_TOO = READER[READER.index("    peer.subscribe") :]


class RadioBoards(Boards):
    """Whose radios are on one air."""

    def __init__(self, folder, air):
        super().__init__(folder)
        self._air = air

    async def put(self, name, application, role="peripheral"):
        files = {
            "bluetooth.py": BLUETOOTH.read_text(),
            "bluetooth.port": str(await self._air.board(name)),
        }
        link = {"kind": "ble", "role": role, "interval_ms": 60}
        return self.start(name, application, link, files, RADIO_HEAP_BYTES)


@contextlib.asynccontextmanager
async def an_air(folder, **options):
    air = Air(**options)
    boards = RadioBoards(folder, air)
    try:
        yield air, boards
    finally:
        boards.stop()
        await air.close()


async def central(air, peer, mtu=247, links=3):
    device = await air.device("gateway")
    settings = {"kind": "ble", "links": links}
    return ble.Central(settings, peer.links, system, backends(device, mtu)).run()


@pytest.mark.parametrize("mtu", [23, 247])
def test_readings_of_a_board_reach_a_gateway(gateway, tmp_path, mtu):
    async def main():
        async with an_air(tmp_path) as (air, boards):
            await boards.put("sensor", SENSOR % 40)
            async with running(await central(air, gateway, mtu)):
                await until(lambda: gateway.numbers() == list(range(40)), "the readings")

    asyncio.run(main())


def test_what_a_gateway_has_for_a_board_reaches_it(gateway, tmp_path):
    async def main():
        async with an_air(tmp_path) as (air, boards):
            reader = await boards.put("reader", READER)
            gateway.insert(30)
            async with running(await central(air, gateway)):
                await boards.says(reader, "readings 30")
                gateway.insert(10, first=30)
                await boards.says(reader, "readings 40")

    asyncio.run(main())


@pytest.mark.parametrize("role", ["central", "both"])
def test_a_board_visits_another(tmp_path, role):
    async def main():
        async with an_air(tmp_path) as (air, boards):
            reader = await boards.put("reader", READER, role)
            await boards.put("sensor", SENSOR % 20)
            await boards.says(reader, "readings 20")

    asyncio.run(main())


@pytest.mark.slow
def test_two_boards_that_do_both_take_turns(tmp_path):
    async def main():
        async with an_air(tmp_path) as (air, boards):
            both = [await boards.put(name, SENSOR % 10 + READER_TOO, "both") for name in "ab"]
            for board in both:
                await boards.says(board, "readings 20")

    asyncio.run(main())


def test_a_board_that_is_switched_off_in_the_middle_goes_on_where_it_was(gateway, tmp_path):
    async def main():
        async with an_air(tmp_path) as (air, boards):
            sensor = await boards.put("sensor", SENSOR % 40)
            async with running(await central(air, gateway, mtu=23)):
                await until(lambda: gateway.numbers(), "the first readings")
                sensor.process.kill()
                await until(lambda: not gateway.links.pumps, "the loss to be noticed")
                sensor.start(RADIO_HEAP_BYTES)
                await until(lambda: len(gateway.numbers()) == 80, "all of both runs")

    asyncio.run(main())


def test_strangers_do_not_stand_between_a_board_and_its_gateway(gateway, tmp_path):
    """A foreign central connects first, writes nonsense and stays; another app is around."""

    async def main():
        async with an_air(tmp_path) as (air, boards):
            await boards.put("sensor", SENSOR % 10)
            stranger = await air.device("stranger")
            scanner, client = backends(stranger)
            found = await BleakScanner.find_device_by_filter(
                lambda device, heard: ble.SERVICE_TEXT in heard.service_uuids, backend=scanner
            )
            async with BleakClient(found, backend=client) as connected:
                for value in (b"hello", b"\xff" * 20, b""):
                    await connected.write_gatt_char(ble.TO_PERIPHERAL_TEXT, value, response=False)
                async with running(await central(air, gateway)):
                    await until(lambda: len(gateway.numbers()) == 10, "the readings")

    asyncio.run(main())


def test_a_gateway_visits_several_boards_and_none_waits_for_the_flaky(gateway, tmp_path):
    async def main():
        async with an_air(tmp_path) as (air, boards):
            flaky = Flaky(await air.device("flaky"))
            await flaky.start(gateway.links.local.keyring.app_id)
            peers = [Visited(await air.device(f"b{n}"), Peer(f"b{n}")) for n in range(6)]
            for peer in peers:
                peer.peer.insert(5)
                await peer.start()
            async with running(await central(air, gateway, links=2)):
                await until(lambda: len(gateway.numbers()) == 30, "readings of all")
                await until(lambda: flaky.count > 1, "the flaky one to be tried again")
            for peer in peers:
                await peer.stop()

    asyncio.run(main())
