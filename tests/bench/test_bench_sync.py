import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import sync_serial
from counting_proxy import CountingProxy
from sync import Plan, is_met
from workload import changed, differing, documents

from edge_peer.security.record import RECORD
from edge_peer.security.wire import M1
from edge_peer.transport.lengths import encode

BENCH = Path(__file__).with_name("sync.py")


@pytest.mark.slow
def test_the_last_line_of_a_small_run_is_one_json_object_of_figures():
    arguments = ["--only-ours", "--documents", "100", "--authors", "3"]
    done = subprocess.run(
        [sys.executable, BENCH, *arguments], check=True, capture_output=True, text=True
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    for name in ("full_copy_bytes", "idle_reconnect_bytes", "documents_per_cpu_s"):
        assert list(figures[name]) == ["ours", "reference", "goal", "met"]
        assert figures[name]["ours"] > 0


def test_the_proxy_counts_both_ways_and_tells_the_handshake_apart():
    opening = encode(bytes([M1, 0, 1, 2])) + encode(bytes([RECORD, 0, 1]))
    frame = encode(bytes([RECORD, 0, 2])) + encode(bytes([RECORD, 0, 3, 4]))

    async def echo(reader, writer):
        writer.write(await reader.readexactly(len(opening + frame)))
        writer.close()

    async def count():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with CountingProxy(port, has_frames=True) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            for byte in opening + frame:
                writer.write(bytes([byte]))
                await writer.drain()
            assert await reader.read() == opening + frame
            writer.close()
            server.close()
            return proxy.take()

    assert asyncio.run(count()) == (2 * len(opening + frame), 2 * len(opening))


def test_the_same_seed_makes_the_same_readings_of_about_60_bytes():
    readings = documents(1_000, 7)
    assert readings == documents(1_000, 7) != documents(1_000, 8)
    size = sum(len(json.dumps(one, separators=(",", ":"))) for one in readings) / len(readings)
    assert 59 <= size <= 63
    news = changed(readings, 10, 7)
    known = {one["_id"]: one for one in readings}
    assert len({one["_id"] for one in news if one != known[one["_id"]]}) == 10
    assert not known.keys() & {one["_id"] for one in differing(20)}


def test_a_slower_line_takes_longer_and_no_time_of_ours():
    figures = sync_serial.measure(documents(100, 1), Plan())
    assert 0 < figures["serial_idle_reconnect_ms"] < figures["serial_ten_changed_ms"] < 60_000


def test_what_cannot_be_done_does_not_meet_its_goal():
    assert is_met("<= 40", 40) and not is_met("<= 40", 41) and not is_met("<= 40", None)
    assert is_met(">= 5000", 5000) and not is_met(">= 5000", 4999)
