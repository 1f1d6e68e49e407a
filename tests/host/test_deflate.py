import os

import pytest

from edge_peer.core.errors import FormatError
from edge_peer.host.deflate import Deflate


def test_messages_come_back_one_by_one_and_share_a_window():
    here, there = Deflate(), Deflate()
    messages = [b"reading " * 20, b"", os.urandom(5_000), b"reading " * 20]
    sizes = []
    for message in messages:
        data = here.deflate(message)
        sizes.append(len(data))
        assert there.inflate(data, 5_000) == message
    assert sizes[3] < 12


def test_what_would_be_too_large_is_refused_before_it_is_built():
    with pytest.raises(FormatError, match="more than"):
        Deflate().inflate(Deflate().deflate(bytes(1 << 20)), 4_096)


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x03\x00", b"", b"\x07" * 40])
def test_what_is_not_deflated_is_refused(data):
    there = Deflate()
    try:
        assert there.inflate(data, 100) == b""
    except FormatError:
        pass
