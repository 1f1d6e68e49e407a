"""
A device from nothing: its identity from the app, then its bundle.

Many at once come from a CSV whose columns are called like the options; what a line leaves
empty is what the options say:

    name,board,permissions,days,serial,mqtt,wifi,application,code
    pump-1,RPI_PICO,rules.json,,0,,,,
    porch,RPI_PICO_W,,90,,broker.lan,home,thermometer/,firmware

All lines are checked before the first device is admitted, so a mistake in line 57 leaves
nothing behind. A device that was made before keeps its key; its bundle is made anew.
"""

import csv
import os
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.host import permissions, private_file
from edge_peer.host.authority import App as LocalApp
from edge_peer.security.certificate import EPOCH_S, ROLES
from edge_peer.security.identity import Identity, from_text, to_text
from edge_tools import authority, boards, bundle, fit, pi
from edge_tools.api import Client
from edge_tools.image import LOG_LABEL
from edge_tools.request import Request
from edge_tools.through import RemoteApp

App = LocalApp | RemoteApp  # where the authority lies

DEVICES_MAX = 10_000  # lines of a CSV
LINUX = "linux"  # the port of boards that are computers
PINNED_FOLDER = "/edge_log"
SYNC_PORT = 7700
MQTT_PORT = 1883
UPDATE_BYTES_MAX = 40_000  # of the store, for an application on its way
UPDATE_SHARE = 6
WIFI_VARIABLE = "EDGE_PEER_WIFI_PASSWORD"  # not an option: others see those
NAME_BYTES_MAX = 24  # of a certificate


CODE = {"files": fit.IN_RAM, "firmware": fit.IN_PLACE}


def from_csv(path: Path, defaults: Request) -> Iterator[tuple[str, Request]]:
    """Yield what each line asks for, labelled with its place. Raises ConfigError."""
    names = [one.name for one in fields(Request)]
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restkey="", restval="")
            unknown = set(rows.fieldnames or []) - set(names)
            if unknown or "name" not in (rows.fieldnames or []):
                wrong = f"has the column {sorted(unknown)[0]!r}" if unknown else "lacks a name"
                raise ConfigError(f"{path}: the first line {wrong}; known are {', '.join(names)}")
            for row in rows:
                if row.get(""):
                    raise ConfigError(f"{path}, line {rows.line_num}: it has too many columns")
                given = {name: value.strip() for name, value in row.items() if value.strip()}
                yield f"{path}, line {rows.line_num}: ", replace(defaults, **given)
                if rows.line_num > DEVICES_MAX:
                    raise ConfigError(f"{path} has more than {DEVICES_MAX} lines: split it")
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def check_all(requests: list[tuple[str, Request]], app: App, out: Path, force: bool) -> None:
    """Raise for the first that could not be carried out, before any is; each has a label.

    Raises ConfigError, DoesNotFit.
    """
    seen: dict[str, str] = {}
    for label, request in requests:
        try:
            check(request, app, out, force)
            if request.name in seen:
                raise ConfigError(f"{request.name} is in {seen[request.name]} already")
        except EdgeError as error:
            raise ConfigError(f"{label}{error}; nothing was made") from error
        except bundle.DoesNotFit as error:
            raise bundle.DoesNotFit(f"{label}{error}; nothing was made") from error
        seen[request.name] = label.rstrip(": ")


def check(request: Request, app: App, out: Path, force: bool) -> None:
    """Raise ConfigError or DoesNotFit for what would fail once the device is admitted."""
    if not 0 < len(request.name.encode()) <= NAME_BYTES_MAX or "/" in request.name:
        raise ConfigError(f"a name has 1 to {NAME_BYTES_MAX} bytes and no slash")
    if request.role not in ROLES:
        raise ConfigError(f"a role is one of {', '.join(ROLES)}, not {request.role!r}")
    if not request.days.isdigit():
        raise ConfigError(f"days is a number, not {request.days!r}")
    if request.code not in CODE:
        raise ConfigError(f"code is one of {', '.join(CODE)}, not {request.code!r}")
    rules(request)
    plan = plan_of(request)
    if not plan.links:
        raise ConfigError("it has no link: say --serial, --ble, --lan or --mqtt")
    if plan.board.port == LINUX and request.application:
        raise ConfigError(f"{plan.board.name} runs a gateway: an application opens its own peer")
    if plan.board.port != LINUX:
        bundle.files(plan)
    if app.ledger.named(request.name) and not force and not _identity_file(out, request).exists():
        raise ConfigError(
            f"{app.name} has a device {request.name}, and {_identity_file(out, request)} is not "
            "here; --force makes its key anew and revokes the one before"
        )


def plan_of(request: Request) -> bundle.Plan:
    """Raises ConfigError."""
    board = boards.find(request.board)
    application = Path(request.application) if request.application else None
    if application is not None and not application.exists():
        raise ConfigError(f"there is no {application}")
    return bundle.Plan(
        request.name,
        board,
        edge_json(request, board),
        application,
        CODE[request.code],
        wifi(request, board),
    )


def _identity_file(out: Path, request: Request) -> Path:
    return out / f"{request.name}{authority.IDENTITY_SUFFIX}"


def rules(request: Request) -> bytes:
    if not request.permissions:
        return permissions.packed(permissions.EVERYTHING)
    return permissions.from_text(authority.text_or_file(request.permissions))


def edge_json(request: Request, board: boards.Board) -> dict[str, Any]:
    """Return the configuration of a device. Raises ConfigError."""
    links = _links(request, board)
    config = {"identity": "identity.json", "storage": _storage(request, board), "links": links}
    return config | ({"relay": True} if request.role == "relay" else {})


def _storage(request: Request, board: boards.Board) -> dict[str, Any]:
    storage: dict[str, Any] = {}
    if "documents_max" in board.limits:
        storage["documents_max"] = board.limits["documents_max"]
    if board.flash is None:
        return storage | {"path": "edge.db", "quota_bytes": board.limits.get("quota_bytes")}
    if board.flash.log_bytes:
        return storage | {"partition": LOG_LABEL}
    blocks = request.blocks or str(board.limits["log_block_count"])
    if not blocks.isdigit() or not int(blocks):
        raise ConfigError(f"blocks is a number, not {blocks!r}")
    storage |= {"pinned": PINNED_FOLDER, "blocks": int(blocks)}
    if request.code == "firmware":  # then new code is small enough to come over the mesh
        share = min(UPDATE_BYTES_MAX, int(blocks) * boards.BLOCK_BYTES // UPDATE_SHARE)
        storage["attachments"] = {"quota_bytes": share}
    return storage


def _links(request: Request, board: boards.Board) -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = []
    if request.serial:
        links.append(_serial(request.serial, board))
    for kind, where, port in (("lan", request.lan, SYNC_PORT), ("mqtt", request.mqtt, MQTT_PORT)):
        if where:
            host, _, given = where.partition(":")
            if not host or (given and not given.isdigit()):
                raise ConfigError(f"{kind} is HOST or HOST:PORT, not {where!r}")
            links.append({"kind": kind, "host": host, "port": int(given or port)})
    if request.ble not in ("", "yes", "no"):
        raise ConfigError(f"ble is yes or no, not {request.ble!r}")
    if request.ble == "yes":
        links.append({"kind": "ble", "role": "peripheral"})
    return links


def wifi(request: Request, board: boards.Board) -> dict[str, str]:
    """Return what wifi.json is to say, nothing without a network. Raises ConfigError."""
    if not request.wifi:
        return {}
    if "mqtt" not in board.transports or not board.is_flashed:
        raise ConfigError(f"{board.name} has no Wi-Fi of ours: leave --wifi out")
    password = os.environ.get(WIFI_VARIABLE)
    if password is None:
        raise ConfigError(f"put the password of {request.wifi} into {WIFI_VARIABLE}")
    return {"ssid": request.wifi, "password": password}


def _serial(where: str, board: boards.Board) -> dict[str, Any]:
    if not board.is_flashed:
        return {"kind": "serial", "port": where}
    if not where.isdigit():
        raise ConfigError(f"serial is the number of a UART, not {where!r}")
    link: dict[str, Any] = {"kind": "serial", "uart": int(where)}
    if link["uart"] == board.pins.get("uart"):
        link |= {"tx": board.pins["tx"], "rx": board.pins["rx"]}
    return link


def app_of(folder: Path | None, through: str, key: str) -> App:
    """Return the app: at a Big Peer if there is a URL, else in a folder. Raises ConfigError."""
    if not through:
        return authority.unlocked(folder)
    if not key:
        raise ConfigError("--through needs an administrator's key: put it into EDGE_PEER_KEY")
    passphrase = os.environ.get(authority.PASSPHRASE_VARIABLE)
    return RemoteApp(Client(through.rstrip("/"), key), passphrase)


def run(
    requests: list[tuple[str, Request]], app: App, out: Path, force: bool, wheel: Path | None = None
) -> list[Identity]:
    """Make all devices, with a progress bar for many; return their identities.

    The app is closed at the end.

    Each has a label, such as the line it was in, for what is to be said of it. A key is kept
    in its file before it is in a bundle: what fails after that goes on with the same one.
    Raises ConfigError, DoesNotFit, OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    check_all(requests, app, out, force)
    made = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=len(requests) < 2) as progress:
        for _, request in progress.track(requests, description="Provisioning"):
            identity = admit(request, app, out, force)
            made.append(identity)
            _make(plan_of(request), identity, out / f"{request.name}{bundle.SUFFIX}", wheel)
    app.close()
    return made


def _make(plan: bundle.Plan, identity: Identity, folder: Path, wheel: Path | None) -> None:
    if plan.board.port == LINUX:
        pi.make(folder, identity, plan.config, plan.name, wheel)
        print(f"{folder}: `edge-peer deploy USER@HOST {folder}`, or --boot for a new card.")
    else:
        bundle.make(plan, identity, folder)
        print(f"{folder}: for one {plan.board.name}; `edge-peer flash {folder}` writes it.")


def admit(request: Request, app: App, out: Path, force: bool) -> Identity:
    """Return the identity that is there, or make one."""
    path = _identity_file(out, request)
    if path.exists() and not force:
        return from_text(path.read_text())
    now_s = int(time.time()) - EPOCH_S
    role, days = ROLES[request.role], int(request.days)
    made = app.admit(request.name, role, rules(request), days, now_s, force)
    private_file.write(path, to_text(made), force)
    return made
