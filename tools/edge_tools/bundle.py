"""
A bundle: all that one board gets, and whether it fits.

    NAME.bundle/                 mode 0700: the identity is in it
        bundle.json              what it is for, and the SHA-256 of each file
        files/                   what the board's file system will have
            boot.py main.py      flash/
            board.json edge.json identity.json identity.keys/table wifi.json
            a/                   the first of two slots for code (flash/boot.py)
                app.mpy          the application and what lies beside it
                running.mpy edge_peer/…  only what its links need; nothing if the
                                 firmware has it
        files.uf2                the same as an image, for a board with nothing on it yet
        files.bin partitions.bin an ESP32's

The same input gives the same bytes. A bundle is made whole, then renamed into its place.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from edge_peer.config import LINK_KINDS
from edge_peer.core.errors import ConfigError
from edge_peer.host.crypto import comb_table
from edge_peer.security.identity import Identity, to_text
from edge_tools import fit, image
from edge_tools.boards import Board
from edge_tools.errors import ToolError
from edge_tools.manifest import flashed_files, option_defaults
from edge_tools.mpy import CompileError, compile_mpy
from edge_tools.places import FLASHED, MANIFEST, ROOT

FORMAT = 1
SUFFIX = ".bundle"
INDEX = "bundle.json"
SLOT = "a"
BESIDE = ("running.py", "sleeping.py", "updating.py")
IDENTITY = "identity.json"
TABLE = "identity.keys/table"  # with it a board checks a certificate in half the time
IDENTITY_BYTES_MAX = 1024


@dataclass(frozen=True)
class Plan:
    """What goes onto one board, beside its identity."""

    name: str  # the device's
    board: Board
    config: dict[str, Any]  # edge.json
    application: Path | None  # app.py, or a folder that has one
    code: str = fit.IN_RAM
    wifi: dict[str, str] = field(default_factory=dict)  # ssid, password; empty: none

    @property
    def links(self) -> list[str]:
        return [link["kind"] for link in self.config["links"]]


class DoesNotFit(ToolError):
    """The table that says so was printed."""


def make(plan: Plan, identity: Identity, folder: Path) -> None:
    """Write a bundle, in place of one that is there. Raises ConfigError, DoesNotFit, OSError."""
    contents = files(plan) | {
        IDENTITY: to_text(identity).encode(),
        TABLE: comb_table(identity.authority),
    }
    images = image.images(plan.board, contents)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    for path, content in contents.items():
        _write(part / "files" / path, content)
    for one in images:
        _write(part / one.name, one.data)
    _write(part / INDEX, index(plan, identity, contents, images))
    for inner in part.rglob("*/"):
        inner.chmod(0o700)
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(part, folder)


def files(plan: Plan) -> dict[str, bytes]:
    """Return what the board's file system gets but the identity, path -> contents.

    Raises ConfigError, and DoesNotFit after showing what takes how much.
    """
    check(plan)
    about: dict[str, Any] = {
        "name": plan.board.name,
        "updates": "attachments" in plan.config["storage"],
    }
    about |= {
        name: plan.board.pins[name] for name in ("safe_mode", "led") if name in plan.board.pins
    }
    found = {
        "boot.py": (FLASHED / "boot.py").read_bytes(),
        "main.py": (FLASHED / "main.py").read_bytes(),
        "board.json": _json(about),
        "edge.json": _json(plan.config),
    }
    if plan.wifi:
        found["wifi.json"] = _json(plan.wifi)
    found |= application(plan)
    if plan.code == fit.IN_RAM:
        found |= runtime(plan.board, plan.links)
    check_fit(plan, found)
    return found


def runtime(board: Board, links: list[str]) -> dict[str, bytes]:
    """Return edge-peer itself, with the code of these links and of no others."""
    wanted = {kind: kind in links for kind in option_defaults(MANIFEST) if kind in LINK_KINDS}
    names = {path.relative_to(ROOT): path for path in flashed_files(MANIFEST, **wanted)}
    names |= {Path(name): FLASHED / name for name in BESIDE}
    return {
        f"{SLOT}/{name.with_suffix('.mpy').as_posix()}": compile_mpy(
            path.read_text(), name.as_posix(), board.processor
        )
        for name, path in names.items()
    }


def application(plan: Plan) -> dict[str, bytes]:
    """Return app.py and its neighbours: Python compiled into the slot, data as it is.

    Raises ConfigError.
    """
    path = plan.application
    if path is None:
        return {}
    folder = path if path.is_dir() else path.parent
    sources = sorted(folder.rglob("*")) if path.is_dir() else [path]
    if not (folder / "app.py" in sources or path.is_file()):
        raise ConfigError(f"{path} has no app.py with `async def main(peer)`")
    found = {}
    for source in sources:
        name = source.relative_to(folder)
        if not source.is_file() or any(part.startswith((".", "__")) for part in name.parts):
            continue
        if source.suffix == ".py":
            name = Path("app.py") if source == path else name
            target = f"{SLOT}/{name.with_suffix('.mpy').as_posix()}"
            try:
                found[target] = compile_mpy(
                    source.read_text(), name.as_posix(), plan.board.processor
                )
            except (CompileError, SyntaxError) as error:
                raise ConfigError(f"{source}: {error}") from error
        else:
            found[name.as_posix()] = source.read_bytes()
    return found


def check(plan: Plan) -> None:
    """Raise ConfigError for links that the board does not have, or this version cannot."""
    if not plan.board.is_flashed:
        raise ConfigError(f"{plan.board.name} has no flash to fill")
    known = option_defaults(MANIFEST)
    for kind in plan.links:
        if kind not in plan.board.transports:
            has = ", ".join(plan.board.transports)
            raise ConfigError(f"{plan.board.name} has no {kind}; its links: {has}")
        if kind not in known:
            raise ConfigError(f"{kind} is not there yet on boards; there is {', '.join(known)}")


def check_fit(plan: Plan, contents: dict[str, bytes]) -> None:
    memories = [
        fit.flash(
            plan.board,
            contents | {IDENTITY: bytes(IDENTITY_BYTES_MAX)},
            plan.config["storage"].get("blocks", 0),
        ),
        fit.heap(plan.board, plan.links, plan.code),
    ]
    if all(memory.free >= 0 for memory in memories):
        return
    title = f"{plan.name} does not fit {plan.board.name}"
    Console(stderr=True).print(fit.table(memories, title))
    remedy = "take a smaller log (--blocks) or application"
    if memories[1].free < 0 and plan.code == fit.IN_RAM:
        remedy = "let the code run in place: --code firmware (boards/README.md)"
    raise DoesNotFit(f"{title}; {remedy}")


def index(
    plan: Plan, identity: Identity, contents: dict[str, bytes], images: list[image.Image]
) -> bytes:
    """Return bundle.json."""
    certificate = identity.certificate
    return _json(
        {
            "format": FORMAT,
            "edge_peer": version("edge-peer"),
            "board": plan.board.name,
            "app_id": identity.app_id.hex(),
            "device": certificate.name,
            "serial": certificate.serial,
            "code": plan.code,
            "firmware_min": plan.board.firmware_min,
            "images": {one.name: one.start for one in images},
            "files": {
                path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for path, data in sorted(contents.items())
            },
        }
    )


@dataclass(frozen=True)
class Bundle:
    """One that was read: every file is there and as its index says."""

    folder: Path
    about: dict[str, Any]
    files: dict[str, bytes]


def read(folder: Path) -> Bundle:
    """Raises ConfigError if it is no bundle, or not as it was made."""
    try:
        about = json.loads((folder / INDEX).read_text())
        named: dict[str, dict[str, Any]] = about["files"]
        if about["format"] != FORMAT:
            raise ConfigError(f"{folder} is of another version; make it anew with `provision`")
        contents = {path: (folder / "files" / path).read_bytes() for path in named}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} is no bundle ({error}); `edge-peer provision` makes one"
        ) from error
    for path, data in contents.items():
        if hashlib.sha256(data).hexdigest() != named[path]["sha256"]:
            raise ConfigError(f"{folder}/files/{path} was changed; make the bundle anew")
    return Bundle(folder, about, contents)


def _json(fields: dict[str, Any]) -> bytes:
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
