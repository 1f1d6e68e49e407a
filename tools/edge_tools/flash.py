"""
`edge-peer flash`: a bundle onto a board, from finding it to its first sync.

Each step can be done again: what is there already is found, and what is missing written.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from edge_peer.core.errors import ConfigError
from edge_tools import boards, bundle, ports
from edge_tools.boards import Board
from edge_tools.bundle import Bundle
from edge_tools.errors import ToolError
from edge_tools.install import Installer
from edge_tools.repl import SerialRepl

SYNC_LIMIT_S = 120.0
BOOT_LIMIT_S = 30.0  # of a boot loader that starts new firmware
SYNCED = "edge-peer: synced"  # what flash/running.py prints
POLL_S = 0.3
PARALLEL_MAX = 16


@dataclass(frozen=True)
class Options:
    force: bool = False
    yes: bool = False
    sync_limit_s: float = SYNC_LIMIT_S  # 0: do not wait


class NotSynced(ToolError):
    """The board has everything and runs, but no neighbour has taken anything yet."""


def one(folder: Path, port: str, firmware: Path | None, options: Options) -> None:
    """Flash one board. Raises ConfigError, ToolError."""
    made = bundle.read(folder)
    board = boards.find(made.about["board"])
    about = made.about
    if firmware is not None:
        _say_and_ask(f"write the firmware {firmware} to a {board.name}", options)
        write_firmware(board, firmware, port)
    port = port or ports.the_one(board)
    with SerialRepl(port) as repl:
        installer = Installer(repl, made)
        found = installer.probe()
        installer.check(found, board, options.force)
        if found.owner == ("", ""):
            what = "make it"
        else:
            what = "update" if found.owner[1] == about["device"] else "MAKE ANOTHER DEVICE OF IT,"
        version = ".".join(map(str, found.version))
        _say_and_ask(
            f"{port}: {found.machine}, MicroPython {version}.\n"
            f"Going to {what} {about['device']} of app {about['app_id']}",
            options,
        )
        with _progress() as progress:
            task = progress.add_task(about["device"], total=None)
            written = installer.install(found, _teller(progress, task))
        print(f"{about['device']}: {written:,} bytes written and compared, the others were there.")
        repl.start()
        wait_for_sync(repl, about["device"], options.sync_limit_s)


def every(folder: Path, options: Options) -> None:
    """Flash all boards that are plugged in, side by side, with the bundles of a folder.

    A board that is a device already gets that device's bundle; others get what nobody has,
    in the order of names. Raises ConfigError, ToolError when any failed.
    """
    made = {one.about["device"]: one for one in map(bundle.read, sorted(folder.glob("*.bundle")))}
    if not made:
        raise ConfigError(f"{folder} has no bundles; `edge-peer provision --csv` makes many")
    repls = [SerialRepl(port.path) for port in ports.connected() if _is_known(port, made)]
    try:
        pairs = pair(made, repls)
        for repl, one in pairs:
            print(f"{repl.port}: {one.about['device']}")
        _say_and_ask(f"Going to flash {len(pairs)} boards", options)
        failures: list[str] = []
        with _progress() as progress, ThreadPoolExecutor(PARALLEL_MAX) as pool:
            jobs = [
                pool.submit(_one_of_many, repl, one, progress, options, failures)
                for repl, one in pairs
            ]
            for job in jobs:
                job.result()
    finally:
        for repl in repls:
            repl.close()
    if failures:
        raise ToolError("\n".join([*failures, "the others are done; run the same again"]))


def pair(made: dict[str, Bundle], repls: list[SerialRepl]) -> list[tuple[SerialRepl, Bundle]]:
    """Return which board gets which bundle. Raises ConfigError if there are too few."""
    free = dict(made)
    pairs, new = [], []
    for repl in repls:
        found = Installer(repl, next(iter(made.values()))).probe()
        owned = free.get(found.owner[1])
        if owned is not None and owned.about["app_id"] == found.owner[0]:
            pairs.append((repl, free.pop(found.owner[1])))
        else:
            new.append((repl, found))
    for repl, found in new:
        fitting = [
            name for name in sorted(free)
            if boards.find(free[name].about["board"]).machine in found.machine
        ]  # fmt: skip
        if not fitting:
            raise ConfigError(f"{repl.port}: no bundle is left for a {found.machine}")
        pairs.append((repl, free.pop(fitting[0])))
    if not pairs:
        raise ConfigError("no board is plugged in that a bundle here is for")
    return pairs


def write_firmware(board: Board, firmware: Path, port: str) -> None:
    """Write MicroPython itself. Raises ConfigError, ToolError, OSError."""
    assert board.flash is not None
    if not firmware.exists():
        raise ConfigError(
            f"there is no {firmware}; get one at https://micropython.org/download/{board.name}/ "
            "on a computer with internet"
        )
    if board.flash.uf2_family is not None:
        _write_uf2(board, firmware, port)
    else:
        _write_esp(board, firmware, port or ports.the_one(board))


def _write_uf2(board: Board, firmware: Path, port: str) -> None:
    found = ports.drives()
    if not found:
        if port or ports.connected(board):
            with SerialRepl(port or ports.the_one(board)) as repl:
                enter_boot_loader(repl)
        found = _wait_for(ports.drives, "the drive of its boot loader; is it mounted?")
    if len(found) > 1:
        raise ConfigError(f"{len(found)} boards wait in their boot loader: unplug all but one")
    ports.copy_uf2(firmware, found[0])
    _wait_for(lambda: ports.connected(board), "the board to start with its new firmware")


def enter_boot_loader(repl: SerialRepl) -> None:
    with contextlib.suppress(ToolError):  # it is gone before it answers
        repl.run("import machine\nmachine.bootloader()")


def _write_esp(board: Board, firmware: Path, port: str) -> None:
    assert board.flash is not None
    start = f"0x{board.flash.firmware_start:x}"
    command = [sys.executable, "-m", "esptool", "--port", port, "write-flash", start, str(firmware)]
    if subprocess.call(command):
        raise ToolError(
            f"esptool failed; hold BOOT while it connects, and run the same again: {port}"
        )


def wait_for_sync(repl: SerialRepl, name: str, limit_s: float) -> None:
    """Show what the board says until it has synced. Raises NotSynced."""
    if not limit_s:
        return
    started = time.monotonic()
    for line in repl.lines(limit_s):
        if line.startswith(SYNCED):
            print(f"{name} has synced, {time.monotonic() - started:.0f} s after its start.")
            return
        if line:
            print(f"  {line}")
    raise NotSynced(
        f"{name} runs, and has not synced in {limit_s:.0f} s: is its gateway running, and wired "
        "TX to RX? `edge-peer monitor` shows what it says"
    )


def _one_of_many(
    repl: SerialRepl, made: Bundle, progress: Progress, options: Options, failures: list[str]
) -> None:
    name = made.about["device"]
    task = progress.add_task(name, total=None)
    try:
        installer = Installer(repl, made)
        found = installer.probe()
        installer.check(found, boards.find(made.about["board"]), options.force)
        installer.install(found, _teller(progress, task))
        repl.start()
    except ToolError as error:
        failures.append(f"{name}: {error}")


def _is_known(port: ports.Port, made: dict[str, Bundle]) -> bool:
    return any(port.usb in boards.find(one.about["board"]).usb for one in made.values())


def _teller(progress: Progress, task: object) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)  # type: ignore[arg-type]

    return tell


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _say_and_ask(what: str, options: Options) -> None:
    """Raises ConfigError when a person says no, or there is nobody to ask."""
    print(what)
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nothing was done, as nobody can be asked; --yes says go on")
    if not typer.confirm("Go on?"):
        raise ConfigError("nothing was done")


def _wait_for(found: Callable[[], list], what: str) -> list:
    deadline = time.monotonic() + BOOT_LIMIT_S
    while not (result := found()):
        if time.monotonic() > deadline:
            raise ToolError(f"waited {BOOT_LIMIT_S:.0f} s for {what}; then run the same again")
        time.sleep(POLL_S)
    return result
