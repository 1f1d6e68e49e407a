"""`edge-peer app` and `edge-peer device`, as somebody at a screen meets them."""

import json
import os
import stat
import subprocess
import sys

import pytest

from edge_peer.security import revocation
from edge_peer.security.certificate import decode
from edge_peer.security.identity import from_text

COMMAND = [sys.executable, "-m", "edge_tools"]


@pytest.fixture
def edge_peer(tmp_path):
    """Run a command in a folder of its own; return (code, what it said)."""

    def run(*arguments, **variables):
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env=dict(os.environ) | variables,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    return run


def test_an_app_and_its_devices_come_and_go(edge_peer, tmp_path):
    code, said = edge_peer("app", "create", "factory")
    assert code == 0 and "appID" in said
    app_id = said.split()[-1]
    code, said = edge_peer("device", "create", "pump", "--days", "30")
    assert code == 0 and "as identity.json" in said
    path = tmp_path / "pump.identity.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    identity = from_text(path.read_text())
    assert identity.app_id.hex() == app_id and identity.certificate.name == "pump"
    assert identity.seed.hex() not in said

    code, said = edge_peer("device", "renew", "pump")
    assert code == 0 and decode(bytes.fromhex(said.split()[-1])).key == identity.certificate.key
    assert edge_peer("device", "revoke", "pump")[0] == 0
    listed = revocation.decode(bytes.fromhex((tmp_path / "factory.app/revoked.hex").read_text()))
    assert listed.serials == (1, 2)
    code, said = edge_peer("device", "list")
    assert [line.split()[-1] for line in said.splitlines()] == ["revoked", "revoked"]
    assert app_id in edge_peer("app", "show")[1]


def test_permissions_are_a_file_or_json(edge_peer, tmp_path):
    edge_peer("app", "create", "factory")
    rules = {"write": {"queriesByCollection": {"readings": ["site == 'A'"]}}}
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    assert edge_peer("device", "create", "one", "--permissions", "rules.json")[0] == 0
    assert edge_peer("device", "create", "two", "--permissions", json.dumps(rules))[0] == 0
    packed = {
        from_text((tmp_path / f"{name}.identity.json").read_text()).certificate.permissions
        for name in ("one", "two")
    }
    assert packed == {b"\2\x08readings\x0bsite == 'A'"}


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("app", "create", "factory"), "--force moves it aside"),
        (("device", "create", "x", "--role", "king"), "device, relay, big-peer"),
        (("device", "create", "x", "--permissions", "{"), "not JSON"),
        (("device", "create", "x", "--permissions", "missing.json"), "neither JSON nor a file"),
        (("device", "create", "x" * 25), "24 bytes"),
        (("device", "create", "x", "--app", "other.app"), "other.app is no app"),
        (("device", "renew", "x"), "no device x"),
        (("device", "revoke", "x"), "no device x"),
        (("device", "revoke"), "name a device"),
        (("device", "revoke", "x", "--below", "1"), "name a device"),
        (("device", "revoke", "--below", "2"), "as high as 2"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(edge_peer, arguments, says):
    edge_peer("app", "create", "factory")
    code, said = edge_peer(*arguments)
    assert code == 2 and says in " ".join(said.split())


def test_without_an_app_it_says_how_to_make_one(edge_peer):
    code, said = edge_peer("device", "list")
    assert code == 2 and "app create" in said


def test_a_locked_app_wants_its_passphrase(edge_peer):
    assert edge_peer("app", "create", "a", "--passphrase")[0] == 2
    assert edge_peer("app", "create", "a", "--passphrase", EDGE_PEER_PASSPHRASE="x")[0] == 0
    assert "locked" in edge_peer("device", "create", "pump")[1]
    assert "not the" in edge_peer("device", "create", "pump", EDGE_PEER_PASSPHRASE="y")[1]
    assert edge_peer("device", "create", "pump", EDGE_PEER_PASSPHRASE="x")[0] == 0


@pytest.mark.parametrize("command", ["app", "device"])
def test_help_has_an_example_of_each_command(edge_peer, command):
    listing = edge_peer(command, "--help")[1]
    for name in ("create", "show", "renew", "revoke", "list"):
        if f" {name} " in listing:
            assert f"Example: edge-peer {command} {name}" in edge_peer(command, name, "--help")[1]
