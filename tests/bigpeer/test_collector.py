"""Attachments that no document names any more go, after a day, and no others."""

import asyncio

import pytest

from edge_peer.bigpeer import collector
from edge_peer.bigpeer.blobs import with_tokens
from edge_peer.bigpeer.collector import GRACE_MS, Collector

DAY_MS = GRACE_MS


class Clock:
    now_ms = 1_800_000_000_000

    def __call__(self):
        return self.now_ms


@pytest.fixture
def collecting(server):
    """look(days later) -> how many have gone since the last time"""
    clock = Clock()
    one = Collector(server.big.store, clock)

    def look(days):
        clock.now_ms += round(days * DAY_MS)
        before = one.gone_count
        server.do(one.look)
        return one.gone_count - before

    look(0)
    return look


def upload(server, data):
    files = {"file": ("a", data, "image/png")}
    return server.ask("POST", "/attachments/upload", files=files).json()


def is_there(server, token):
    return server.ask("GET", f"/attachments/{token['id']}").status_code == 200


def used_bytes(server):
    return server.do(lambda: server.big.store.status()["attachment_bytes"])


def test_what_no_document_names_goes_after_a_day(server, collecting):
    before = used_bytes(server)
    token = upload(server, b"lonely" * 1000)
    assert (collecting(0), collecting(0.9)) == (0, 0) and is_there(server, token)
    assert collecting(0.2) == 1 and not is_there(server, token)
    assert used_bytes(server) == before
    assert upload(server, b"lonely" * 1000) == token and is_there(
        server, token
    )  # it can come again
    collecting(0), collecting(1)


def test_what_a_document_names_stays_until_that_is_deleted(server, collecting):
    token = upload(server, b"named" * 1000)
    nested = {"_id": "a", "m": {"picture": token}}
    server.execute("INSERT INTO named DOCUMENTS (:d)", d=nested)
    assert (collecting(0), collecting(2)) == (0, 0) and is_there(server, token)
    server.execute("DELETE FROM named")
    assert (collecting(0), collecting(2)) == (0, 1) and not is_there(server, token)


def test_what_is_named_again_within_the_day_stays(server, collecting):
    token = upload(server, b"again" * 1000)
    collecting(0)
    server.execute("INSERT INTO again DOCUMENTS (:d)", d={"_id": "a", "picture": token})
    assert (collecting(2), collecting(2)) == (0, 0) and is_there(server, token)
    server.execute("UPDATE again SET picture = 1")
    assert (collecting(0), collecting(0.5), collecting(0.6)) == (0, 0, 1)


def test_a_document_that_comes_while_others_are_looked_at_counts(server, monkeypatch):
    """Its collection has been looked at already when it comes."""
    monkeypatch.setattr(collector, "STEP_S", 0)
    clock = Clock()
    one = Collector(server.big.store, clock)
    token = upload(server, b"late" * 1000)
    rows = [{"_id": f"{n}", "n": n} for n in range(100)]
    for name in ("aaa", "zzz"):
        server.execute(f"INSERT INTO {name} DOCUMENTS (:rows)", rows=rows)
    server.do(one.look)
    clock.now_ms += 2 * DAY_MS

    async def meanwhile():
        looking = asyncio.create_task(one.look())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        document = with_tokens({"_id": "late", "picture": token})
        server.big.execute("INSERT INTO aaa DOCUMENTS (:d)", {"d": document})
        await looking

    server.do(meanwhile)
    assert is_there(server, token)
