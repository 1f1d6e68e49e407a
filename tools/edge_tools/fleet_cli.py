"""
The commands that bring boards to life: boards, provision, flash, … This file only parses.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge_peer.security.certificate import ROLES
from edge_tools import boards as known
from edge_tools import fit
from edge_tools.request import Request

boards = typer.Typer(
    help="What is known of each board, and what edge-peer takes of it.", invoke_without_command=True
)


@boards.callback(invoke_without_command=True)
def boards_list(context: typer.Context) -> None:
    """
    List the boards that bundles can be made for.

    Example: `edge-peer boards`
    """
    if context.invoked_subcommand is not None:
        return
    rows = Table("board", "product", "links", "flash for files", "heap")
    for board in known.every():
        room = f"{board.flash.files_bytes // 1024:,} KiB" if board.flash else ""
        heap = f"{board.heap_bytes:,}" if board.heap_bytes else ""
        rows.add_row(board.name, board.product, ", ".join(board.transports), room, heap)
    Console().print(rows)


@boards.command("show")
def boards_show(
    name: Annotated[str, typer.Argument(help="As `edge-peer boards` lists it.")],
) -> None:
    """
    Draw what edge-peer takes of a board's flash and RAM, and say where its facts are from.

    Example: `edge-peer boards show RPI_PICO_W`
    """
    from edge_tools import bundle

    board = known.find(name)
    console = Console()
    console.print(f"[bold]{board.name}[/]  {board.vendor} {board.product}, port {board.port}")
    console.print(f"links {', '.join(board.transports)}; pins {board.pins or 'of no matter'}")
    if board.flash is not None:
        blocks = 0 if board.flash.log_bytes else board.limits["log_block_count"]
        for code in (fit.IN_PLACE, fit.IN_RAM):
            files = bundle.runtime(board, ["serial"]) if code == fit.IN_RAM else {}
            memories = [fit.flash(board, files, blocks), fit.heap(board, ["serial"], code)]
            console.print(fit.table(memories, f"a sensor with a serial link, its code {code}"))
    for fact, source in board.sources.items():
        console.print(f"{fact}: {source}", style="dim", highlight=False)


def provision(
    name: Annotated[str, typer.Argument(help="The device's, at most 24 bytes.")] = "",
    board: Annotated[str, typer.Option(help="As `edge-peer boards` lists it.")] = "",
    app: Annotated[
        Path | None,
        typer.Option("--app", metavar="FOLDER", help="The app, NAME.app; else the only one here."),
    ] = None,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help=f"What it is: {', '.join(ROLES)}.")
    ] = "device",
    permissions: Annotated[
        str, typer.Option(metavar="FILE|JSON", help="What it may read and write; else everything.")
    ] = "",
    days: Annotated[int, typer.Option(min=0, help="How long it is admitted; 0: for ever.")] = 365,
    serial: Annotated[
        str,
        typer.Option(metavar="UART|PORT", help="A serial link: the number of a UART; a Pi's port."),
    ] = "",
    lan: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="A link to a gateway or Big Peer.")
    ] = "",
    mqtt: Annotated[str, typer.Option(metavar="HOST[:PORT]", help="A link by a broker.")] = "",
    ble: Annotated[str, typer.Option(metavar="yes", help="A link by Bluetooth.")] = "",
    wifi: Annotated[
        str, typer.Option(metavar="SSID", help="Its network; EDGE_PEER_WIFI_PASSWORD has the key.")
    ] = "",
    application: Annotated[
        str, typer.Option(metavar="PATH", help="app.py, or a folder that has one.")
    ] = "",
    blocks: Annotated[
        str, typer.Option(metavar="N", help="Of 4 KiB, for the log; else as the board has it.")
    ] = "",
    code: Annotated[
        str, typer.Option(metavar="files|firmware", help="Where edge-peer's own code is.")
    ] = "files",
    csv: Annotated[
        Path | None, typer.Option("--csv", help="A device a line; columns as these options.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to put what is made.")] = Path(),
    labels: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Write a sheet of labels with QR codes.")
    ] = None,
    boot: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A Raspberry Pi's boot partition to fill.")
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="For a Pi; a folder has all it needs without internet."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make keys anew, and revoke those of before.")
    ] = False,
    through: Annotated[
        str, typer.Option(metavar="URL", help="The Big Peer that has the app, in place of --app.")
    ] = "",
    key: Annotated[
        str, typer.Option(envvar="EDGE_PEER_KEY", help="Of its API; better in EDGE_PEER_KEY.")
    ] = "",
) -> None:
    """
    Make a device: its identity, and the bundle that `edge-peer flash` writes to a board.

    Run bare it asks. With --csv it makes many, whose empty columns are what the options
    say: name, board, role, permissions, days, serial, lan, mqtt, ble, wifi, application,
    blocks, code.
    All lines are checked first. A device that was made before keeps its key.

    With --through the app is one of a Big Peer, whose API admits the device, and the key
    is made here all the same.

    For a RASPBERRY_PI the bundle has what its first boot takes (cloud-init on Trixie,
    firstrun.sh on Bookworm): --boot puts it onto the card.

    NAME.bundle/ and NAME.identity.json can be read by you alone: who has them is the
    device. An image for a board with nothing on it yet is in the bundle, too.

    Example: `edge-peer provision pump --board RPI_PICO --serial 0 --application app.py`
    """
    from edge_tools import labels as sheets
    from edge_tools import provision as work

    request = Request(
        name, board, role, permissions, str(days), serial, lan, mqtt, ble, wifi,
        application, blocks, code,
    )  # fmt: skip
    if csv is not None:
        requests = list(work.from_csv(csv, request))
    else:
        if not name and sys.stdin.isatty():
            request = _asked(request)
        requests = [("", request)]
    made = work.run(requests, work.app_of(app, through, key), out, force, wheel)
    if boot is not None:
        from edge_tools import pi

        pi.to_boot_partition(out / f"{requests[0][1].name}.bundle", boot)
        print(f"{boot} has it: put the card in, and it sets itself up when it has a network.")
    if labels is not None:
        sheets.write(labels, made)
        print(f"{labels}: {len(made)} labels to print.")


def _asked(request: Request) -> Request:
    """Ask for what a person has to say."""
    names = [board.name for board in known.every() if board.is_flashed]
    print("Boards:", ", ".join(names))
    given = {
        "name": typer.prompt("Name of the device"),
        "board": typer.prompt("Board", default=names[-1]),
    }
    pins = known.find(given["board"]).pins
    given["serial"] = typer.prompt("UART of its serial link", default=str(pins.get("uart", "")))
    given["application"] = typer.prompt("Application (app.py, empty for none)", default="")
    return replace(request, **given)


def flash(
    bundle: Annotated[Path, typer.Argument(help="NAME.bundle; with --all a folder of them.")],
    port: Annotated[
        str, typer.Option(metavar="PORT", help="Of the board; else the only one of its kind.")
    ] = "",
    firmware: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write this firmware first: .uf2 or .bin.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All boards that are plugged in.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For the first sync, at most.")
    ] = 120.0,
    force: Annotated[
        bool, typer.Option("--force", help="Make another device of a board that is one.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """
    Write a bundle onto a board, start it, and wait until it has synced.

    It says what it found and what it will do, and asks. It may be stopped, and the board
    unplugged, at any time: until the end the board starts with what it had, and the same
    command goes on. A board that is another device already is refused.

    Example: `edge-peer flash pump.bundle --port /dev/ttyACM0`
    """
    from edge_tools import flash as work

    options = work.Options(force, yes, wait)
    if every:
        work.every(bundle, options)
    else:
        work.one(bundle, port, firmware, options)


def update(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles, or folders of them.")],
    big: Annotated[str, typer.Option(metavar="URL", help="The Big Peer's API.")],
    key: Annotated[
        str, typer.Option(envvar="EDGE_PEER_KEY", help="Of that API; better in EDGE_PEER_KEY.")
    ],
    app: Annotated[
        Path | None,
        typer.Option("--app", metavar="FOLDER", help="The app, NAME.app; else the only one here."),
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="PATTERN", help="Devices with such names, as pump-*.")
    ] = "*",
    percent: Annotated[
        int, typer.Option(min=1, max=100, help="So many of them; 30 takes all that 10 took.")
    ] = 100,
) -> None:
    """
    Send new code to devices over the mesh: the application, and what else is in a slot.

    Make the bundles anew with `provision`, then say which devices get theirs. A device
    fetches it beside its work, takes it if the app's authority has signed it, and goes back
    to what it had if the new one does not sync; `edge_crashes` tells of that.

    It works where edge-peer's own code is in the firmware (--code firmware).

    Example: `edge-peer update fleet/ --big http://127.0.0.1:8080 --percent 10`
    """
    from edge_tools import update as work
    from edge_tools.api import Client

    work.run(bundles, app, Client(big, key), only, percent)


def deploy(
    target: Annotated[str, typer.Argument(metavar="USER@HOST", help="As ssh takes it.")],
    bundle: Annotated[Path, typer.Argument(help="NAME.bundle of a Raspberry Pi.")],
) -> None:
    """
    Set a Raspberry Pi up that runs already, over ssh: package, identity, service.

    The user there must be able to sudo. It is safe to do again, and updates what is there.

    Example: `edge-peer deploy pi@porch.local porch.bundle`
    """
    from edge_tools import pi

    pi.deploy(bundle, target)


def monitor(
    port: Annotated[str, typer.Argument(metavar="PORT", help="Of the board.")],
    seconds: Annotated[float, typer.Option(min=0, help="End after so long; 0: never.")] = 0.0,
) -> None:
    """
    Show what a board prints, as it comes. It is not stopped by that. Ctrl-C ends it.

    Example: `edge-peer monitor /dev/ttyACM0`
    """
    from edge_tools import monitor as work

    work.run(port, seconds)


def doctor(
    port: Annotated[
        str, typer.Option(metavar="PORT", help="Also ask the board there, which it stops.")
    ] = "",
) -> None:
    """
    Say what is missing on this computer, and the command that mends it.

    It ends with code 1 if anything is. It changes nothing.

    Example: `edge-peer doctor`
    """
    from edge_tools import doctor as work

    if not work.run(port):
        raise typer.Exit(1)


COMMANDS = (provision, flash, update, deploy, monitor, doctor)
