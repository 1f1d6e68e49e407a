"""Devices over HTTP: admitted, renewed and revoked by administrators."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_peer.host import system
from edge_peer.host.authority import key_pair
from edge_peer.peer import open_keyring
from edge_peer.security import identity
from edge_peer.security.certificate import RELAY

READ_ONLY = {"read": {"everything": True, "queriesByCollection": {}},
             "write": {"everything": False, "queriesByCollection": {}}}  # fmt: skip


@pytest.fixture
def ask(server):
    """ask(method, path, fields) -> (status, JSON)"""

    def one(method, path, **fields):
        body = {"json": fields} if method == "POST" else {}
        response = server.ask(method, f"/apps/{server.big.app_id}{path}", **body)
        return response.status_code, response.json() if response.content else None

    return one


def certificates(ask, name):
    return [one for one in ask("GET", "/certificates")[1]["certificates"] if one["name"] == name]


def test_a_new_device_gets_its_identity_once(server, ask):
    status, made = ask("POST", "/devices", name="once", role="relay", permissions=READ_ONLY)
    assert status == 201
    found = identity.from_text(json.dumps(made["identity"]))
    assert found.app_id.hex() == server.big.app_id
    assert (found.certificate.name, found.certificate.role) == ("once", RELAY)
    assert made["certificate"]["permissions"] == READ_ONLY
    assert made["config"]["links"][0]["port"] == server.big.sync_port
    (shown,) = certificates(ask, "once")
    assert shown == made["certificate"] and shown["expiresAt"].endswith("Z")
    secret = made["identity"]["seed"]
    kept = [path for path in server.big.folder.rglob("*") if path.is_file()]
    assert not any(bytes.fromhex(secret) in path.read_bytes() for path in kept)


def test_a_device_that_made_its_own_key_gets_a_certificate_for_it(ask, tmp_path):
    for number in range(4):  # both signs of x
        seed = bytes([number]) * 32
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        fields = {"name": f"own-{number}", "publicKey": public.hex(), "signs": True}
        status, made = ask("POST", "/devices", **fields)
        assert status == 201 and "seed" not in made["identity"]
        found = identity.from_text(json.dumps(made["identity"] | {"seed": seed.hex()}))
        assert (found.certificate.key, found.certificate.is_negative) == key_pair(seed)
        assert found.certificate.signs
        path = tmp_path / f"{number}.json"
        path.write_text(identity.to_text(found))
        path.chmod(0o600)
        open_keyring(str(path), system)  # checks the signature and that the seed is its own


def test_a_name_is_taken_once_unless_it_is_replaced(ask):
    assert ask("POST", "/devices", name="twin")[0] == 201
    status, refused = ask("POST", "/devices", name="twin")
    assert status == 409 and "twin" in refused["error"]["description"]
    assert ask("POST", "/devices", name="twin", replaces=True)[0] == 201
    assert [one["revokedAt"] is None for one in certificates(ask, "twin")] == [False, True]


def test_a_renewed_certificate_has_the_same_name_and_later_end(ask):
    _, made = ask("POST", "/devices", name="old", days=10)
    status, renewed = ask("POST", "/devices/old/renew", days=20)
    assert status == 200
    assert renewed["serial"] > made["certificate"]["serial"]
    assert renewed["expiresAt"] > made["certificate"]["expiresAt"]
    assert renewed["permissions"] == made["certificate"]["permissions"]


def test_a_revoked_device_is_revoked_here_at_once(server, ask):
    _, made = ask("POST", "/devices", name="lost")
    assert ask("POST", "/devices/lost/revoke") == (204, None)
    assert server.do(lambda: server.big.guard.is_revoked(made["certificate"]["serial"]))
    assert certificates(ask, "lost")[0]["revokedAt"].endswith("Z")
    assert ask("POST", "/devices/lost/revoke")[0] == 409


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": ""},
        {"name": "a/b"},
        {"name": "x" * 200},
        {"name": "a", "role": "king"},
        {"name": "a", "role": []},
        {"name": "a", "days": -1},
        {"name": "a", "days": True},
        {"name": "a", "days": 1e3},
        {"name": "a", "permissions": {"read": 5}},
        {"name": "a", "permissions": {"write": {"queriesByCollection": {"r": ["temp >"]}}}},
        {"name": "a", "replaces": 1},
        {"name": "a", "king": True},
        {"name": "a", "signs": "yes"},
        {"name": "a", "publicKey": "12"},
        {"name": "a", "publicKey": "x" * 64},
        {"name": "a", "publicKey": "01" + 31 * "00"},  # of order 1
        {"name": "a", "publicKey": "02" + 31 * "00"},  # not a point
    ],
)
def test_what_no_device_can_be_is_told_in_a_sentence(ask, fields):
    status, refused = ask("POST", "/devices", **fields)
    assert status in (400, 409) and refused["error"]["description"]


def test_a_locked_authority_takes_its_passphrase_each_time(server):
    made = server.ask("POST", "/apps", json={"name": "safe", "passphrase": "open sesame"}).json()
    assert made["locked"] is True

    def ask(path, **fields):
        return server.ask("POST", f"/apps/{made['id']}{path}", made["key"], json=fields).status_code

    assert ask("/devices", name="pump") == 409
    assert ask("/devices", name="pump", passphrase="wrong") == 409
    assert ask("/devices", name="pump", passphrase="open sesame") == 201
    assert ask("/devices/pump/revoke", passphrase="open sesame") == 204


def test_an_app_whose_authority_is_elsewhere_says_so(start, tmp_path):
    server = start(tmp_path)
    server.stop()
    (tmp_path / "big.app").rename(tmp_path.parent / "elsewhere.app")
    server = start(tmp_path)
    response = server.ask("POST", f"/apps/{server.big.app_id}/devices", json={"name": "a"})
    assert response.status_code == 409 and "edge-peer device" in response.text
    assert server.ask("GET", f"/apps/{server.big.app_id}/certificates").json() == {
        "certificates": []
    }
