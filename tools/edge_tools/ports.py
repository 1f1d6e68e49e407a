"""
Boards that are plugged in: serial ports by their USB ids, and boot loaders as USB drives.

What was found is only where to ask: which board it is, it says itself (install.py).
"""

import os
import shutil
import string
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from serial.tools import list_ports

from edge_peer.core.errors import ConfigError
from edge_tools.boards import Board

INFO_FILE = "INFO_UF2.TXT"  # what makes a drive one of a UF2 boot loader
MOUNTS = ("/media/*/*", "/run/media/*/*", "/media/*", "/mnt/*", "/Volumes/*")


class Port(NamedTuple):
    path: str
    usb: str  # "2e8a:0005"
    serial_number: str
    description: str


def connected(board: Board | None = None, listed: Iterable[Any] | None = None) -> list[Port]:
    """Return the ports that may be a board's, of this kind if one is given.

    listed: those of this computer, as pyserial lists them, if not given.
    """
    found = []
    for one in list_ports.comports() if listed is None else listed:
        if one.vid is None or one.pid is None:
            continue
        usb = f"{one.vid:04x}:{one.pid:04x}"
        if board is None or usb in board.usb:
            found.append(Port(one.device, usb, one.serial_number or "", one.description or ""))
    return sorted(found)


def the_one(board: Board, listed: Iterable[Any] | None = None) -> str:
    """Return the port of the only board of this kind; raise ConfigError if there is another
    number of them."""
    found = connected(board, listed)
    if len(found) == 1:
        return found[0].path
    if not found:
        raise ConfigError(
            f"no {board.name} is plugged in (USB {', '.join(board.usb)}). Is its cable one for "
            "data? A board without MicroPython shows as a drive or not at all: give --firmware, "
            "hold BOOTSEL while you plug it in. `edge-peer doctor` says what it sees"
        )
    listed = ", ".join(f"{port.path} ({port.serial_number})" for port in found)
    raise ConfigError(f"there are {len(found)}: {listed}; name one with --port, or say --all")


def drives(roots: Iterable[Path] | None = None) -> list[Path]:
    """Return the drives of UF2 boot loaders that are mounted."""
    return [root for root in (_mounts() if roots is None else roots) if (root / INFO_FILE).exists()]


def copy_uf2(file: Path, drive: Path) -> None:
    """Write firmware by a boot loader, which starts it. Raises ConfigError, OSError."""
    data = file.read_bytes()
    if data[:4] != b"UF2\n":
        raise ConfigError(f"{file} is no UF2 file")
    target = drive / file.name
    shutil.copyfile(file, target)
    handle = os.open(target, os.O_RDONLY) if target.exists() else None
    if handle is not None:  # the board may have restarted already
        try:
            os.fsync(handle)
        except OSError:
            pass
        finally:
            os.close(handle)


def _mounts() -> list[Path]:
    if sys.platform == "win32":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase]
    return [path for pattern in MOUNTS for path in Path("/").glob(pattern[1:])]
