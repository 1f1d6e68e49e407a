"""Serial lines whose speed nobody was told: ptys that garble what is said at another speed."""

import asyncio
import os
import termios

import pytest
from peers import Peer, running, until

from edge_peer.core.errors import ConfigError
from edge_peer.host import serial, system
from edge_tools.cable import Cable
from rigs.boards import SENSOR, Boards


class Wires(Cable):
    """A cable whose ends understand each other at one speed only."""

    def __init__(self):
        super().__init__(self._garble)
        self._ttys = [os.open(path, os.O_RDWR | os.O_NOCTTY) for path in self.paths]

    def close(self):
        for tty in self._ttys:
            os.close(tty)
        super().close()

    def _garble(self, data):
        one, other = [termios.tcgetattr(tty)[5] for tty in self._ttys]
        return data if one == other else bytes(byte ^ 0x5A for byte in data)


def line(peer, path, baud):
    return serial.keep({"kind": "serial", "port": path, "baud": baud}, peer.links, system)


async def told(peer, path, baud):
    medium, channel = await serial.connect({"port": path, "baud": baud}, peer.links.local)
    await peer.links.run(medium, channel)


def test_a_gateway_finds_the_speed_of_a_neighbour(gateway):
    async def main():
        wires, other = Wires(), Peer("other")
        other.insert(10)
        async with running(
            told(other, wires.paths[0], 38_400), line(gateway, wires.paths[1], "auto")
        ):
            await until(lambda: len(gateway.numbers()) == 10, "the readings")
        wires.close()

    asyncio.run(main())


def test_a_board_finds_the_speed_of_a_gateway(gateway, tmp_path):
    async def main():
        wires, boards = Wires(), Boards(tmp_path)
        try:
            link = {"kind": "serial", "uart": wires.paths[0], "baud": "auto"}
            boards.start("sensor", SENSOR % 10, link)
            async with running(told(gateway, wires.paths[1], 57_600)):
                await until(lambda: len(gateway.numbers()) == 10, "the readings")
        finally:
            boards.stop()
            wires.close()

    asyncio.run(main())


def test_the_controller_of_a_bus_is_told_its_speed(gateway):
    settings = {"kind": "serial", "port": "/dev/null", "baud": "auto", "bus": "controller"}
    with pytest.raises(ConfigError, match="controller"):
        asyncio.run(serial.keep(settings, gateway.links, system))
