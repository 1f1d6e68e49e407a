"""
New code over the mesh, all of the way: a MicroPython board with boot.py and main.py, and a
gateway that has the archive, over a serial line. What resets a board ends its process here.
"""

import hashlib
import time

import pytest
from app import APP, EVERYTHING, crypto, run
from pairs.board_process import BoardProcess
from virtual_pico.wired import Gateway

from edge_peer.host import authority
from edge_peer.security import certificate
from edge_peer.security.identity import to_text
from edge_tools import update
from edge_tools.bundle import Bundle
from edge_tools.mpy import compile_mpy

LIMIT_S = 170
WAIT_S = 20
FIRST = "async def main(peer): print('first')\n"
SECOND = "async def main(peer): print('second')\n"
BREAKS = "import machine\nmachine.reset()\n"


def identity(name, role=certificate.DEVICE):
    made = APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)
    return to_text(made)


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
    board = BoardProcess(tmp_path / "board", identity("pump"), gateway.tty, FIRST)
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
