"""A MicroPython board and a Big Peer through a real broker."""

import asyncio

import pytest
from certificates import Authority
from peers import Mosquitto, Peer, running, until

from edge_peer.bigpeer.ingress import MqttIngress
from edge_peer.core.messages import WANTS_ALL
from edge_peer.host import mqtt
from rigs.boards import SENSOR, Boards


@pytest.fixture
def boards(tmp_path):
    boards = Boards(tmp_path)
    yield boards
    boards.stop()


@pytest.fixture
def broker(tmp_path):
    mosquitto = Mosquitto(tmp_path)
    yield mosquitto
    mosquitto.stop()


def test_readings_of_a_board_cross_a_broker_that_comes_late(boards, broker):
    async def main():
        big = Peer("big", WANTS_ALL)
        boards.start("sensor", SENSOR % 40, broker.settings())
        async with running(MqttIngress(big.links, broker.settings()).run()):
            await until(lambda: len(big.numbers()) == 40, "the readings")
            broker.stop()
            await until(lambda: not big.links.pumps, "the loss to be noticed")
            broker.start()
            await until(lambda: big.links.status(), "the link to be there again")

    asyncio.run(main())


def test_a_board_checks_who_the_broker_is(boards, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.sign("broker")
    broker = Mosquitto(tmp_path, f"certfile {certificate}\nkeyfile {key}\n")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    tls = broker.settings() | {"tls": {"ca": "ca.pem"}}
    host = broker.settings() | {"tls": {"ca": str(authority.path)}}

    async def main():
        big = Peer("big", WANTS_ALL)
        files = {"ca.pem": other.path.read_text()}
        wrong = boards.start("wrong", SENSOR % 3, tls, files)
        boards.start("right", SENSOR % 5, tls, {"ca.pem": authority.path.read_text()})
        async with running(MqttIngress(big.links, host).run()):
            await until(lambda: len(big.numbers()) == 5, "the readings")
        assert "mqtt" in wrong.process.tail() and "linked" not in wrong.process.tail()

    asyncio.run(main())
    broker.stop()


def test_a_board_that_dies_is_missed_at_once(boards, broker):
    """By its last will, not by the silence of a minute."""

    async def main():
        big = Peer("big", WANTS_ALL)
        sensor = boards.start("sensor", SENSOR % 5, broker.settings())
        async with running(MqttIngress(big.links, broker.settings()).run()):
            await until(lambda: len(big.numbers()) == 5, "the readings")
            sensor.process.kill()
            await until(lambda: not big.links.pumps, "the will")

    asyncio.run(main())


def test_a_host_that_dies_is_missed_at_once(broker):
    async def main():
        big, host = Peer("big", WANTS_ALL), Peer("host")
        async with running(MqttIngress(big.links, broker.settings()).run()):
            medium, channel = await mqtt.connect(broker.settings(), host.links.local)
            async with running(host.links.run(medium, channel)):
                await until(lambda: big.links.status(), "the link")
                channel._broker._client.socket().shutdown(2)  # as a cable that is cut
                await until(lambda: not big.links.pumps, "the will")

    asyncio.run(main())
