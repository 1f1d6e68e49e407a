"""One Big Peer, several apps: made over HTTP, and nothing of one in another."""

import asyncio
import json
import socket

import pytest

from edge_peer.config import Config
from edge_peer.peer import SmallPeer

LIMIT_S = 20


@pytest.fixture
def app(server):
    """A new app: its appID, and the key of its administrator."""
    response = server.ask("POST", "/apps", json={"name": "plant"})
    assert response.status_code == 201, response.text
    made = response.json()
    assert response.headers["cache-control"] == "no-store"
    return made["id"], made["key"]


def admit(server, app_id, key="", **fields):
    response = server.ask("POST", f"/apps/{app_id}/devices", key, json=fields)
    assert response.status_code == 201, response.text
    return response.json()


def small_peer(folder, bundle):
    """A device with what the Big Peer has answered, or the same one after a restart."""
    folder.mkdir(exist_ok=True)
    path = folder / "identity.json"
    path.write_text(json.dumps(bundle["identity"]))
    path.chmod(0o600)
    storage = {"path": str(folder / "edge.db")}
    return SmallPeer(Config(bundle["config"] | {"identity": str(path), "storage": storage}))


async def run_until(peer, condition):
    running = asyncio.create_task(peer.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            return await condition()
    finally:
        running.cancel()
        await asyncio.wait([running])
        peer.store.log.close()


def execute(server, key, statement, **args):
    body = {"statement": statement, "args": args}
    return server.ask("POST", "/store/execute", key, json=body)


def test_a_new_app_has_documents_of_its_own(server, app):
    app_id, key = app
    insert = "INSERT INTO parts DOCUMENTS ({'_id': 'one', 'n': 1})"
    assert execute(server, key, insert).status_code == 200
    assert execute(server, key, "SELECT n FROM parts").json()["items"] == [{"n": 1}]
    assert server.execute("SELECT n FROM parts")["items"] == []


def test_each_key_sees_the_apps_that_are_its_own(server, app):
    app_id, key = app
    shown = {one["id"]: one for one in server.ask("GET", "/apps").json()["apps"]}
    assert {server.big.app_id, app_id} <= set(shown)
    assert shown[app_id]["name"] == "plant" and shown[app_id]["locked"] is False
    (own,) = server.ask("GET", "/apps", key).json()["apps"]
    assert own["id"] == app_id


def test_a_key_of_one_app_opens_no_other(server, app):
    app_id, key = app
    for path in ("keys", "devices", "webhooks", "certificates"):
        assert server.ask("GET", f"/apps/{server.big.app_id}/{path}", key).status_code == 404
        assert server.ask("GET", f"/apps/{app_id}/{path}", key).status_code == 200
        assert server.ask("GET", f"/apps/{app_id}/{path}").status_code == 200
    assert server.ask("POST", "/apps", key, json={"name": "more"}).status_code == 403


@pytest.mark.parametrize(
    "fields", [{}, {"name": ""}, {"name": 5}, {"name": "x" * 65}, {"name": "a", "more": 1},
               {"name": "a", "passphrase": ""}, {"name": "a\n"}]
)  # fmt: skip
def test_an_app_needs_a_name(server, fields):
    response = server.ask("POST", "/apps", json=fields)
    assert response.status_code == 400 and response.json()["error"]["description"]


def test_a_restart_serves_all_apps_again(start, tmp_path):
    server = start(tmp_path)
    made = server.ask("POST", "/apps", json={"name": "plant"}).json()
    execute(server, made["key"], "INSERT INTO parts DOCUMENTS ({'n': 1})")
    server.stop()
    again = start(tmp_path)
    assert execute(again, made["key"], "SELECT n FROM parts").json()["items"] == [{"n": 1}]
    authority = tmp_path / "apps" / made["id"] / "big.app" / "authority.json"
    assert authority.stat().st_mode & 0o777 == 0o600


def test_devices_of_two_apps_come_in_at_one_port(start, tmp_path):
    server = start(tmp_path / "big")
    plant = server.ask("POST", "/apps", json={"name": "plant"}).json()
    for key, app_id in ((server.api_key, server.big.app_id), (plant["key"], plant["id"])):
        bundle = admit(server, app_id, key, name="pump")
        tenant = server.big.tenants[app_id]
        for number in (1, 2):  # a full handshake, then one with its ticket
            peer = small_peer(tmp_path / app_id, bundle)
            peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"number": number}})

            async def arrived(tenant=tenant, number=number):
                while len(tenant.execute("SELECT * FROM readings").items) < number:
                    await tenant.wait_for_transaction(tenant.transaction_id() + 1)

            asyncio.run(run_until(peer, lambda: asyncio.to_thread(server.do, arrived)))  # noqa: B023
        found = execute(server, key, "SELECT number FROM readings ORDER BY number").json()
        assert found["items"] == [{"number": 1}, {"number": 2}]


def test_a_stranger_at_the_port_is_told_nothing(server):
    with socket.create_connection(("127.0.0.1", server.big.sync_port), LIMIT_S) as one:
        one.sendall(b"\x00\x36" + bytes([1]) + bytes(53))
        one.shutdown(socket.SHUT_WR)
        one.settimeout(LIMIT_S)
        assert one.recv(100) == b""


def test_a_deleted_app_is_gone_with_all_that_it_had(start, tmp_path):
    server = start(tmp_path)
    made = server.ask("POST", "/apps", json={"name": "mill"}).json()
    sql = {"statement": "INSERT INTO c DOCUMENTS ({'_id': 'a', 'n': 1})"}
    assert server.ask("POST", "/store/execute", made["key"], json=sql).status_code == 200
    assert server.ask("DELETE", f"/apps/{made['id']}", made["key"]).status_code == 403
    assert server.ask("DELETE", f"/apps/{server.big.app_id}").status_code == 409
    assert server.ask("DELETE", f"/apps/{made['id']}").status_code == 204
    assert server.ask("POST", "/store/execute", made["key"], json=sql).status_code == 401
    assert server.ask("DELETE", f"/apps/{made['id']}").status_code == 404
    assert not any((tmp_path / "apps").iterdir())
    assert server.execute("SELECT * FROM c")["items"] == []  # the Big Peer goes on
    again = server.ask("POST", "/apps", json={"name": "mill"})
    assert again.status_code == 201 and again.json()["id"] != made["id"]


def test_what_a_kill_left_of_an_app_goes_at_the_next_start(start, tmp_path):
    server = start(tmp_path)
    made = server.ask("POST", "/apps", json={"name": "mill"}).json()
    server.stop()
    folder = tmp_path / "apps" / made["id"]
    folder.rename(folder.with_name(folder.name + ".gone"))
    (tmp_path / "apps" / "1234.part").mkdir()
    server = start(tmp_path)
    assert not any((tmp_path / "apps").iterdir())
    assert len(server.ask("GET", "/apps").json()["apps"]) == 1
