"""
The commands `edge-peer app …` and `edge-peer device …`. This file only parses.
"""

from pathlib import Path
from typing import Annotated

import typer

from edge_peer.security.certificate import ROLES

DAYS = 365

apps = typer.Typer(
    help="Make an app and look at it: its appID, and the key that admits devices.",
    no_args_is_help=True,
)
devices = typer.Typer(
    help="Admit devices to an app, say what each may do, and throw them out.", no_args_is_help=True
)

_App = Annotated[
    Path | None,
    typer.Option("--app", metavar="FOLDER", help="The app, NAME.app; else the only one here."),
]
_Days = Annotated[int, typer.Option(min=0, help="How long its certificate is valid; 0: for ever.")]


@apps.command("create")
def app_create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    folder: Annotated[Path, typer.Option("--in", help="Where to make the folder.")] = Path(),
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Lock its key; asks, or EDGE_PEER_PASSPHRASE.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Move an app of this name aside; it stays, renamed.")
    ] = False,
) -> None:
    """
    Make an app: a key of its own, and the appID that follows from it.

    It needs no server and no account. The folder NAME.app holds the authority's private
    key and what it has issued; only you can read it. Peers get their identity from it and
    never need it again, so it can lie on a computer that is off.

    Example: `edge-peer app create factory`
    """
    from edge_tools import authority

    authority.create_app(name, folder, passphrase, force)


@apps.command("show")
def app_show(app: _App = None) -> None:
    """
    Say an app's appID, its public key, and how many certificates it has issued.

    Example: `edge-peer app show --app factory.app`
    """
    from edge_tools import authority

    authority.show_app(app)


@devices.command("create")
def device_create(
    name: Annotated[str, typer.Argument(help="The device's, at most 24 bytes.")],
    app: _App = None,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help=f"What it is: {', '.join(ROLES)}.")
    ] = "device",
    permissions: Annotated[
        str, typer.Option(metavar="FILE|JSON", help="What it may read and write; else everything.")
    ] = "",
    days: _Days = DAYS,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file; else NAME.identity.json.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a device of this name, and revoke it.")
    ] = False,
    signs: Annotated[
        bool, typer.Option("--signs", help="It signs what it sends through relays.")
    ] = False,
) -> None:
    """
    Admit a device: make its key and the certificate that says what it is and may do.

    Both are in one file that only you can read; on the device it lies beside edge.json,
    as identity.json. Permissions are at most 64 bytes in the certificate, in JSON:

    `{"read": {"everything": true},
    "write": {"queriesByCollection": {"readings": ["site == 'A'", "device == :name"]}}}`

    A condition is what stands behind WHERE in DQL, on any fields; :name is the device's.

    With --signs no relay can write in its name, and what it sends through one, alone,
    takes it a signature: 0.3 s and 64 bytes for up to 32 documents on a Pico.

    Example: `edge-peer device create pump --permissions rules.json --days 90`
    """
    from edge_tools import authority

    if role not in ROLES:
        raise typer.BadParameter(f"it is one of {', '.join(ROLES)}", param_hint="--role")
    authority.create_device(name, app, role, permissions, days, out, force, signs)


@devices.command("renew")
def device_renew(
    name: Annotated[str, typer.Argument(help="A device that was admitted.")],
    app: _App = None,
    days: _Days = DAYS,
    permissions: Annotated[
        str, typer.Option(metavar="FILE|JSON", help="What it may from now on; else what it might.")
    ] = "",
) -> None:
    """
    Issue a device's certificate anew, for the same key; the one before stays valid.

    It prints the certificate in hexadecimal, which is no secret: it takes the place of
    `certificate` in the device's identity.json. Peers that know it go by its permissions,
    also where the device still shows the one before.

    Example: `edge-peer device renew pump --days 365`
    """
    from edge_tools import authority

    authority.renew_device(name, app, days, permissions)


@devices.command("revoke")
def device_revoke(
    name: Annotated[str, typer.Argument(help="A device that was admitted.")] = "",
    app: _App = None,
    below: Annotated[
        int | None,
        typer.Option(min=1, metavar="SERIAL", help="Instead: all that are older than this."),
    ] = None,
) -> None:
    """
    Void all certificates of a device, wherever it is and whoever has it.

    The list has room for some hundred that have not ended. To make it short again, renew
    what is to stay, and void what is older: --below does not name them one by one.

    It writes the signed list of all that are revoked, FOLDER/revoked.hex. What the
    device has written before stays.

    Example: `edge-peer device revoke pump`
    """
    from edge_tools import authority

    if bool(name) == (below is not None):
        raise typer.BadParameter("name a device, or say --below", param_hint="name")
    authority.revoke_device(name, app, below)


@devices.command("list")
def device_list(app: _App = None) -> None:
    """
    List what was issued: serial, name, role, end, and whether it is valid.

    Example: `edge-peer device list`
    """
    from edge_tools import authority

    authority.list_devices(app)
