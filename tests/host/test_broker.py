"""Which MQTT a broker speaks, and whether its shared subscriptions can be trusted."""

import asyncio

import pytest
from peers import Mosquitto, Peer, running, until
from rigs.bent_broker import OLD_VERSION, Bent, gives_to_each_member, grants_and_delivers_nothing

from edge_peer.bigpeer.ingress import MqttIngress
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.host import mqtt
from edge_peer.host.broker_probe import sharing_fault

APP_ID = bytes(16)


@pytest.fixture
def broker(tmp_path):
    mosquitto = Mosquitto(tmp_path)
    yield mosquitto
    mosquitto.stop()


async def version_and_readings(settings):
    """Sync through a broker; return which MQTT was spoken."""
    board, big = Peer("board"), Peer("big", WANTS_ALL)
    board.insert(10)
    async with running(MqttIngress(big.links, settings).run()):
        medium, channel = await mqtt.connect(settings, board.links.local)
        async with running(board.links.run(medium, channel)):
            await until(lambda: len(big.numbers()) == 10, "the readings")
    return channel.broker.version


def test_a_broker_that_has_mqtt_5_is_spoken_to_in_it(broker):
    assert asyncio.run(version_and_readings(broker.settings())) == "MQTT 5"


@pytest.mark.parametrize("refusal", [OLD_VERSION, b""])
def test_a_broker_that_refuses_mqtt_5_or_hangs_up_is_spoken_to_in_the_older_one(broker, refusal):
    async def main():
        async with Bent(broker, versions=(4,), refusal=refusal) as old:
            return await version_and_readings(old.settings())

    assert asyncio.run(main()) == "MQTT 3.1.1"


def test_shared_subscriptions_that_divide_are_found_to_work(broker):
    assert asyncio.run(sharing_fault(broker.settings(), APP_ID)) == ""


def test_shared_subscriptions_work_in_mqtt_3_too_where_the_broker_has_them(broker):
    async def main():
        async with Bent(broker, versions=(4,)) as old:
            return await sharing_fault(old.settings(), APP_ID)

    assert asyncio.run(main()) == ""


@pytest.mark.parametrize(
    ("bend", "fault"),
    [
        (grants_and_delivers_nothing, "delivers nothing"),
        (gives_to_each_member, "more than one member"),
    ],
)
def test_a_broker_that_lies_about_shared_subscriptions_is_found_out(broker, bend, fault):
    async def main():
        async with Bent(broker, bend) as liar:
            return await sharing_fault(liar.settings(), APP_ID)

    assert fault in asyncio.run(main())


def test_a_broker_that_is_not_there_is_no_verdict():
    with pytest.raises(OSError, match="no broker"):
        asyncio.run(sharing_fault({"host": "127.0.0.1", "port": 1}, APP_ID))
