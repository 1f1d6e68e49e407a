"""
The command `edge-peer big`, and what belongs to it: `edge-peer big key …`,
`edge-peer big person …`.

Commands about keys and people work on the files of the data folder, beside a Big Peer that runs or
without one; a running one goes by what they wrote from its next request on.
"""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}

Data = Annotated[Path, typer.Option(help="Where the Big Peer keeps everything.")]
DATA = Path("bigpeer-data")

app = typer.Typer(
    invoke_without_command=True, subcommand_metavar="[COMMAND] …", rich_markup_mode="markdown"
)
key = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
person = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(key, name="key", help="Make, list and revoke API keys.")
app.add_typer(person, name="person", help="Say who may sign in at the page.")


@app.callback()
def big(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Where it keeps everything.")] = DATA,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="For the page and the HTTP API.")] = 8080,
    sync_port: Annotated[int, typer.Option(help="For peers that sync over TCP.")] = 7700,
    app_id: Annotated[
        str, typer.Option("--app", help="The appID that the data folder must be of, 32 hex digits.")
    ] = "",
    mqtt: Annotated[
        str,
        typer.Option(
            envvar="EDGE_PEER_MQTT",
            help="A broker for peers: mqtt[s]://[user:password@]host[:port].",
        ),
    ] = "",
    mqtt_ca: Annotated[
        Path | None, typer.Option(help="Whose certificates a broker of mqtts:// may show, a file.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="For HTTPS: the certificate, a PEM file with its chain.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, a PEM file.")] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="The address of a reverse proxy whose X-Forwarded-* count; repeat it."),
    ] = None,
    store: Annotated[
        str,
        typer.Option(
            envvar="EDGE_PEER_STORE",
            help="Keep documents in PostgreSQL: postgresql://[user:password@]host[,host]/database.",
        ),
    ] = "",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what libraries say, too.")
    ] = False,
) -> None:
    """
    Run a Big Peer: it takes every change of every Small Peer of one app.

    It shows a live page, answers the HTTP API and prints where they are. Links prove
    nothing about who is there yet: think before you listen beyond this computer.

    Example: `edge-peer big --mqtt mqtt://localhost`
    """
    if context.invoked_subcommand is not None:
        return
    from edge_peer.bigpeer.settings import Settings
    from edge_peer.bigpeer.tls import Files
    from edge_tools import services

    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key belong together")
    settings = Settings(
        data, app_id.lower(), host, port, sync_port,
        mqtt=_broker(mqtt, mqtt_ca) if mqtt else None, store=store,
        tls=Files(tls_cert, tls_key) if tls_cert and tls_key else None,
        trusted_proxies=tuple(trusted_proxy or ()),
    )  # fmt: skip
    services.run_big(settings, verbose)


@key.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who or what it is for.")],
    permissions: Annotated[
        str,
        typer.Option(
            help='JSON, or @FILE with it: {"read": {"everything": true}, "write": '
            '{"queriesByCollection": {"readings": ["site == \'A\'"]}}}.'
        ),
    ] = "",
    administrator: Annotated[
        bool, typer.Option("--administrator", help="It may do everything, and manage keys.")
    ] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="When it expires; else it stays.")
    ] = None,
    data: Data = DATA,
) -> None:
    """
    Make an API key and print it: nobody can tell it again.

    Example: `edge-peer big key create dashboard --days 90 --permissions @dashboard.json`
    """
    from edge_tools import keys

    if bool(permissions) == administrator:
        raise typer.BadParameter("give either --permissions or --administrator")
    typer.echo(keys.create(data, name, permissions or None, days))


@key.command("list")
def list_keys(
    data: Data = DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say which API keys there are; their texts are nowhere."""
    from edge_tools import keys

    found = keys.found(data)
    if as_json:
        typer.echo(json.dumps({"keys": found}))
    else:
        keys.show(found)


@key.command("revoke")
def revoke_key(
    id: Annotated[str, typer.Argument(help="As in `edge-peer big key list`.")], data: Data = DATA
) -> None:
    """End a key now."""
    from edge_tools import keys

    keys.revoke(data, id)


@person.command("set")
def set_person(
    name: Annotated[str, typer.Argument(help="Whom the page will know by it.")],
    password: Annotated[
        str,
        typer.Option(
            envvar="EDGE_PEER_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            help="Asked for if it is not given.",
        ),
    ],
    data: Data = DATA,
) -> None:
    """
    Let somebody sign in, or give them a new password, which ends their sessions.

    Example: `edge-peer big person set ada`
    """
    from edge_tools import people

    people.set_up(data, name, password)


@person.command("remove")
def remove_person(
    name: Annotated[str, typer.Argument(help="Who may not sign in any more.")], data: Data = DATA
) -> None:
    """End somebody's sessions and forget them."""
    from edge_tools import people

    people.remove(data, name)


@app.command("backup")
def make_backup(
    name: Annotated[str, typer.Argument(help="What the copy is called.")],
    data: Data = DATA,
    url: Annotated[
        str, typer.Option(help="Where a Big Peer that runs there answers.")
    ] = "http://127.0.0.1:8080",
) -> None:
    """
    Copy everything into DATA/backups/NAME, while the Big Peer runs, or without it.

    The copy is a data folder: keep it as you keep the original, it opens everything.

    Example: `edge-peer big backup 2027-01-31`
    """
    from edge_tools import backups

    backups.make(data, name, url)


@app.command("export")
def export_documents(
    collection: Annotated[str, typer.Argument(help="Whose documents.")],
    path: Annotated[Path, typer.Argument(help="FILE.csv, FILE.parquet or FILE.jsonl.")],
    where: Annotated[str, typer.Option(help="A condition, as behind WHERE.")] = "",
    data: Data = DATA,
    url: Annotated[str, typer.Option(help="Where the Big Peer answers.")] = "http://127.0.0.1:8080",
    key: Annotated[
        str, typer.Option(envvar="EDGE_PEER_KEY", help="An API key; else that of --data.")
    ] = "",
) -> None:
    """
    Write a collection of a Big Peer that runs into a file: CSV, Parquet or lines of JSON.

    Example: `edge-peer big export readings warm.parquet --where "temp > 30"`
    """
    from edge_tools import exports

    exports.export(collection, path, where, url, exports.key_of(key, data))


@app.command("move")
def move_documents(
    store: Annotated[str, typer.Argument(envvar="EDGE_PEER_STORE", help="postgresql://…")],
    data: Data = DATA,
) -> None:
    """
    Take all apps from SQLite to PostgreSQL, once; the Big Peer must not run.

    Keys, people and webhooks go, too; the files stay, with .moved behind their names.

    Example: `edge-peer big move postgresql://db1,db2/edge`
    """
    from edge_tools import backups

    backups.move(data, store)


@app.command("distribute")
def distribute_documents(
    store: Annotated[str, typer.Argument(envvar="EDGE_PEER_STORE", help="postgresql://…")],
) -> None:
    """
    Spread the documents of all apps over the servers of a Citus cluster; again for new apps.

    On plain PostgreSQL the same tables stay on one node, and it says so.

    Example: `edge-peer big distribute postgresql://coordinator/edge`
    """
    from edge_peer.bigpeer.distribute import distribute

    typer.echo(distribute(store))


@app.command("restore")
def restore_backup(
    backup: Annotated[Path, typer.Argument(help="A folder that `backup` has made.")],
    data: Data = DATA,
) -> None:
    """
    Copy a backup to where a Big Peer shall start with it; nothing may be there.

    Devices send again what they still have of what came after the backup.

    Example: `edge-peer big restore old/backups/2027-01-31 --data bigpeer-data`
    """
    from edge_peer.bigpeer import backup as backups

    backups.restore(backup, data)
    typer.echo(f"{data}: start it with `edge-peer big --data {data}`")


def _broker(url: str, ca: Path | None) -> dict[str, Any]:
    """Return what edge_peer/host/mqtt.py wants to know of mqtt[s]://[user:password@]host[:port]."""
    parts = urlsplit(url)
    try:
        port = parts.port or MQTT_PORTS.get(parts.scheme)
    except ValueError as error:
        raise typer.BadParameter(f"{error} in {parts.hostname}", param_hint="--mqtt") from error
    if port is None or not parts.hostname or parts.path not in ("", "/"):
        text = "write it as mqtt://host:port, or mqtts:// for TLS"
        raise typer.BadParameter(text, param_hint="--mqtt")
    broker: dict[str, Any] = {"host": parts.hostname, "port": port}
    if parts.username:
        broker |= {"user": unquote(parts.username), "password": unquote(parts.password or "")}
    if parts.scheme == "mqtts":
        broker["tls"] = True if ca is None else {"ca": str(ca)}
    return broker
