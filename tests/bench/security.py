"""
What security costs: `make bench-security`.

The same program (security_board.py) runs on an emulated Raspberry Pi Pico with stock firmware
(virtual time, of the processor alone), on MicroPython here, and on CPython. A full handshake
is one of strangers, the check of the other's certificate included; each side is timed alone
and the slower one counts. The Pico has the table of the authority's key that provisioning
gives it, and nothing else of edge-peer loaded: stock firmware has its code in RAM, too.
`--no-pico` leaves its rows out. The last line printed is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from virtual_pico import firmware, image
from virtual_pico.pico import Pico

from edge_peer.host.crypto import comb_table
from edge_peer.security.certificate import BIG_PEER
from edge_peer.security.identity import to_text
from edge_tools.mpy import compile_mpy

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("security_board.py")
MICROPYTHON = ROOT / ".cache/bin/micropython"
HEAP = "1m"
LIMIT_S = 600

# name: (goal, at most or at least; decimals)
FIGURES = {
    "pico_full_ms": ("<=", 2_700, 0),
    "pico_full_known_certificate_ms": ("", None, 0),
    "pico_resumed_ms": ("<=", 8, 1),
    "pico_longest_stretch_ms": ("<=", 20, 1),
    "pico_forged_m1_ms": ("", None, 2),
    "pico_authorship_ms_per_record": ("<=", 10, 1),
    "pico_authorship_longest_stretch_ms": ("<=", 20, 1),
    "pico_batch_encode_ms": ("", None, 0),
    "pico_seal_64_kb_per_s": (">=", 130, 0),
    "pico_seal_244_kb_per_s": (">=", 260, 0),
    "pico_open_64_kb_per_s": ("", None, 0),
    "pico_open_244_kb_per_s": ("", None, 0),
    "pico_session_heap_bytes": ("<=", 1_600, 0),
    "micropython_full_ms": ("<=", 60, 1),
    "micropython_resumed_ms": ("", None, 2),
    "micropython_authorship_ms_per_record": ("", None, 2),
    "cpython_full_ms": ("<=", 1.5, 2),
    "cpython_resumed_ms": ("", None, 2),
    "record_overhead_bytes": ("<=", 11, 0),
    "full_bytes": ("<=", 440, 0),
    "resumed_bytes": ("<=", 81, 0),
    "authorship_bytes_per_record": ("<=", 3, 2),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--no-pico", action="store_true", help="leave the virtual Pico out")
    has_pico = not parser.parse_args().no_pico and firmware.is_there()
    sys.path[:0] = [str(ROOT / "tests")]
    with tempfile.TemporaryDirectory() as folder:
        made = devices()
        for name, data in made.items():
            Path(folder, name).write_bytes(data)
        result = host(f"{folder}/") | micropython(f"{folder}/")
    if has_pico:
        result |= pico(made)
    figures = {name: judged(name, result[name]) for name in FIGURES if name in result}
    Console().print(shown(figures))
    print(json.dumps(figures))


def devices():
    """Return the identities of two devices, and the table of their authority's key, as files."""
    from app import App

    app = App()
    pair = (
        app.identity("sensor-17", permissions=bytes(21)),
        app.identity("big-1", BIG_PEER, permissions=bytes(21)),
    )
    a, b = (to_text(one).encode() for one in pair)
    return {"a.json": a, "b.json": b, "table": comb_table(app.key.signer)}


def host(folder):
    run = runner([sys.executable])
    shakes = run("handshake", folder, False, 200)
    return {
        "cpython_full_ms": shakes["first_us"] / 1e3,
        "cpython_resumed_ms": shakes["resumed_us"] / 1e3,
        "full_bytes": shakes["bytes"],
        "resumed_bytes": shakes["resumed_bytes"],
        "record_overhead_bytes": run("records", 64, 10)["overhead"],
        "authorship_bytes_per_record": run("authorship", folder)["record_bytes"],
    }


def micropython(folder):
    run = runner([MICROPYTHON, "-X", f"heapsize={HEAP}"])
    shakes = run("handshake", folder, False, 5)
    return {
        "micropython_authorship_ms_per_record": run("authorship", folder)["record_us"] / 1e3,
        "micropython_full_ms": shakes["first_us"] / 1e3,
        "micropython_resumed_ms": shakes["resumed_us"] / 1e3,
    }


def runner(command):
    """Return a function that calls one of security_board.py in a process of its own."""
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(PROGRAM.parent)!r}]\n"

    def run(function, *arguments):
        program = paths + call(function, arguments, "security_board")
        done = subprocess.run(
            [*command, "-c", program], capture_output=True, text=True, timeout=LIMIT_S
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return json.loads(done.stdout)

    return run


def pico(made):
    """All on one board; each function in a start of its own, as garbage is left behind."""
    alone = {"edge_peer/__init__.mpy": compile_mpy("", "edge_peer/__init__.py")}
    files = image.edge_peer() | alone | {"bench.mpy": image.module(PROGRAM, "bench.py")} | made
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        flash = Path(folder, "flash.bin")
        flash.write_bytes(image.flash(files))

        def run(function, *arguments):
            with Pico(flash) as board:
                return json.loads(board.run(call(function, arguments, "bench"), LIMIT_S))

        shakes = run("handshake", "/", True)
        found = {
            "pico_full_ms": shakes["first_us"] / 1e3,
            "pico_full_known_certificate_ms": shakes["known_us"] / 1e3,
            "pico_resumed_ms": shakes["resumed_us"] / 1e3,
            "pico_longest_stretch_ms": shakes["stretch_us"] / 1e3,
            "pico_forged_m1_ms": run("flood", "/", 50)["forged_us"] / 1e3,
            "pico_session_heap_bytes": run("heap")["session"],
        }
        batch = run("authorship", "/")
        found["pico_authorship_ms_per_record"] = batch["record_us"] / 1e3
        found["pico_authorship_longest_stretch_ms"] = batch["stretch_us"] / 1e3
        found["pico_batch_encode_ms"] = batch["encode_us"] / 1e3
        for size in (64, 244):
            speeds = run("records", size, 50)
            found[f"pico_seal_{size}_kb_per_s"] = size * 1e3 / speeds["seal_us"]
            found[f"pico_open_{size}_kb_per_s"] = size * 1e3 / speeds["open_us"]
    return found


def call(function, arguments, module):
    return f"import {module}\n{module}.{function}({', '.join(map(repr, arguments))})"


def judged(name, ours):
    relation, goal, decimals = FIGURES[name]
    met = None if goal is None else ours >= goal if relation == ">=" else ours <= goal
    return {
        "ours": round(ours, decimals or None),
        "goal": None if goal is None else f"{relation} {goal}",
        "met": met,
    }


def shown(figures):
    rows = Table(title="What security costs")
    rows.add_column("figure", no_wrap=True)
    for column in ("edge-peer", "goal", "met"):
        rows.add_column(column, justify="right")
    for name, figure in figures.items():
        met = {True: "yes", False: "[bold red]no", None: ""}[figure["met"]]
        rows.add_row(name, f"{figure['ours']:,}", figure["goal"] or "", met)
    return rows


if __name__ == "__main__":
    main()
