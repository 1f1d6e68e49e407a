"""One device: what it reports over a real link, what is remembered of it, its roll-outs."""

import asyncio
import re

import httpx
import pytest
from test_permissions_on_links import peer_of, run_until

from edge_peer.bigpeer.sightings import LOOK_S, SAVE_S
from edge_peer.host import authority, system


@pytest.fixture
def visited(start, tmp_path):
    """A Big Peer that has had a device, which wrote two readings, reported, and left."""
    server = start(tmp_path / "big")
    app = authority.App(server.big.options.data / "big.app")
    app.unlock()
    peer = peer_of(app, server, tmp_path)
    app.close()
    peer.about["update"] = 7
    peer.execute("INSERT INTO readings DOCUMENTS ({'site': 'A'}), ({'site': 'A'})")
    run_until(
        peer,
        lambda: (
            len(server.do(lambda: server.big.execute("SELECT * FROM readings").items)) == 2
            and device_of(server)
            and not server.do(server.big.sightings.look)
        ),
    )
    for _ in range(100_000):
        if not server.do(server.big.sightings.linked):  # the server hears the goodbye
            break
    server.do(server.big.sightings.look)
    return server, peer


def device_of(server):
    found = server.ask("GET", f"/apps/{server.big.app_id}/devices").json()["devices"]
    return found[0] if found else None


def log_of(server, id):
    return server.ask("GET", f"/apps/{server.big.app_id}/devices/{id}").json()["log"]


def page(server, name, **query):
    with httpx.Client(base_url=server.url, follow_redirects=True) as browser:
        browser.get("/", params={"key": server.api_key})
        return browser.get(f"/{name}", params=query).text


def test_a_real_device_reports_what_runs_on_it_and_what_it_has_not_synced(visited):
    device = device_of(visited[0])
    assert device["firmware"] == system.firmware() and device["firmware"].startswith("CPython")
    assert device["unsynced"] in range(3) and device["lostWrites"] == 0
    assert device["wearPercent"] is None  # a disk does not say
    assert device["update"] == 7 and device["onTrial"] is False


def test_when_a_device_was_seen_outlives_the_big_peer(visited, start):
    server, peer = visited
    before = device_of(server)
    assert before["lastSeenAt"] and not before["linked"]
    assert [line["what"] for line in log_of(server, before["id"])][-2:] == ["gone", "linked"]
    server.stop()
    again = start(server.big.options.data)
    assert device_of(again)["lastSeenAt"] == before["lastSeenAt"]
    assert [line["what"] for line in log_of(again, before["id"])][-2:] == ["gone", "linked"]


def test_who_stays_linked_is_written_once_a_minute(visited):
    server, peer = visited
    author = peer.store.author

    async def linked():
        running = asyncio.create_task(peer.run())
        while author not in server.big.sightings.linked():
            await asyncio.sleep(0.02)
        seen = []
        for _ in range(2 * SAVE_S // LOOK_S):
            server.do(server.big.sightings.look)
            seen.append(server.do(lambda: server.big.sightings.seen_ms(author)))
            await asyncio.sleep(0.002)
        running.cancel()
        await asyncio.wait([running])
        return len(set(seen))

    assert 2 <= asyncio.run(linked()) <= 3


def test_the_page_of_a_device_shows_all_of_it(visited):
    server, _ = visited
    id = device_of(server)["id"]
    crash = {"device": "attic", "what": "app", "text": "Traceback:\n  <boom>"}
    server.execute("INSERT INTO edge_crashes DOCUMENTS (:c)", c=crash)
    text = page(server, "device", id=id)
    for word in ("attic", id, "CPython", "Unsynced", "linked", "gone", "&lt;boom&gt;"):
        assert word in text, word
    assert f"device?app={server.big.app_id}&amp;id={id}" in page(server, "devices")
    assert "What devices report" in page(server, "device", id="nobody")


def test_presence_names_who_is_linked_now(start, tmp_path):
    server = start(tmp_path / "big")
    app = authority.App(server.big.options.data / "big.app")
    app.unlock()
    peer = peer_of(app, server, tmp_path)
    app.close()
    seen = []

    def is_there():
        graph = server.ask("GET", f"/apps/{server.big.app_id}/presence").json()
        seen.append(graph)
        return len(graph["links"]) == 1

    run_until(peer, is_there)
    big, attic = seen[-1]["peers"]
    assert (big["name"], big["hops"], attic["name"], attic["hops"]) == ("big peer", 0, "attic", 1)
    (link,) = seen[-1]["links"]
    assert set(link["peers"]) == {big["id"], attic["id"]} and link["medium"] == "lan"


INSERT = "INSERT INTO edge_updates DOCUMENTS (:u) ON ID CONFLICT DO UPDATE"
REPORT = "INSERT INTO __small_peer_info DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"


def states(server):
    text = page(server, "updates")
    return re.findall(r'<span class="tag [a-z]*">([a-z ]+)</span>', text)


def test_a_roll_out_goes_from_waiting_to_running_or_back(server):
    id = "00" * 8

    def report(**fields):
        server.execute(REPORT, d={"_id": id, "name": "pump"} | fields)

    assert "edge-peer update" in page(server, "updates")
    report(update=4)
    server.execute(INSERT, u={"_id": "pump", "number": 5, "signature": "00"})
    server.execute(INSERT, u={"_id": "new", "number": "<odd>"})
    assert states(server) == ["waiting", "waiting"]
    report(update=5, on_trial=True)
    assert states(server) == ["waiting", "on trial"]
    report(on_trial=False)
    assert states(server) == ["waiting", "running"]
    for what, state in (("rolled back", "rolled back"), ("update refused", "refused")):
        crash = {"device": "pump", "what": what, "text": "why <not>"}
        server.execute("INSERT INTO edge_crashes DOCUMENTS (:c)", c=crash)
        assert states(server) == ["waiting", state]
    assert "why &lt;not&gt;" in page(server, "device", id=id)
    server.execute(INSERT, u={"_id": "pump", "number": 6})
    assert states(server) == ["waiting", "waiting"]
