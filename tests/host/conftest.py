"""Peers and a broker for tests of real wires on loopback."""

import pytest
from peers import Mosquitto, Peer

from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE


@pytest.fixture
def board():
    return Peer("board")


@pytest.fixture
def gateway():
    return Peer("gateway", WANTS_UNDURABLE | RELAYS)


@pytest.fixture
def big():
    return Peer("big", WANTS_ALL)


@pytest.fixture
def broker(tmp_path):
    mosquitto = Mosquitto(tmp_path)
    yield mosquitto
    mosquitto.stop()
