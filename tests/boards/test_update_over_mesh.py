"""
New code over the mesh, all of the way: a MicroPython board with boot.py and main.py, and a
gateway that has the archive, over a serial line. What resets a board ends its process here.
"""

import contextlib
import hashlib
import json
import subprocess
import time
from pathlib import Path

import pytest
from app import APP, EVERYTHING, crypto, run
from virtual_pico.wired import Gateway

from edge_peer.host import authority
from edge_peer.security import certificate
from edge_peer.security.identity import to_text
from edge_tools import update
from edge_tools.bundle import Bundle
from edge_tools.mpy import compile_mpy

ROOT = Path(__file__).parents[2]
MICROPYTHON = ROOT / ".cache/bin/micropython"
LIMIT_S = 170
START = "exec(open('boot.py').read())\nexec(open('main.py').read())"
WAIT_S = 20
FIRST = "async def main(peer): print('first')\n"
SECOND = "async def main(peer): print('second')\n"
BREAKS = "import machine\nmachine.reset()\n"


def identity(name, role=certificate.DEVICE):
    made = APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)
    return to_text(made)


class Board:
    def __init__(self, folder, uart):
        folder.mkdir()
        self.folder = folder
        (folder / "a").mkdir()
        for name in ("boot.py", "main.py"):
            (folder / name).write_text((ROOT / "flash" / name).read_text())
        (folder / "a/app.mpy").write_bytes(compile_mpy(FIRST, "app.py"))
        (folder / "board.json").write_text('{"name": "UNIX", "updates": true}')
        (folder / "identity.json").write_text(identity("pump"))
        storage = {"path": "flash.img", "blocks": 32, "attachments": {"quota_bytes": 20_000}}
        links = [{"kind": "serial", "uart": uart}]
        config = {"identity": "identity.json", "storage": storage, "links": links}
        (folder / "edge.json").write_text(json.dumps(config))

    @contextlib.contextmanager
    def running(self):
        """Yield what it prints, line by line; it is killed at the end."""
        process = subprocess.Popen(
            [MICROPYTHON, "-X", "heapsize=2m", "-c", START],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"MICROPYPATH": f"{ROOT / 'flash'}:{ROOT / 'boards/UNIX'}:{ROOT}:.frozen"},
        )
        try:
            yield process.stdout
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def run(self, until=""):
        """Start it; return what it printed until it said that, or ended by itself."""
        printed = []
        with self.running() as lines:
            for line in lines:
                printed.append(line)
                if until and until in line:
                    break
        return "".join(printed)

    def read(self, name):
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def gateway(tmp_path):
    with Gateway(tmp_path, identity("gateway", certificate.RELAY)) as one:
        yield one


def send(gateway, folder, source, number):
    about = {"board": "UNIX", "app_id": APP.app_id.hex(), "device": "pump"}
    blob = update.archive(Bundle(folder, about, {"a/app.mpy": compile_mpy(source, "app.py")}))
    content = APP.app_id + number.to_bytes(4, "big") + hashlib.sha256(blob).digest()
    message = authority.UPDATE_CONTEXT + hashlib.sha256(content).digest()
    signature = run(crypto.sign(APP.key, message)).hex()
    document = {"_id": "pump", "number": number, "signature": signature}
    gateway.execute(update.INSERT, {"u": document | {"archive": gateway.attach(blob)}})


def wait_for_row(gateway):
    deadline = time.monotonic() + WAIT_S
    while not (rows := gateway.rows("edge_crashes")):
        assert time.monotonic() < deadline, "nothing was told"
        time.sleep(0.1)
    return rows[0]


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_new_code_is_tried_stays_if_it_syncs_and_goes_if_it_does_not(gateway, tmp_path):
    board = Board(tmp_path / "board", gateway.tty)
    assert "first" in board.run("edge-peer: synced")
    send(gateway, tmp_path, SECOND, 1)
    assert "update: 1 is on trial" in board.run()
    assert "second" in board.run("edge-peer: works")
    assert (board.read("slot"), board.read("trial")) == ("b", "")
    send(gateway, tmp_path, BREAKS, 2)
    assert "update: 2 is on trial" in board.run()
    for left in (2, 1, 0):
        board.run()
        assert board.read("trial") == f"a{left}"
    with board.running():
        told = wait_for_row(gateway)
    assert board.read("slot") == "b"
    assert (told["what"], told["slot"], told["device"]) == ("rolled back", "a", "pump")
