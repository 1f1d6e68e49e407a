"""API keys over HTTP: made, listed, revoked; and from the next request on that counts."""

import pytest

from edge_peer.bigpeer.keys import USED_MS, Keys
from edge_peer.bigpeer.vault import Vault

ALL = {"read": {"everything": True}, "write": {"everything": True}}


def keys_path(server):
    return f"/apps/{server.big.app_id}/keys"


def create(server, name="shop", **fields):
    fields = fields or {"permissions": ALL}
    response = server.ask("POST", keys_path(server), json={"name": name} | fields)
    assert response.status_code == 201, response.text
    return response.json()


def listed(server):
    return {key["id"]: key for key in server.ask("GET", keys_path(server)).json()["keys"]}


def refused(response, status, code):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code and error["description"]
    return error["description"]


def select(server, key):
    return server.ask("POST", "/store/execute", key, json={"statement": "SELECT * FROM nobody"})


def test_a_key_is_shown_once_and_works(server):
    made = create(server)
    plain = made.pop("key")
    assert len(plain) >= 32 and plain.startswith("edge_")
    assert select(server, plain).status_code == 200
    found = listed(server)[made["id"]]
    assert found | {"lastUsedAt": None} == made
    assert plain not in server.ask("GET", keys_path(server)).text


def test_a_key_says_when_it_was_used(server):
    made = create(server)
    assert made["lastUsedAt"] is None
    select(server, made["key"])
    assert listed(server)[made["id"]]["lastUsedAt"] >= made["createdAt"]


def test_a_revoked_key_is_refused_and_gone(server):
    made = create(server)
    path = f"{keys_path(server)}/{made['id']}"
    assert server.ask("DELETE", path).status_code == 204
    refused(select(server, made["key"]), 401, "key")
    assert made["id"] not in listed(server)
    refused(server.ask("DELETE", path), 404, "key")


def test_another_process_beside_the_server_revokes(server):
    made = create(server)
    vault = Vault(server.big.options.data / "doors.db")
    assert Keys(vault, lambda: 0).revoke(made["id"])
    vault.close()
    refused(select(server, made["key"]), 401, "key")


def test_a_key_with_a_time_says_it_back(server):
    made = create(server, permissions=ALL, expiresAt="2999-01-31T13:00:00+01:00")
    assert made["expiresAt"] == "2999-01-31T12:00:00Z"
    assert select(server, made["key"]).status_code == 200


def test_an_administrators_key_makes_keys_and_no_other_does(server):
    more = create(server, "operator", administrator=True)["key"]
    less = create(server)["key"]
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/x")):
        response = server.ask(method, keys_path(server) + path, less)
        refused(response, 403, "forbidden")
    assert server.ask("GET", keys_path(server), more).status_code == 200


def test_the_keys_of_another_app_are_not_here(server):
    refused(server.ask("GET", f"/apps/{'0' * 32}/keys"), 404, "app")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": 1, "permissions": ALL},
        {"name": "", "permissions": ALL},
        {"name": "a\nb", "permissions": ALL},
        {"name": "x" * 101, "permissions": ALL},
        {"name": "x"},
        {"name": "x", "administrator": True, "permissions": ALL},
        {"name": "x", "administrator": "yes"},
        {"name": "x", "permissions": ALL, "expiresAt": 5},
        {"name": "x", "permissions": ALL, "expiresAt": "tomorrow"},
        {"name": "x", "permissions": ALL, "expiresAt": "2030-01-01T00:00:00"},
        {"name": "x", "permissions": ALL, "expiresAt": "2001-01-01T00:00:00Z"},
        {"name": "x", "permissions": ALL, "more": 1},
        {"name": "x", "permissions": None},
        {"name": "x", "permissions": {"reads": {}}},
        {"name": "x", "permissions": {"read": []}},
        {"name": "x", "permissions": {"read": {"everything": 1}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": []}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": {"c": "true"}}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": {"c": []}}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": {"c": [1]}}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": {"": ["true"]}}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": {"c": ["a = :b"]}}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": {"c": ["a ="]}}}},
        {"name": "x", "permissions": {"read": {"queriesByCollection": {"c": ["true"] * 17}}}},
        {"name": "x", "permissions": {"write": {"queriesByCollection": {"c": ["(" * 999]}}}},
    ],
)
def test_what_is_no_key_is_told_so(server, fields):
    before = listed(server)
    refused(server.ask("POST", keys_path(server), json=fields), 400, "request")
    assert listed(server).keys() == before.keys()


# On a clock of its own


@pytest.fixture
def keys(tmp_path):
    vault = Vault(tmp_path / "doors.db")
    keys = Keys(vault, lambda: keys.now_ms)
    keys.now_ms = 1_000_000
    yield keys
    vault.close()


def test_a_key_ends_with_its_time(keys):
    key, plain = keys.create("x", None, keys.now_ms + 10)
    keys.now_ms += 9
    assert keys.find(plain).id == key.id
    keys.now_ms += 1
    assert keys.find(plain) is None and keys.by_id(key.id) is None
    assert [one.id for one in keys.all()] == [key.id]


def test_last_use_is_written_now_and_then(keys):
    _, plain = keys.create("x", None)
    keys.find(plain)
    first_ms = keys.now_ms
    for _ in range(3):
        keys.now_ms += USED_MS // 3
        keys.find(plain)
    assert keys.all()[0].used_ms == first_ms + USED_MS // 3 * 3 == keys.now_ms


def test_neither_a_key_nor_its_digest_shows_in_a_repr(keys):
    key, plain = keys.create("x", None)
    assert plain not in repr(key) and key.digest.hex() not in repr(key)
    assert "digest" not in repr(key)


@pytest.mark.parametrize("given", ["", "edge_", "x" * 10_000, "\udc80", "\0"])
def test_what_is_no_key_finds_none(keys, given):
    keys.create("x", None)
    assert keys.find(given) is None
