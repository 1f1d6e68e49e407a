"""What `edge-peer app` and `edge-peer device` do: folders, passphrases, and what they print."""

import os
import sys
import time
from datetime import UTC, datetime
from getpass import getpass
from pathlib import Path

from edge_peer.core.errors import ConfigError
from edge_peer.guarding import LIST_FILE
from edge_peer.host import authority, permissions, private_file
from edge_peer.host.authority import SUFFIX, App
from edge_peer.host.ledger import Issued
from edge_peer.security.certificate import EPOCH_S, NEVER_S, ROLES, Certificate
from edge_peer.security.identity import to_text

PASSPHRASE_VARIABLE = "EDGE_PEER_PASSPHRASE"
IDENTITY_SUFFIX = ".identity.json"


def create_app(name: str, folder: Path, with_passphrase: bool, force: bool) -> None:
    path = folder / (name.removesuffix(SUFFIX) + SUFFIX)
    app = authority.create(path, _new_passphrase() if with_passphrase else None, force)
    app.close()
    print(f"{path}: keep it safe, and a copy of it elsewhere: who has it, has the app.")
    print(f"appID {app.app_id.hex()}")


def show_app(folder: Path | None) -> None:
    app = _open(folder)
    issued = app.ledger.all()
    revoked = sum(one.revoked_s is not None for one in issued)
    print(f"app       {app.name}")
    print(f"appID     {app.app_id.hex()}")
    print(f"authority {app.public.hex()}{', locked by a passphrase' if app.is_locked else ''}")
    print(f"issued    {len(issued)} certificates, {revoked} of them revoked")


def create_device(
    name: str,
    folder: Path | None,
    role: str,
    rules: str,
    days: int,
    out: Path | None,
    force: bool,
    signs: bool,
) -> None:
    packed = permissions.packed(permissions.EVERYTHING)
    if rules:
        packed = permissions.from_text(text_or_file(rules))
    path = out or Path(name + IDENTITY_SUFFIX)
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already; --force replaces it")
    app = unlocked(folder)
    identity = app.admit(name, ROLES[role], packed, days, _now_s(), force, signs)
    private_file.write(path, to_text(identity), force)
    print(f"{path}: put it beside the device's edge.json as identity.json.")
    print(_line(identity.certificate))


def renew_device(name: str, folder: Path | None, days: int, rules: str) -> None:
    packed = permissions.from_text(text_or_file(rules)) if rules else None
    certificate = unlocked(folder).renew(name, days, _now_s(), packed)
    print(_line(certificate))
    print(certificate.raw.hex())


def revoke_device(name: str, folder: Path | None, below: int | None) -> None:
    app = unlocked(folder)
    raw = app.revoke_below(below, _now_s()) if below is not None else app.revoke(name, _now_s())
    path = (folder or _only_app()) / LIST_FILE
    private_file.write(path, raw.hex() + "\n", force=True)
    what = name or f"all below {below}"
    print(f"{what} is revoked, and {path} says so: a Big Peer beside the app takes it by itself;")
    print("any other peer when it starts with a copy beside its identity.json.")


def list_devices(folder: Path | None) -> None:
    now_s = _now_s()
    for one in _open(folder).ledger.all():
        print(f"{_line(one.certificate)}  {_state(one, now_s)}")


def _open(folder: Path | None) -> App:
    return App(folder or _only_app())


def _only_app() -> Path:
    """Return the one app in the current folder."""
    found = sorted(path for path in Path().glob(f"*{SUFFIX}") if path.is_dir())
    if len(found) != 1:
        what = "no app here" if not found else f"{len(found)} apps here"
        raise ConfigError(f"there is {what}: name one with --app, or make one with `app create`")
    return found[0]


def unlocked(folder: Path | None) -> App:
    app = _open(folder)
    app.unlock(_passphrase(app) if app.is_locked else None)
    return app


def _passphrase(app: App) -> str | None:
    """Take it from the environment, or ask whoever is at the screen."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None and sys.stdin.isatty():
        given = getpass(f"Passphrase of {app.name}: ")
    return given


def _new_passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None:
        if not sys.stdin.isatty():
            raise ConfigError(f"put the passphrase into {PASSPHRASE_VARIABLE}")
        given = getpass("Passphrase: ")
        if given != getpass("Once more: "):
            raise ConfigError("these are two passphrases")
    if not given:
        raise ConfigError("the passphrase is empty")
    return given


def text_or_file(rules: str) -> str:
    """Take JSON as it is, and anything else as the name of a file with JSON."""
    if rules.lstrip().startswith("{"):
        return rules
    try:
        return Path(rules).read_text()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"the permissions are neither JSON nor a file of it: {error}") from error


def _line(certificate: Certificate) -> str:
    role = {number: name for name, number in ROLES.items()}[certificate.role]
    return f"{certificate.serial:6}  {certificate.name:24}  {role:8}  {_end(certificate)}"


def _end(certificate: Certificate) -> str:
    if certificate.expiry_s == NEVER_S:
        return "never ends         "
    end = datetime.fromtimestamp(certificate.expiry_s + EPOCH_S, UTC)
    return f"until {end:%Y-%m-%d %H:%M}"


def _state(one: Issued, now_s: int) -> str:
    if one.revoked_s is not None:
        return "revoked"
    return "expired" if one.certificate.expiry_s < now_s else "valid"


def _now_s() -> int:
    return int(time.time()) - EPOCH_S
