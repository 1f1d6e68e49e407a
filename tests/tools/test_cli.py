"""The command line explains itself and its mistakes, without a traceback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib import metadata

import pytest
from peers import identity_file

from edge_peer.bigpeer import settings
from edge_peer.security.certificate import RELAY

LIMIT_S = 60
COMMAND = [sys.executable, "-m", "edge_tools"]


def edge_peer(*arguments):
    """Run to the end; return (code, what it said)."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def start(*arguments):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_until(process, pattern):
    """Return the lines up to one that matches."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    raise AssertionError("".join(lines))


@pytest.fixture
def gateway(tmp_path):
    config = tmp_path / "gateway.json"
    config.write_text(
        json.dumps(
            {
                "identity": identity_file(tmp_path, "porch", RELAY),
                "relay": True,
                "storage": {"path": "gateway.db"},
                "links": [{"kind": "serial", "port": str(tmp_path / "tty")}],
            }
        )
    )
    return config


@pytest.mark.parametrize("command", [[], ["run"], ["big"], ["demo"]])
def test_help_teaches_with_an_example(command):
    code, said = edge_peer(*command, "--help")
    assert code == 0
    assert not command or f"edge-peer {command[0]}" in said.split("Example:")[1]


def test_it_says_its_version():
    code, text = edge_peer("--version")
    assert (code, text) == (0, f"edge-peer {metadata.version('edge-peer')}\n")


def test_a_missing_configuration_is_the_users_mistake(tmp_path):
    code, said = edge_peer("run", tmp_path / "none.json")
    assert code == 2
    assert re.fullmatch(r"edge-peer: cannot read .*none.json.*\n", said)


@pytest.mark.parametrize("url", ["localhost", "http://localhost", "mqtt://", "mqtt://h:99999999"])
def test_a_broker_that_is_no_mqtt_url_is_refused(url, tmp_path):
    code, said = edge_peer("big", "--data", tmp_path / "data", "--mqtt", url)
    assert code == 2
    assert "--mqtt" in said
    assert not (tmp_path / "data").exists()


def test_a_wrong_app_id_is_the_users_mistake(tmp_path):
    code, said = edge_peer("big", "--data", tmp_path / "data", "--app", "42")
    assert code == 2
    assert "identity.json" in said and "device create" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_peer_says_what_happens_to_its_links_and_ends_when_told(gateway, number):
    process = start("run", gateway, "--status-interval", "0.1")
    try:
        lines_until(process, "serial .*tty: .*trying again")
        status = json.loads(lines_until(process, "^{").splitlines()[-1])
        assert status["links"] == []
        process.send_signal(number)
        said, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in said


def test_a_big_peer_says_where_it_is_and_ends_when_told(tmp_path):
    data = tmp_path / "data"
    process = start("big", "--data", data, "--port", "0", "--sync-port", "0")
    try:
        said = lines_until(process, "peers  TCP port [1-9]")
        assert re.search(r"page   http://127\.0\.0\.1:[1-9]\d*/set-up\?token=[\w-]{32} ", said)
        assert (data / "api-key").read_text().strip() not in said
        assert json.loads((data / "identity.json").read_text())["app_id"] in said
        assert str(data / "api-key") in said
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in said


def test_keys_are_made_listed_and_revoked_from_the_data_folder(tmp_path):
    data = ["--data", tmp_path]
    code, said = edge_peer("big", "key", "list", *data)
    assert code == 1 and "no Big Peer's" in said
    settings.load(tmp_path)
    rule = '{"read": {"everything": true}}'
    code, plain = edge_peer("big", "key", "create", "shop", "--permissions", rule, *data)
    assert code == 0 and plain.startswith("edge_")
    code, said = edge_peer("big", "key", "list", "--json", *data)
    first, shop = json.loads(said)["keys"]
    assert first["administrator"] and shop["name"] == "shop" and plain.strip() not in said
    assert edge_peer("big", "key", "revoke", shop["id"], *data)[0] == 0
    code, said = edge_peer("big", "key", "list", *data)
    assert code == 0 and "shop" not in said and first["id"] in said
    assert edge_peer("big", "key", "revoke", shop["id"], *data)[0] == 1


@pytest.mark.parametrize(
    "arguments", ["", "--administrator --permissions {}", "--permissions {", "--permissions []"]
)
def test_a_key_that_says_nothing_sensible_is_not_made(tmp_path, arguments):
    settings.load(tmp_path)
    assert edge_peer("big", "key", "create", "x", *arguments.split(), "--data", tmp_path)[0] == 2


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, said = edge_peer(
            "big", "--data", tmp_path / "data", "--port", "0", "--sync-port", port
        )
    assert code == 1
    assert str(port) in said


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGKILL, -9)])
def test_a_demo_that_is_stopped_early_leaves_nothing_and_is_no_success(tmp_path, number, code):
    process = start("demo", "--once", "--boards", "1", "--rate", "0.1", "--keep", tmp_path)
    try:
        lines_until(process, "up after")
        children = [int(pid) for pid in children_of(process.pid)]
        assert len(children) >= 4  # broker, Big Peer, gateway, board
        process.send_signal(number)
        process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == code
    deadline_s = time.monotonic() + LIMIT_S
    while any(os.path.exists(f"/proc/{pid}") for pid in children):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return children.read().split()
