"""
What each kind of link takes of a board's heap when it is imported, beside all that is there.

On the UNIX board's MicroPython, whose objects are 64 bits wide (about 1.6 times a board's), from
sources: code that lies in firmware or on a ROM file system takes less.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import gc, sys
sys.path[:0] = [".", "boards/UNIX", "tests/rigs/ble"]
import asyncio, bluetooth, socket
from edge_peer.core.sync import session, frame
from edge_peer.transport import stream, pump
from edge_peer.security import wire
gc.collect()
before = gc.mem_alloc()
for name in sys.argv[1:]:
    __import__(name)
gc.collect()
print(gc.mem_alloc() - before)
"""
KINDS = {
    "ble": ["edge_peer.board.ble"],
    "ble_central": ["edge_peer.board.ble", "edge_peer.board.ble_central"],
    "lan": ["edge_peer.board.lan"],
    "lan_meeting": ["edge_peer.board.lan_meeting", "edge_peer.transport.mdns"],
    "mqtt": ["edge_peer.board.mqtt"],
    "serial": ["edge_peer.board.serial"],
    "bus": ["edge_peer.board.serial_lines", "edge_peer.transport.bus_pump"],
}


async def measure(folder):
    program = Path(folder) / "heap.py"
    program.write_text(PROGRAM)
    return {f"heap_{kind}_bytes": heap(program, names) for kind, names in KINDS.items()}


def heap(program, names):
    command = [ROOT / ".cache/bin/micropython", program, *names]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
