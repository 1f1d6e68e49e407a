"""`edge-peer provision --through`: a Big Peer's API admits the device, its key is made here."""

import os
import subprocess
import sys

from edge_peer.host.authority import key_pair
from edge_peer.security.identity import from_text
from edge_tools import bundle

PUMP = ("--board", "RPI_PICO", "--serial", "0", "--code", "firmware")


def provision(folder, key, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "edge_tools", "provision", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"EDGE_PEER_KEY": key},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_device_of_the_big_peers_app_gets_its_bundle(server, tmp_path):
    code, said = provision(tmp_path, server.api_key, "pump", "--through", server.url, *PUMP)
    assert code == 0, said
    identity = from_text(bundle.read(tmp_path / "pump.bundle").files["identity.json"].decode())
    assert identity.app_id.hex() == server.big.app_id
    assert identity.certificate.key == key_pair(identity.seed)[0]
    listed = server.ask("GET", f"/apps/{server.big.app_id}/certificates").json()["certificates"]
    assert [one["serial"] for one in listed if one["name"] == "pump"] == [
        identity.certificate.serial
    ]
    (tmp_path / "pump.identity.json").unlink()
    code, said = provision(tmp_path, server.api_key, "pump", "--through", server.url, *PUMP)
    assert code == 2 and "--force" in said


def test_what_stands_in_its_way_is_named(server, tmp_path):
    for key, url, words in (
        ("", server.url, "EDGE_PEER_KEY"),
        ("nonsense", server.url, "401"),
        (server.api_key, "http://127.0.0.1:9", "no answer"),
    ):
        code, said = provision(tmp_path, key, "tank", "--through", url, *PUMP)
        assert code in (1, 2) and words in said, said
    assert not list(tmp_path.glob("*.bundle"))
