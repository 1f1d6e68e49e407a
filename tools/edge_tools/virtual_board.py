"""
A MicroPython board as a process of this computer: the UNIX board.

A folder stands for the board's filesystem. It holds what a flashed board holds: the
files of edge_peer/manifest.py as .mpy, main.py, edge.json, an application; and
boards/UNIX/, whose `machine` makes a tty a UART. The interpreter is a stock one with
a heap of HEAP_SIZE; what it prints, the console of a board, goes to console.log.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_tools.manifest import flashed_files
from edge_tools.mpy import compile_mpy
from edge_tools.processes import Process
from edge_tools.size import MANIFEST, ROOT

MICROPYTHON = ROOT / ".cache/bin/micropython"
HEAP_SIZE = "160k"  # its objects are twice as wide as a board's: as much as about 100 kB there
CONSOLE = "console.log"


class VirtualBoard:
    def __init__(self, folder: Path) -> None:
        """A board that `make` has made."""
        self.folder = folder
        self.process: Process | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    def start(self) -> Process:
        """Power it up."""
        assert self.process is None or not self.process.is_running()
        command = [MICROPYTHON, "-X", f"heapsize={HEAP_SIZE}", "main.py"]
        # Nothing but the folder is searched for modules, and clocks run on UTC.
        env = {"MICROPYPATH": ".frozen", "TZ": "UTC"}
        self.process = Process(self.name, command, self.folder / CONSOLE, self.folder, env)
        return self.process


def make(
    folder: Path, config: Mapping[str, Any], application: Path, files: Mapping[str, str]
) -> VirtualBoard:
    """Fill a new folder: `config` becomes edge.json, `application` app.py, `files` lie beside it.

    Raises OSError when the folder exists or cannot be written.
    """
    folder.mkdir(parents=True)
    for name, mpy in runtime().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(mpy)
    for source in [*sorted((ROOT / "boards/UNIX").glob("*.py")), ROOT / "flash/main.py"]:
        shutil.copy(source, folder)
    shutil.copy(application, folder / "app.py")
    (folder / "edge.json").write_text(json.dumps(config, indent=2) + "\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    return VirtualBoard(folder)


_runtime: dict[str, bytes] = {}


def runtime() -> dict[str, bytes]:
    """Return the runtime as a board gets it, path -> .mpy; compiled once per process."""
    if not _runtime:
        for path in flashed_files(MANIFEST):
            name = path.relative_to(ROOT)
            mpy = compile_mpy(path.read_text(), name.as_posix())
            _runtime[name.with_suffix(".mpy").as_posix()] = mpy
    return _runtime
