"""Peers for tests of links on rigs."""

import pytest
from peers import Peer

from edge_peer.core.sync.messages import RELAYS, WANTS_UNDURABLE


@pytest.fixture
def gateway():
    return Peer("gateway", WANTS_UNDURABLE | RELAYS)
