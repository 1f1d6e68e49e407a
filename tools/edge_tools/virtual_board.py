"""
A MicroPython board as a process of this computer: the UNIX board.

A folder stands for the board. Code is in rom.img, a ROMFS image, as .mpy files: the
runtime (edge_peer/manifest.py), main, the application, and what boards/UNIX/ has in
place of a firmware's `machine` and flash. Beside it lie edge.json and the application's
data. The interpreter is a stock one with the heap that board.json says: its
objects are twice as wide as a board's, so 256 kB are as much as about 160 there. What
it prints, the console of a board, goes to console.log.
"""

import json
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from edge_tools import romfs
from edge_tools.manifest import flashed_files
from edge_tools.mpy import compile_mpy
from edge_tools.places import BOARDS, FLASHED, MANIFEST, ROOT
from edge_tools.processes import Process

MICROPYTHON = ROOT / ".cache/bin/micropython"
BOARD = BOARDS / "UNIX"
START = BOARD / "start.py"  # mounts the ROM, then runs main
ROM = "rom.img"
CONSOLE = "console.log"
PROCESSOR = "x64"  # on another one the board does without machine code


class VirtualBoard:
    def __init__(self, folder: Path) -> None:
        """A board that `make` has made."""
        self.folder = folder
        self.process: Process | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    def start(self, extra_heap_bytes: int = 0) -> Process:
        """Power it up. extra_heap_bytes: for what stands for hardware of a board."""
        assert self.process is None or not self.process.is_running()
        heap_bytes = limits()["heap_bytes"] + extra_heap_bytes
        command = [MICROPYTHON, "-X", f"heapsize={heap_bytes}", START.name]
        # Nothing outside the folder is searched for modules, and clocks run on UTC.
        env = {"MICROPYPATH": ".frozen", "TZ": "UTC"}
        self.process = Process(self.name, command, self.folder / CONSOLE, self.folder, env)
        return self.process


def limits() -> dict[str, int]:
    """Return what the UNIX board has of everything, as its board.json says."""
    board = json.loads((BOARD / "board.json").read_text())
    found: dict[str, int] = board["edge_peer"]["limits"]
    return found


def make(
    folder: Path, config: Mapping[str, Any], application: Path, files: Mapping[str, str]
) -> VirtualBoard:
    """Fill a new folder: `config` becomes edge.json, `application` app, `files` lie beside it.

    Raises OSError when the folder exists or cannot be written.
    """
    folder.mkdir(parents=True)
    app = compile_mpy(application.read_text(), "app.py")
    (folder / ROM).write_bytes(romfs.image(code() | {"app.mpy": app}))
    shutil.copy(START, folder)
    (folder / "edge.json").write_text(json.dumps(config, indent=2) + "\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    return VirtualBoard(folder)


@cache
def code() -> dict[str, bytes]:
    """Return what every virtual board runs, path on its ROM -> .mpy."""
    sources = {path.relative_to(ROOT): path for path in flashed_files(MANIFEST)}
    beside = [
        *BOARD.glob("*.py"),
        *(FLASHED / name for name in ("main.py", "running.py", "sleeping.py")),
    ]
    sources |= {Path(path.name): path for path in beside if path != START}
    return {
        name.with_suffix(".mpy").as_posix(): compile_mpy(
            source.read_text(), name.as_posix(), PROCESSOR
        )
        for name, source in sources.items()
    }
