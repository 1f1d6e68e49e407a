"""
The flash of a Pico, as a file: 2 MiB, firmware at 0, the file system behind it.
"""

from collections.abc import Mapping
from pathlib import Path

from edge_tools import boards, image
from edge_tools.manifest import flashed_files
from edge_tools.mpy import compile_mpy
from edge_tools.places import MANIFEST, ROOT
from virtual_pico import firmware

BOARD = boards.find("RPI_PICO")


def flash(files: Mapping[str, bytes], program: bytes | None = None) -> bytes:
    """Return the flash of a board with these files, path -> contents; else stock firmware.

    Raises FirmwareMissing.
    """
    program = program or firmware.binary()
    assert BOARD.flash is not None and len(program) <= BOARD.flash.files_start
    return program.ljust(BOARD.flash.files_start, b"\xff") + image.file_system(BOARD, files)


def edge_peer() -> dict[str, bytes]:
    """Return what a board carries of edge-peer, path -> .mpy."""
    found = {}
    for source in flashed_files(MANIFEST):
        name = source.relative_to(ROOT)
        found[name.with_suffix(".mpy").as_posix()] = module(source, name.as_posix())
    return found


def module(source: Path, name: str) -> bytes:
    """Return the .mpy of one source file."""
    return compile_mpy(source.read_text(), name)
