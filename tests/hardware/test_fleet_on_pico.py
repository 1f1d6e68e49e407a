"""
From a box to a running board, on the virtual Pico with edge-peer in its firmware: provision,
bundle, flash, boot, sync over its UART with a gateway, power cuts, boot, nothing lost.
"""

import json
import re
import time

import pytest
from app import APP, EVERYTHING
from virtual_pico import firmware, image
from virtual_pico.pico import Pico, PowerCut
from virtual_pico.wired import Gateway

from edge_peer.security import certificate
from edge_peer.security.identity import to_text
from edge_tools import bundle, fit
from edge_tools import flash as flashing
from edge_tools.boards import find
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
CUTS = ((25, "half"), (60, "some cells"), (110, "nothing"))


def made_identity(name, role=certificate.DEVICE):
    return APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)


def make_bundle(folder, source=APPLICATION):
    app = folder / "app.py"
    app.write_text(source)
    board = find("RPI_PICO")
    request = Request(name="pump", board=board.name, serial="0", blocks="16")
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


@pytest.mark.timeout(1500)
def test_from_a_box_to_a_running_board_that_loses_nothing(tmp_path, gateway, capsys):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(image.flash({}, firmware.frozen()))
    options = flashing.Options(yes=True, sync_limit_s=SYNC_LIMIT_S)
    with Pico(flash, uart=gateway.tty, usb=gateway.usb):
        flashing.one(make_bundle(tmp_path), gateway.port, None, options)
    assert "pump has synced" in capsys.readouterr().out
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
    assert json.loads((tmp_path / "pump.bundle/bundle.json").read_text())["code"] == fit.IN_PLACE
