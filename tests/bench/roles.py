"""
What of edge-peer a board loads by what it is: a part of `make size`.

MicroPython as a process writes a reading, syncs it with a gateway over a serial line, whole
handshake included, and says which modules it has then; a relay takes documents as well. What a
board with Bluetooth loads is computed: the serial link's own modules against those of BLE.
The last line printed is one JSON object.
"""

import json
import tempfile
from pathlib import Path

from app import APP, EVERYTHING
from pairs.board_process import BoardProcess
from rich.console import Console
from rich.table import Table
from virtual_pico.wired import Gateway

from edge_peer.security import certificate
from edge_peer.security.identity import to_text
from edge_tools import fit, size
from edge_tools.manifest import flashed_files, option_defaults
from edge_tools.places import MANIFEST, ROOT

APPLICATION = """
import asyncio, sys
async def main(peer):
    peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"n": 1}})
    if %r:
        async for rows, _ in peer.live_query("SELECT * FROM settings"):
            if rows:
                break
    while not any(link["sent"] for link in peer.status()["links"]):
        await asyncio.sleep(1)
    print("@", *[name for name in sys.modules if name.startswith("edge_peer")])
"""
WHAT = {
    "a sensor over serial": (False, certificate.DEVICE),
    "one that has settings": (True, certificate.DEVICE),
    "a relay over serial": (True, certificate.RELAY),
}


def main():
    every = flashed_files(MANIFEST, **dict.fromkeys(option_defaults(MANIFEST), True))
    sizes = {name_of(path): size.measure(path) for path in every}
    figures = {}
    rows = Table("loaded by", "modules", "source lines", "code lines", ".mpy bytes")
    for label, (hears, role) in WHAT.items():
        loaded = [sizes[name] for name in modules(hears, role) if name in sizes]
        total = size.Size(*map(sum, zip(*loaded, strict=True)))
        rows.add_row(label, str(len(loaded)), *map("{:,}".format, total))
        figures[label] = total._asdict() | {"modules": len(loaded)}
        if label == "a sensor over serial":
            more = fit.mpy_bytes("ble")
            figures["BLE beside it, more .mpy bytes"] = more
    rows.add_row("BLE beside it, computed", "", "", "", f"+{more:,}")
    Console().print(rows)
    print(json.dumps(figures))


def name_of(path):
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


def modules(hears, role):
    def text(name, role):
        made = APP.identity(name, role, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S)
        return to_text(made)

    more = {"relay": True} if role == certificate.RELAY else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Gateway(Path(folder), text("gateway", certificate.RELAY)) as gateway,
    ):
        gateway.execute("INSERT INTO settings DOCUMENTS (:d)", {"d": {"every_s": 60}})
        source = APPLICATION % hears
        board = BoardProcess(Path(folder, "board"), text("pump", role), gateway.tty, source, **more)
        (board.folder / "board.json").write_text('{"name": "UNIX"}')
        return board.run("@ ").rpartition("@ ")[2].split()


if __name__ == "__main__":
    main()
