"""
What edge-peer takes of a board: `make bench-board`.

A sensor with a serial link runs on the virtual Pico, syncs five readings with a gateway, and
says what of its heap is in use (collected) at each step: once with its code in the firmware,
once from files. Times are virtual, of the processor alone; `real` ones are of this computer.
The last line printed is one JSON object.
"""

import json
import re
import tempfile
import time
from pathlib import Path

from app import APP, EVERYTHING
from rich.console import Console
from rich.table import Table
from virtual_pico import firmware, image
from virtual_pico.pico import Pico
from virtual_pico.wired import Gateway

from edge_peer.security import certificate
from edge_peer.security.identity import to_text
from edge_tools import bundle, fit
from edge_tools.boards import find
from edge_tools.mpy import compile_mpy
from edge_tools.provision import edge_json
from edge_tools.request import Request

PROGRAM = Path(__file__).with_name("board_board.py")
STEPS = ("start", "imported", "opened", "linked", "synced")
HEAP_BYTES_MAX = 90_000
LIMIT_S = 400


def main():
    figures = {}
    rows = Table("", *(f"{step}, bytes" for step in STEPS), "link, ms", "real s")
    for code, program in ((fit.IN_PLACE, firmware.frozen()), (fit.IN_RAM, firmware.binary())):
        found = measure(code, program)
        name = code.replace(" ", "_")
        rows.add_row(
            f"code {code}",
            *(f"{found[step]['heap']:,}" for step in STEPS),
            f"{found['linked']['ms'] - found['opened']['ms']:,}",
            f"{found['real_s']:.0f}",
        )
        figures |= judged(name, found, len(program))
    Console().print(rows)
    print(json.dumps(figures))


def measure(code, program):
    board = find("RPI_PICO")
    request = Request(name="pump", board=board.name, serial="0")
    plan = bundle.Plan("pump", board, edge_json(request, board), None, code)
    files = {} if code == fit.IN_PLACE else bundle.runtime(board, plan.links)
    files = {path.removeprefix("a/"): data for path, data in files.items()}
    files["edge.json"] = json.dumps(plan.config).encode()
    files["identity.json"] = identity("pump").encode()
    files["measure.mpy"] = compile_mpy(PROGRAM.read_text(), "measure.py")
    with tempfile.TemporaryDirectory() as folder:
        flash = Path(folder, "flash.bin")
        flash.write_bytes(image.flash(files, program))
        started = time.monotonic()
        with (
            Gateway(Path(folder), identity("gateway", certificate.RELAY)) as gateway,
            Pico(flash, uart=gateway.tty) as pico,
        ):
            said = pico.run("import measure", LIMIT_S)
        found = {line[0]: json.loads(line[1]) for line in re.findall(r"@(\w+) (.*)", said)}
        assert "synced" in found, said
        return found | {"real_s": time.monotonic() - started}


def identity(name, role=certificate.DEVICE):
    return to_text(
        APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)
    )


def judged(name, found, firmware_bytes):
    heap = found["synced"]["heap"]
    goal = HEAP_BYTES_MAX
    return {
        f"heap_bytes_{name}": {"ours": heap, "goal": f"<= {goal}", "met": heap <= goal},
        f"heap_free_bytes_{name}": {"ours": found["synced"]["free"], "goal": None, "met": None},
        f"modules_{name}": {"ours": found["synced"]["modules"], "goal": None, "met": None},
        f"firmware_bytes_{name}": {"ours": firmware_bytes, "goal": None, "met": None},
        f"link_ms_{name}": {
            "ours": found["linked"]["ms"] - found["opened"]["ms"],
            "goal": None,
            "met": None,
        },
    }


if __name__ == "__main__":
    main()
