"""
Hardware in the loop: a real board by its ports, `make hil BOARD=RPI_PICO PORT=… UART=…`,
and two of one kind whose UARTs are wired to each other, `make hil PORT=… PEER=…`.

PORT is the board's USB, UART a serial adapter that is wired to its link (TX to RX, ground to
ground). The board becomes the device `hil` of an app of the tests: what it had is lost.
CODE says where edge-peer's own code is, files or firmware.
"""

import contextlib
import os
import time

import pairs
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
PORT, UART, PEER = (os.environ.get(f"HIL_{name}", "") for name in ("PORT", "UART", "PEER"))
CODE_IN = os.environ.get("HIL_CODE") or "files"


def identity(name, role=certificate.DEVICE):
    return APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)


@pytest.fixture
def board():
    return find(os.environ.get("HIL_BOARD") or "RPI_PICO")


@pytest.mark.skipif(not UART, reason="needs UART=, an adapter at the board's link")
@pytest.mark.timeout(1200)
def test_a_board_is_flashed_syncs_and_goes_on_after_a_restart(tmp_path, board):
    app = tmp_path / "app.py"
    app.write_text(APPLICATION)
    request = Request(name="hil", board=board.name, serial=str(board.pins["uart"]), code=CODE_IN)
    plan = bundle.Plan("hil", board, edge_json(request, board), app, CODE[CODE_IN])
    bundle.make(plan, identity("hil"), tmp_path / "hil.bundle")
    with Gateway(tmp_path, to_text(identity("gateway", certificate.RELAY)), UART) as gateway:
        options = flashing.Options(force=True, yes=True, sync_limit_s=SYNC_LIMIT_S)
        flashing.one(tmp_path / "hil.bundle", PORT, None, options)
        wait_for(lambda: {row["n"] for row in gateway.rows("hil")} == set(range(20)))
        with SerialRepl(PORT) as repl:
            repl.start()
            flashing.wait_for_sync(repl, "hil", SYNC_LIMIT_S)
        wait_for(lambda: len(gateway.rows("hil")) == 40)


@pytest.mark.skipif(not PEER, reason="needs PEER=, the port of a second board")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", pairs.NAMES)
def test_two_boards_say_what_the_golden_transcript_says(tmp_path, board, name):
    with contextlib.ExitStack() as stack:
        repls = []
        for instance, port in enumerate((PORT, PEER)):
            made = pairs.made_bundle(name, instance, board, CODE_IN, tmp_path)
            options = flashing.Options(force=True, yes=True, sync_limit_s=0)
            flashing.one(made, port, None, options)
            repls.append(stack.enter_context(SerialRepl(port)))
        for repl in repls:
            repl.start()
        assert pairs.transcript([reader(repl) for repl in repls]) == pairs.golden(name)


def reader(repl):
    """Return what reads a board's lines until one of them."""

    def wait_for(text):
        said = ""
        for line in repl.lines(SYNC_LIMIT_S):
            said += f"{line}\n"
            if text in line:
                return said
        pytest.fail(f"{repl.port} never said {text!r}: {said}")

    return wait_for


def wait_for(condition):
    deadline = time.monotonic() + SYNC_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)
