"""Peers on a shared serial line: ptys that all hear each other."""

import asyncio

import pytest
from peers import Peer, running, until

from edge_peer.core.errors import ConfigError
from edge_peer.host import serial, system
from rigs.boards import SENSOR, Boards
from rigs.serial_bus import SerialBus


def station(peer, path, role):
    settings = {"kind": "serial", "port": path, "bus": role}
    return serial.keep(settings, peer.links, system)


def test_readings_of_several_nodes_reach_the_controller(gateway):
    async def main():
        bus = SerialBus(5)
        nodes = [Peer(f"node{number}") for number in range(4)]
        stations = [station(gateway, bus.paths[0], "controller")]
        for number, node in enumerate(nodes):
            node.insert(20, first=20 * number)
            stations.append(station(node, bus.paths[number + 1], "node"))
        async with running(*stations):
            await until(lambda: len(gateway.numbers()) == 80, "the readings of all")
        bus.close()

    asyncio.run(main())


def test_a_board_is_a_node(gateway, tmp_path):
    async def main():
        bus, boards = SerialBus(3), Boards(tmp_path)
        other = Peer("other")
        other.insert(5, first=100)
        try:
            link = {"kind": "serial", "uart": bus.paths[1], "bus": "node"}
            boards.start("sensor", SENSOR % 20, link)
            async with running(
                station(gateway, bus.paths[0], "controller"), station(other, bus.paths[2], "node")
            ):
                await until(lambda: len(gateway.numbers()) == 25, "the readings of both")
        finally:
            boards.stop()
            bus.close()

    asyncio.run(main())


def test_a_role_that_makes_no_sense_is_told(gateway):
    with pytest.raises(ConfigError):
        asyncio.run(station(gateway, "/dev/null", "master"))
