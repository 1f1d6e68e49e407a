"""MQTT over TLS, through mosquitto: who the broker is, and who we are, is checked."""

import asyncio
import hashlib
from base64 import b64encode

import pytest
from certificates import Authority
from peers import Mosquitto, Peer, running, until

from edge_peer.bigpeer.ingress import MqttIngress
from edge_peer.core.errors import ConfigError
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.host import mqtt
from edge_peer.host.broker import Broker


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def broker(tmp_path, authority):
    """A broker that shows a certificate and wants one."""
    certificate, key = authority.sign("broker")
    lines = f"cafile {authority.path}\ncertfile {certificate}\nkeyfile {key}\n"
    broker = Mosquitto(tmp_path, lines + "require_certificate true\n")
    yield broker
    broker.stop()


def settings(broker, authority, name="peer"):
    certificate, key = authority.sign(name)
    files = {"ca": str(authority.path), "cert": str(certificate), "key": str(key)}
    return broker.settings() | {"tls": files}


def refused(peer, link):
    async def main():
        with pytest.raises(OSError) as error:
            await mqtt.connect(link, peer.links.local)
        return str(error.value)

    return asyncio.run(main())


def test_readings_cross_tls_with_certificates_of_both_sides(broker, authority):
    board, big = Peer("board"), Peer("big", WANTS_ALL)
    board.insert(20)

    async def main():
        ingress = MqttIngress(big.links, settings(broker, authority, "big"))
        async with running(ingress.run()):
            medium, channel = await mqtt.connect(settings(broker, authority), board.links.local)
            async with running(board.links.run(medium, channel)):
                await until(lambda: board.store.unsynced_count() == 0, "everything durable")

    asyncio.run(main())
    assert big.numbers() == list(range(20))


def test_a_broker_of_another_authority_is_refused(broker, authority, tmp_path):
    (tmp_path / "other").mkdir()
    link = settings(broker, authority)
    link["tls"]["ca"] = str(Authority(tmp_path / "other").path)
    assert "CERTIFICATE_VERIFY_FAILED" in refused(Peer("board"), link)


def test_a_broker_that_is_called_otherwise_is_refused(broker, authority):
    link = settings(broker, authority) | {"host": "127.0.0.2"}
    assert refused(Peer("board"), link)


def test_a_peer_without_its_certificate_is_refused(broker, authority):
    link = broker.settings() | {"tls": {"ca": str(authority.path)}}
    assert refused(Peer("board"), link)


def test_user_and_password_are_checked_by_the_broker(tmp_path, authority):
    salt = b"twelve bytes"
    digest = hashlib.pbkdf2_hmac("sha512", b"right", salt, 101)
    words = ["", "7", "101", b64encode(salt).decode(), b64encode(digest).decode()]
    passwords = tmp_path / "passwords"
    passwords.write_text(f"peer:{'$'.join(words)}\n")
    passwords.chmod(0o600)
    certificate, key = authority.sign("broker")
    lines = f"certfile {certificate}\nkeyfile {key}\n"
    broker = Mosquitto(tmp_path, lines + f"allow_anonymous false\npassword_file {passwords}\n")
    link = broker.settings() | {"tls": {"ca": str(authority.path)}, "user": "peer"}
    for password in ("wrong", None):
        assert "uthor" in refused(Peer("board"), link | {"password": password})

    async def main():
        _, channel = await mqtt.connect(link | {"password": "right"}, Peer("board").links.local)
        await channel.close()

    asyncio.run(main())
    broker.stop()


@pytest.mark.parametrize(
    "tls", ["yes", {"cafile": "x"}, {"ca": "/nowhere"}, {"cert": "/nowhere", "key": "/nowhere"}]
)
def test_tls_that_makes_no_sense_is_told(tls):
    async def main():
        with pytest.raises(ConfigError):
            Broker({"host": "127.0.0.1", "tls": tls}, "x", [])

    asyncio.run(main())


def test_the_port_of_tls_is_another():
    assert mqtt.label({"host": "b"}) == "mqtt b:1883"
    assert mqtt.label({"host": "b", "tls": True}) == "mqtt b:8883"
    assert mqtt.label({"host": "b", "tls": True, "port": 99}) == "mqtt b:99"
