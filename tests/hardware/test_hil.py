"""
Hardware in the loop: a real board by its ports, `make hil BOARD=RPI_PICO PORT=… UART=…`.

PORT is the board's USB, UART a serial adapter that is wired to its link (TX to RX, ground to
ground). The board becomes the device `hil` of an app of the tests: what it had is lost.
CODE says where edge-peer's own code is, files or firmware.
"""

import os
import time

import pytest
from app import APP, EVERYTHING
from virtual_pico.wired import Gateway

from edge_peer.security import certificate
from edge_peer.security.identity import to_text
from edge_tools import bundle
from edge_tools import flash as flashing
from edge_tools.boards import find
from edge_tools.provision import CODE, edge_json
from edge_tools.repl import SerialRepl
from edge_tools.request import Request

APPLICATION = """
import asyncio

async def main(peer):
    for n in range(20):
        peer.execute("INSERT INTO hil DOCUMENTS (:r)", {"r": {"n": n}})
        await asyncio.sleep_ms(200)
"""
SYNC_LIMIT_S = 300


def identity(name, role=certificate.DEVICE):
    return APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)


@pytest.mark.timeout(1200)
def test_a_board_is_flashed_syncs_and_goes_on_after_a_restart(tmp_path):
    port, uart = os.environ["HIL_PORT"], os.environ["HIL_UART"]
    board = find(os.environ.get("HIL_BOARD", "RPI_PICO"))
    code = os.environ.get("HIL_CODE") or "files"
    app = tmp_path / "app.py"
    app.write_text(APPLICATION)
    request = Request(name="hil", board=board.name, serial=str(board.pins["uart"]), code=code)
    plan = bundle.Plan("hil", board, edge_json(request, board), app, CODE[code])
    bundle.make(plan, identity("hil"), tmp_path / "hil.bundle")
    with Gateway(tmp_path, to_text(identity("gateway", certificate.RELAY)), uart) as gateway:
        options = flashing.Options(force=True, yes=True, sync_limit_s=SYNC_LIMIT_S)
        flashing.one(tmp_path / "hil.bundle", port, None, options)
        wait_for(lambda: {row["n"] for row in gateway.rows("hil")} == set(range(20)))
        with SerialRepl(port) as repl:
            repl.start()
            flashing.wait_for_sync(repl, "hil", SYNC_LIMIT_S)
        wait_for(lambda: len(gateway.rows("hil")) == 40)


def wait_for(condition):
    deadline = time.monotonic() + SYNC_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)
