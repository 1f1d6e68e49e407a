"""flash/running.py on MicroPython: applications that fail, and what is told of it."""

import json
import subprocess
from pathlib import Path

import pytest
from peers import identity_file

from edge_tools.mpy import compile_mpy

ROOT = Path(__file__).parents[2]
MICROPYTHON = ROOT / ".cache/bin/micropython"
LIMIT_S = 60
FAILS_ONCE = """
import os, sys
async def main(peer):
    rows = peer.execute("SELECT * FROM edge_crashes").items
    if rows:
        import json
        print("=" + json.dumps(rows))
        sys.exit()
    print("first")
    raise ValueError("sensor on fire")
"""

FAILS_IN_SECRETS = """
    import gc
    found = []
    for thing in (peer, peer._links, peer._links.local, peer._links.local.keyring):
        print(repr(thing))
    identity = peer._links.local.keyring._identity
    print(identity)
    try:
        identity.seed + identity.network_keys
    except TypeError as error:
        found.append(error)
    try:
        identity.network_keys[b"none"]
    except KeyError as error:
        found.append(error)
    print(found)
    """


@pytest.fixture
def board(tmp_path):
    """Run app.py on a board of its own; return the process's (code, output)."""
    folder = tmp_path / "board"
    folder.mkdir()
    config = {
        "app_id": "00" * 16,
        "device": {"id": "00" * 8, "name": "pump"},
        "storage": {"path": "flash.img", "blocks": 16},
        "links": [],
    }
    (folder / "edge.json").write_text(json.dumps(config))
    paths = f"{ROOT / 'flash'}:{ROOT / 'boards/UNIX'}:{ROOT}:.frozen"

    def run(app, program="import running; running.run('a', True)"):
        if app:
            (folder / "app.py").write_text(app)
        done = subprocess.run(
            [MICROPYTHON, "-X", "heapsize=1m", "-c", program],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env={"MICROPYPATH": f".:{paths}"},
        )
        return done.returncode, done.stdout + done.stderr

    return run


def rows(said):
    [line] = [line for line in said.splitlines() if line.startswith("=")]
    return json.loads(line[1:])


def test_an_application_that_raises_is_started_again_and_told_of(board):
    _, said = board(FAILS_ONCE)
    [crash] = rows(said)
    assert crash["device"] == "pump" and crash["what"] == "app"
    assert "ValueError: sensor on fire" in crash["text"] and "app.py" in crash["text"]


def test_a_crash_that_was_kept_is_told_after_the_next_start(board, tmp_path):
    (tmp_path / "board/crash").write_text("edge-peer\nMemoryError: of last night")
    (tmp_path / "board/rolled_back").write_text("b")
    _, said = board(FAILS_ONCE.replace("if rows", "if len(rows) == 2"))
    assert {row["what"] for row in rows(said)} == {"edge-peer", "rolled back"}
    assert not (tmp_path / "board/crash").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "flash/examples").glob("*.py")))
def test_the_examples_are_what_boards_take(path):
    assert compile_mpy(path.read_text(), path.name)
    assert "async def main(peer):" in path.read_text()


def test_what_a_board_tells_of_its_end_shows_no_secret(board, tmp_path):
    """Its application, and the peer itself, fail in the middle of what is secret."""
    identity = identity_file(tmp_path / "board", "pump")
    fields = json.loads(Path(identity).read_text())
    secrets = [fields["seed"], *fields["network_keys"].values()]
    config = json.loads((tmp_path / "board/edge.json").read_text())
    del config["app_id"], config["device"]
    config["identity"] = "pump.json"
    (tmp_path / "board/edge.json").write_text(json.dumps(config))
    _, said = board(FAILS_ONCE.replace("raise ValueError", FAILS_IN_SECRETS + "raise ValueError"))
    assert [crash["what"] for crash in rows(said)] == ["app"] and "<Identity of pump" in said
    Path(identity).write_text(json.dumps(fields)[:-9])
    _, damaged = board(FAILS_ONCE)
    assert "edge-peer: the identity" in damaged
    kept = b"".join(
        path.read_bytes()
        for path in (tmp_path / "board").iterdir()
        if path.name in ("crash", "flash.img")
    )
    for secret in secrets:
        raw = bytes.fromhex(secret)
        assert secret not in said + damaged and repr(raw)[2:-1] not in said + damaged
        assert raw not in kept and secret.encode() not in kept
