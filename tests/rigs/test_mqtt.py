"""A MicroPython board and a Big Peer through a real broker."""

import asyncio

import paho.mqtt.client as paho
import pytest
from certificates import Authority
from peers import Mosquitto, Peer, running, until

from edge_peer.bigpeer.ingress import MqttIngress
from edge_peer.core.sync.messages import WANTS_ALL
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


def test_what_a_stale_session_holds_back_does_no_harm(broker):
    """The broker keeps frames of a link that is long gone, and delivers them into the next one."""

    async def main():
        big, host = Peer("big", WANTS_ALL), Peer("host")
        async with running(MqttIngress(big.links, broker.settings()).run()):
            await keep_link(host, broker, lambda: big.links.status())
            author = host.store.author.hex()
            topic = mqtt.topic_to_peer(host.links.local.keyring.app_id, author)
            old = paho.Client(paho.CallbackAPIVersion.VERSION2, "old")
            old.connect("127.0.0.1", broker.port)
            old.loop_start()
            for payload in (b"\x80\x00\x00 a record", b"\x05", b"no frame", bytes(70_000)):
                old.publish(topic, payload, qos=1).wait_for_publish(10)
            old.loop_stop()
            host.insert(10)
            await keep_link(host, broker, lambda: len(big.numbers()) == 10)

    asyncio.run(main())


def test_a_broker_that_ends_connections_all_the_time_delays_and_loses_nothing(tmp_path):
    async def main():
        broker, big, host = Mosquitto(tmp_path), Peer("big", WANTS_ALL), Peer("host")

        async def keep():
            while True:
                try:
                    medium, channel = await mqtt.connect(broker.settings(), host.links.local)
                    await host.links.run(medium, channel)
                except OSError:
                    await asyncio.sleep(0.05)

        async with running(MqttIngress(big.links, broker.settings()).run(), keep()):
            for count in range(1, 4):
                host.insert(10, first=10 * count - 10)
                await until(lambda count=count: len(big.numbers()) == 10 * count, "the readings")
                broker.stop()
                broker.start()
        broker.stop()

    asyncio.run(main())


async def keep_link(host, broker, condition):
    medium, channel = await mqtt.connect(broker.settings(), host.links.local)
    async with running(host.links.run(medium, channel)):
        await until(condition, "what the link is for")


def test_a_host_that_dies_is_missed_at_once(broker):
    async def main():
        big, host = Peer("big", WANTS_ALL), Peer("host")
        async with running(MqttIngress(big.links, broker.settings()).run()):
            medium, channel = await mqtt.connect(broker.settings(), host.links.local)
            async with running(host.links.run(medium, channel)):
                await until(lambda: big.links.status(), "the link")
                channel.broker._client.socket().shutdown(2)  # as a cable that is cut
                await until(lambda: not big.links.pumps, "the will")

    asyncio.run(main())
