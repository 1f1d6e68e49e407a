"""Peers that find each other by multicast DNS, on this computer's loopback."""

import asyncio
import os

import pytest
from peers import Peer, identity_file, running, until

from edge_peer.bigpeer.server import BigPeer
from edge_peer.bigpeer.settings import Settings
from edge_peer.core.errors import ConfigError
from edge_peer.host import system
from edge_peer.host.discovery import Discovery
from edge_peer.security.certificate import BIG_PEER
from rigs.boards import READER, SENSOR, Boards

# All test runs on this computer hear each other: each has an address, and an app, of its own.
RUN = os.getpid().to_bytes(3, "big")
ADDRESS = f"127.{RUN[0]}.{RUN[1]}.{max(1, RUN[2])}"
MEETING_HEAP_BYTES = 64 << 10  # of 64-bit objects: both halves of sync, mDNS and a listener
HERE = {"kind": "lan", "port": 0, "interface": ADDRESS}


@pytest.fixture
def own_app(monkeypatch):
    for module in ("discovery", "announcement"):
        monkeypatch.setattr(f"edge_peer.host.{module}.app_hash", lambda app_id: RUN)


def discovering(peer):
    return Discovery(HERE, peer.links, system).run()


def test_peers_find_each_other_and_again_at_another_address(gateway, own_app):

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


def test_boards_meet_without_a_host(tmp_path):
    """In a multicast group of this test run, each at an address of its own."""
    group = f"239.{RUN[0]}.{RUN[1]}.{RUN[2]}"

    async def main():
        boards = Boards(tmp_path)
        try:
            for number, (name, application) in enumerate(
                {"one": SENSOR % 5, "two": READER}.items()
            ):
                address = f"127.{RUN[1]}.{RUN[2]}.{number + 1}"
                link = {"kind": "lan", "listen": True, "address": address, "ask": group}
                boards.start(name, application, link, extra_heap_bytes=MEETING_HEAP_BYTES)
            await boards.says(boards.all[1], "readings 5")
        finally:
            boards.stop()

    asyncio.run(main())


def test_a_gateway_finds_a_big_peer_that_listens(tmp_path, own_app):
    """Which connects to nobody, whoever has the smaller author."""
    identity_file(tmp_path, "identity", BIG_PEER)
    settings = Settings(tmp_path, host=ADDRESS, http_port=0, sync_port=0)

    async def main():
        big, others = BigPeer(settings), [Peer(name) for name in "abc"]
        for number, peer in enumerate(others):
            peer.insert(10, first=10 * number)
        count = "SELECT COUNT(*) AS n FROM readings"
        async with running(big.run(), *[discovering(peer) for peer in others]):
            await until(lambda: big.execute(count).items == [{"n": 30}], "the readings")

    asyncio.run(main())


def test_settings_that_make_no_sense_are_told(gateway):
    for wrong in ({"port": "7700"}, {"interface": 5}):
        with pytest.raises(ConfigError):
            Discovery(HERE | wrong, gateway.links, system)
