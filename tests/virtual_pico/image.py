"""
The flash of a Pico, as a file: 2 MiB, firmware at 0, the file system behind it.

The file system is littlefs as the firmware's own _boot.py makes it (ports/rp2), so
that it is mounted and not formatted.
"""

from collections.abc import Mapping
from pathlib import Path

from littlefs import LittleFS

from edge_tools.manifest import flashed_files
from edge_tools.mpy import compile_mpy
from edge_tools.size import MANIFEST, ROOT
from virtual_pico import firmware

FLASH_SIZE = 2 << 20
FILES_START = 0xA0000  # boards/RPI_PICO: 1408 KiB for files
BLOCK_SIZE = 4096


def flash(files: Mapping[str, bytes]) -> bytes:
    """Return the flash of a board with stock firmware and these files, path -> contents.

    Raises FirmwareMissing.
    """
    program = firmware.binary()
    assert len(program) <= FILES_START
    return program.ljust(FILES_START, b"\xff") + file_system(files)


def file_system(files: Mapping[str, bytes]) -> bytes:
    lfs = LittleFS(
        block_size=BLOCK_SIZE,
        block_count=(FLASH_SIZE - FILES_START) // BLOCK_SIZE,
        read_size=32,
        prog_size=256,
        cache_size=1024,
        lookahead_size=32,
        disk_version=0x00020000,
    )
    for path, data in files.items():
        folder = path.rpartition("/")[0]
        if folder:
            lfs.makedirs(folder, exist_ok=True)
        with lfs.open(path, "wb") as file:
            file.write(data)
    return bytes(lfs.context.buffer)


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
