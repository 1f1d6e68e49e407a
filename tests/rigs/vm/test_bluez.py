"""Real bleak and our own peripheral on a real BlueZ and kernel, between two virtual controllers."""

from pathlib import Path

import pytest

from rigs.vm import machine

PEERS = Path(__file__).with_name("bluez_peers.py")


@pytest.mark.timeout(400)
def test_documents_and_then_news_cross_bluez():
    said = "\n".join(machine.run(PEERS, timeout_s=300))
    assert "documents: " in said and "news, on another link: " in said, said
