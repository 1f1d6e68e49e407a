"""
What edge-peer takes of a board, and what of it a board loads by what it is: `make size`.

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
    "a sensor over serial": ("sensor", False, certificate.DEVICE),
    "one that has settings": ("with_settings", True, certificate.DEVICE),
    "a relay over serial": ("relay", True, certificate.RELAY),
}


def main():
    sizes, total = size.survey()
    console, figures = Console(), size.summary(sizes, total)
    console.print(size.table(sizes, total))
    by_module = {name_of(path): one for path, one in sizes.items()}
    rows = Table("loaded by", "modules", "source lines", "code lines", ".mpy bytes")
    for label, (figure, hears, role) in WHAT.items():
        loaded = [by_module[name] for name in modules(hears, role) if name in by_module]
        total = size.Size(*map(sum, zip(*loaded, strict=True)))
        rows.add_row(label, str(len(loaded)), *map("{:,}".format, total))
        figures[figure + "_source_lines"] = size.against(size.SOURCE_LINES_MAX, total.source_lines)
        figures[figure + "_mpy_bytes"] = size.against(size.MPY_BYTES_MAX, total.mpy_bytes)
    more = fit.mpy_bytes("ble")
    rows.add_row("BLE beside it, computed", "", "", "", f"+{more:,}")
    console.print(rows)
    print(json.dumps(figures | {"ble_more_mpy_bytes": {"ours": more}}))


def name_of(path):
    name = path.removesuffix(".py").replace("/", ".")
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
