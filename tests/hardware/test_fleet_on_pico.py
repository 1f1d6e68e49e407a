"""
From a box to a running board, on the virtual Pico with edge-peer in its firmware: provision,
bundle, flash, boot, sync over its UART with a gateway, power cuts, boot, nothing lost.
"""

import hashlib
import re
import time

import pytest
from app import APP, EVERYTHING, crypto, run
from virtual_pico import firmware, image
from virtual_pico.pico import Pico, PowerCut, Reset
from virtual_pico.wired import Gateway

from edge_peer.host import authority
from edge_peer.security import certificate
from edge_peer.security.identity import to_text
from edge_tools import bundle, fit, update
from edge_tools import flash as flashing
from edge_tools.boards import find
from edge_tools.places import FLASHED
from edge_tools.provision import edge_json
from edge_tools.request import Request

APPLICATION = """
import asyncio

async def main(peer):
    [row] = peer.execute("SELECT MAX(n) AS last FROM readings").items
    n = -1 if row["last"] is None else row["last"]
    while True:
        n += 1
        peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"n": n, "pad": "x" * 100}})
        print("wrote", n)
        await asyncio.sleep_ms(300)
"""
SYNC_LIMIT_S = 240
UPDATING = FLASHED / "updating.py"
CUTS = ((25, "half"), (60, "some cells"), (110, "nothing"))


def made_identity(name, role=certificate.DEVICE):
    return APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)


def make_bundle(folder, source=APPLICATION):
    app = folder / "app.py"
    app.write_text(source)
    board = find("RPI_PICO")
    request = Request(name="pump", board=board.name, serial="0", blocks="16", code="firmware")
    plan = bundle.Plan("pump", board, edge_json(request, board), app, fit.IN_PLACE)
    bundle.make(plan, made_identity("pump"), folder / "pump.bundle")
    return folder / "pump.bundle"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    identity = to_text(made_identity("gateway", certificate.RELAY))
    with Gateway(tmp_path_factory.mktemp("gateway"), identity) as one:
        yield one


def wait_for_rows(gateway, numbers):
    deadline = time.monotonic() + SYNC_LIMIT_S
    while not numbers <= (there := {row["n"] for row in gateway.rows("readings")}):
        assert time.monotonic() < deadline, f"missing {sorted(numbers - there)}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def flashed(tmp_path_factory, gateway):
    """The flash of a board that was empty, was flashed by its USB, and has synced."""
    folder = tmp_path_factory.mktemp("flashed")
    flash = folder / "flash.bin"
    flash.write_bytes(image.flash({}, firmware.frozen()))
    options = flashing.Options(yes=True, sync_limit_s=SYNC_LIMIT_S)
    with Pico(flash, uart=gateway.tty, usb=gateway.usb):
        flashing.one(make_bundle(folder), gateway.port, None, options)
    return flash.read_bytes()


@pytest.mark.timeout(1500)
def test_what_was_acknowledged_arrives_whatever_cuts_the_power(tmp_path, gateway, flashed):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(flashed)
    acknowledged = set()
    for die_after, tear in CUTS:
        with (
            pytest.raises(PowerCut) as cut,
            Pico(flash, die_after, tear, gateway.tty, is_interrupted=False) as pico,
        ):
            pico.wait_for("what it never says")
        acknowledged |= set(map(int, re.findall(r"wrote (\d+)\n", cut.value.printed)))
    assert acknowledged
    with Pico(flash, uart=gateway.tty, is_interrupted=False) as pico:
        pico.wait_for("edge-peer: synced")
        wait_for_rows(gateway, acknowledged)
    numbers = [row["n"] for row in gateway.rows("readings")]
    assert len(numbers) == len(set(numbers))


def send_update(gateway, folder, source, number):
    """Tell the board of new code, as `edge-peer update` has a Big Peer do."""
    blob = update.archive(bundle.read(make_bundle(folder, source)))
    content = APP.app_id + number.to_bytes(4, "big") + hashlib.sha256(blob).digest()
    message = authority.UPDATE_CONTEXT + hashlib.sha256(content).digest()
    signature = run(crypto.sign(APP.key, message))
    document = {"number": number, "archive": gateway.attach(blob), "signature": signature.hex()}
    gateway.execute(update.INSERT, {"u": document | {"_id": "pump"}})


@pytest.mark.timeout(1500)
def test_new_code_comes_over_the_mesh_and_goes_again_if_it_does_not_work(
    tmp_path, gateway, flashed
):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(flashed)

    def until_reset():
        with (
            pytest.raises(Reset) as reset,
            Pico(flash, uart=gateway.tty, is_interrupted=False) as pico,
        ):
            pico.wait_for("what it never says")
        return str(reset.value)

    def until(words):
        with Pico(flash, uart=gateway.tty, is_interrupted=False) as pico:
            return pico.wait_for(words)

    send_update(gateway, tmp_path, "async def main(peer): print('second')\n", 1)
    assert "update: 1 is on trial" in until_reset()
    assert "second" in until("edge-peer: works, and stays")
    send_update(gateway, tmp_path, "import machine\nmachine.reset()\n", 2)
    assert "update: 2 is on trial" in until_reset()
    for _ in range(updates_starts()):
        assert "is on trial" not in until_reset()
    assert "second" in until("edge-peer: synced")
    deadline = time.monotonic() + SYNC_LIMIT_S
    while not any(row["what"] == "rolled back" for row in gateway.rows("edge_crashes")):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def updates_starts():
    """Return how many starts new code has (flash/updating.py)."""
    [line] = [line for line in UPDATING.read_text().splitlines() if line.startswith("STARTS = ")]
    return int(line.split()[2])
