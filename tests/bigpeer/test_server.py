"""The Big Peer as a whole: its start, its links, its end, and the start after that."""

import asyncio
import socket

import httpx
import pytest

from edge_peer.config import Config
from edge_peer.host import authority, private_file
from edge_peer.host.permissions import EVERYTHING as ALLOWED
from edge_peer.host.permissions import packed
from edge_peer.peer import SmallPeer
from edge_peer.security import certificate, identity

LIMIT_S = 20
EVERYTHING = packed(ALLOWED)


def small_peer(big, path, links=True):
    app = authority.App(big.options.data / "big.app")
    app.unlock()
    made = app.admit("attic", certificate.DEVICE, EVERYTHING, 0, 1_000_000, replaces=True)
    app.close()
    private_file.write(path.with_suffix(".json"), identity.to_text(made), force=True)
    return SmallPeer(
        Config(
            {
                "identity": str(path.with_suffix(".json")),
                "storage": {"path": str(path), "quota_bytes": 1 << 20, "documents_max": 1000},
                "links": [{"kind": "lan", "host": "127.0.0.1", "port": big.sync_port}],
            }
        )
    )


async def run_until(peer, condition):
    """Run a peer until `await condition()` is through."""
    running = asyncio.create_task(peer.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            return await condition()
    finally:
        running.cancel()
        await asyncio.wait([running])


def test_a_restart_keeps_everything(start, tmp_path):
    server = start(tmp_path)
    rows = [{"_id": str(i), "temp": i / 10} for i in range(200)]
    before = server.execute("INSERT INTO readings DOCUMENTS (:rows)", rows=rows)
    app_id, key, author = server.big.app_id, server.api_key, server.big.store.author
    server.stop()
    again = start(tmp_path)
    assert (again.big.app_id, again.api_key, again.big.store.author) == (app_id, key, author)
    assert again.execute("SELECT * FROM readings ORDER BY temp")["items"] == rows
    after = again.execute("INSERT INTO readings DOCUMENTS ({'_id': 'more', 'temp': 21})")
    assert after["transactionId"] > before["transactionId"]


def test_a_session_of_the_page_survives_a_restart(start, tmp_path):
    server = start(tmp_path)
    with httpx.Client(timeout=LIMIT_S) as browser:
        browser.get(server.url, params={"key": server.api_key})
        server.stop()
        assert browser.get(start(tmp_path).url).status_code == 200


def test_what_a_small_peer_writes_arrives_and_is_answered_over_http(start, tmp_path):
    server = start(tmp_path / "big")
    peer = small_peer(server.big, tmp_path / "attic.db")
    peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"temp": 21.5}})
    headers = {"Authorization": f"Bearer {server.api_key}", "X-EDGE-TXN-ID": "3"}
    body = {"statement": "SELECT temp FROM readings"}

    async def read():  # its certificate, its reading and its report are three transactions
        async with httpx.AsyncClient(base_url=server.url, timeout=LIMIT_S) as client:
            return await client.post("/api/v4/store/execute", json=body, headers=headers)

    answer = asyncio.run(run_until(peer, read))
    assert answer.json()["items"] == [{"temp": 21.5}]


def test_a_stop_says_goodbye_and_leaves_no_link(start, tmp_path):
    server = start(tmp_path / "big")
    peer = small_peer(server.big, tmp_path / "attic.db")

    async def see_it_stop():
        await asyncio.to_thread(server.do, lambda: server.big.wait_for_transaction(2))
        assert [link["neighbour"] for link in server.big.links.status()] == ["attic"]
        path = f"/apps/{server.big.app_id}/devices"
        (device,) = (await asyncio.to_thread(server.ask, "GET", path)).json()["devices"]
        assert device["linked"] and device["lastSeenAt"].endswith("Z")
        assert device["certificate"]["name"] == "attic" and not device["certificate"]["revoked"]
        await asyncio.to_thread(server.stop)

    asyncio.run(run_until(peer, see_it_stop))
    assert server.big.links.pumps == []


@pytest.mark.parametrize("which", ["http_port", "sync_port"])
def test_a_port_that_is_taken_is_told_in_a_sentence(start, tmp_path, which):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port}: it is taken"):
            start(tmp_path, **{which: port})
    start(tmp_path)  # the attempt has left nothing locked


def test_a_port_that_cannot_be_is_told_in_a_sentence(start, tmp_path):
    with pytest.raises(OSError, match="cannot listen for HTTP"):
        start(tmp_path, http_port=70_000)


def test_both_ports_are_known_and_answer(server):
    assert server.client.get("/health").status_code == 200
    with socket.create_connection(("127.0.0.1", server.big.sync_port), LIMIT_S):
        pass
