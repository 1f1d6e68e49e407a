"""
The command `edge-peer`. This file only parses; the work is in the modules it calls.

Mistakes of the person at the screen end with code 2, everything else that goes wrong
with 1; either way with one message and no traceback.
"""

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edge_peer.core.errors import ConfigError, EdgeError
from edge_tools import authority_cli, big_cli, fleet_cli
from edge_tools import demo as demos
from edge_tools.errors import ToolError
from edge_tools.rig import Plan


class _Commands(TyperGroup):
    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except (EdgeError, ToolError, OSError) as error:
            typer.echo(f"edge-peer: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error


app = typer.Typer(
    cls=_Commands,
    help="Run and try edge-peer, a local-first database for the Internet of Things.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(authority_cli.apps, name="app")
app.add_typer(authority_cli.devices, name="device")
app.add_typer(big_cli.app, name="big")
app.add_typer(fleet_cli.boards, name="boards")
for command in fleet_cli.COMMANDS:
    app.command()(command)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-peer {metadata.version('edge-peer')}")
        raise typer.Exit


@app.callback()
def edge_peer(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The peer's edge.json.")],
    status_interval: Annotated[
        float,
        typer.Option(min=0.0, help="Print the peer's status as JSON, this many seconds apart."),
    ] = 0.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what libraries say, too.")
    ] = False,
) -> None:
    """
    Run a Small Peer on this computer, such as a gateway, until it is told to stop.

    It syncs over every link that its configuration names, and says on stderr what
    happens to them. SIGTERM and Ctrl-C stop it.

    Example: `edge-peer run gateway.json`
    """
    from edge_tools import services

    services.run_peer(config, status_interval, verbose)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Check that every reading arrives, sum up, end.")
    ] = False,
    boards: Annotated[int, typer.Option(min=1, max=12, help="How many MicroPython boards.")] = 3,
    rows: Annotated[
        int | None,
        typer.Option(min=1, max=1500, help="Readings of each board: 500 with --once, else 1500."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, max=200, help="Each board's per second: 30 with --once, else 4."),
    ] = None,
    uplink: Annotated[
        demos.Uplink, typer.Option(help="How the gateway reaches the Big Peer.")
    ] = demos.Uplink.BOTH,
    seed: Annotated[
        int | None, typer.Option(help="Disturb the serial lines, as this number decides.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="A new folder for data and logs, which then stays.")
    ] = None,
) -> None:
    """
    Show the whole system on this computer, with real measurements.

    MicroPython boards send Seattle's temperatures over serial lines to a gateway, which
    passes them on over TCP and MQTT to a Big Peer. It prints where the Big Peer's page
    is and runs until Ctrl-C; a board that has sent all its readings idles.

    Example: `edge-peer demo --once`
    """
    defaults = (500, 30.0) if once else (1500, 4.0)
    uplinks = demos.MEDIA[uplink]
    plan = Plan(boards, rows or defaults[0], rate or defaults[1], uplinks, seed)
    demos.run(plan, once, keep)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A store: the file that edge.json names.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    collection: Annotated[
        str,
        typer.Option(
            "--documents", metavar="COLLECTION", help="Print its documents instead, as JSON lines."
        ),
    ] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many of --documents, the oldest first.")
    ] = None,
) -> None:
    """
    Say what is in a store: documents, quota, wear, and what is not durable yet.

    FILE is the SQLite store of a gateway or a Big Peer, also of one that runs, or the
    image of a board's flash log: of its partition alone, not of the whole flash. It
    is only read. Of a damaged one it shows what is whole, and ends with code 1.

    *Not durable* is what the Big Peer may not have yet; it is never evicted. The last
    columns of an author are numbers of its writes: the newest here, up to which all
    have been seen, the newest that was evicted, and up to which the Big Peer has them.

    Example: `edge-peer inspect gateway.db --documents readings --limit 3`
    """
    from edge_tools import inspect as inspection

    if collection:
        inspection.list_documents(file, collection, limit)
    elif limit is not None:
        raise typer.BadParameter("it goes with --documents", param_hint="--limit")
    else:
        inspection.show(file, as_json)


@app.command()
def sim(
    seed: Annotated[int, typer.Option(help="What happens follows from it alone.")] = 1,
    world: Annotated[str, typer.Option(help="What may happen: tests/sim/plans.py.")] = "today",
    replay: Annotated[
        Path | None, typer.Option(help="A script that `make sim` has left, instead.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Draw what happened into this file.")] = None,
) -> None:
    """
    Run a simulated network of peers, with faults, and check that nothing is lost.

    Virtual time, real code; the same seed is the same world. It works from a checkout,
    and ends with code 1 if an invariant was broken.

    Example: `edge-peer sim --seed 7 --html out.html`
    """
    from edge_tools import sim as simulation

    if not simulation.run(seed, world, replay, html):
        raise typer.Exit(1)
