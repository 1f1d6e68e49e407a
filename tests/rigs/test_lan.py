"""Peers that find each other by multicast DNS, on this computer's loopback."""

import asyncio
import os

import pytest
from peers import Peer, running, until

from edge_peer.core.errors import ConfigError
from edge_peer.host import system
from edge_peer.host.discovery import Discovery
from rigs.boards import SENSOR, Boards

# All test runs on this computer hear each other: each has an address, and an app, of its own.
RUN = os.getpid().to_bytes(3, "big")
ADDRESS = f"127.{RUN[0]}.{RUN[1]}.{max(1, RUN[2])}"
HERE = {"kind": "lan", "port": 0, "interface": ADDRESS}


def discovering(peer):
    return Discovery(HERE, peer.links, system).run()


def test_peers_find_each_other_and_again_at_another_address(gateway, monkeypatch):
    monkeypatch.setattr("edge_peer.host.discovery.app_hash", lambda app_id: RUN)

    async def main():
        one, other = Peer("one"), Peer("other")
        one.insert(10)
        async with running(discovering(gateway), discovering(one)):
            await until(lambda: len(gateway.numbers()) == 10, "the first one")
            async with running(discovering(other)):
                other.insert(5, first=10)
                await until(lambda: len(gateway.numbers()) == 15, "another one")
            await until(lambda: len(gateway.links.status()) == 1, "its end to be noticed")
            async with running(discovering(other)):  # on another port
                other.insert(5, first=15)
                await until(lambda: len(gateway.numbers()) == 20, "its news")

    asyncio.run(main())


def test_a_board_finds_a_gateway(gateway, tmp_path):
    async def main():
        boards = Boards(tmp_path)
        try:
            boards.start("sensor", SENSOR % 30, {"kind": "lan", "ask": ADDRESS})
            async with running(discovering(gateway)):
                await until(lambda: len(gateway.numbers()) == 30, "the readings")
        finally:
            boards.stop()

    asyncio.run(main())


def test_settings_that_make_no_sense_are_told(gateway):
    for wrong in ({"port": "7700"}, {"interface": 5}):
        with pytest.raises(ConfigError):
            Discovery(HERE | wrong, gateway.links, system)
