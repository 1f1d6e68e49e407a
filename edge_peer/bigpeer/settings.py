"""
What a Big Peer is started with, and what it keeps beside its store.

    DATA/identity.json    who it is (security/identity.py), mode 0600, and DATA/identity.keys/
    DATA/big.app/     the app's authority (host/authority.py), if it was made here: at the first
                      start, where nobody has put an identity.json of an app
    DATA/big.json     what the operator says once for all, if anything:
                      "tls": {"cert": FILE, "key": FILE}, "trusted_proxies": [ADDRESS, …],
                      "store": "postgresql://…" and "mqtt": {…} (host/mqtt.py), for what is
                      not said when it is started.
                      Relative paths are relative to DATA.
    DATA/doors.db     who may come in (vault.py)
    DATA/api-key      an administrator's key, mode 0600, for who runs the Big Peer; made at the
                      first start, and taken in from what a Big Peer of before has left. It may
                      be deleted: the key itself stays valid until it is revoked.
    DATA/webhooks.db  webhooks with their secrets, and how far they are (webhooks.py)
    DATA/sightings.db who was linked when (sightings.py)
    DATA/store.db     the documents (host/storage.py), unless they are in PostgreSQL
                      (postgres.py): then store.db.postgresql says so
    DATA/backups/     copies of all this (backup.py)
    DATA/apps/APPID/  all of this but big.json, for each app that was made over HTTP (tenant.py)
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_peer.bigpeer.keys import Keys
from edge_peer.bigpeer.tls import Files
from edge_peer.bigpeer.vault import Vault
from edge_peer.config import Config
from edge_peer.core.errors import ConfigError
from edge_peer.host import authority, permissions, private_file, system
from edge_peer.host.keys import read_secret
from edge_peer.security import certificate, identity

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database

KEY_FILE = "api-key"
IDENTITY_FILE = "identity.json"
APP_FOLDER = "big.app"
BIG_NAME = "big peer"
DOORS_FILE = "doors.db"
WEBHOOKS_FILE = "webhooks.db"
SIGHTINGS_FILE = "sightings.db"
STORE_FILE = "store.db"
ELSEWHERE_FILE = STORE_FILE + ".postgresql"  # is there where the documents are not
ELSEWHERE_TEXT = "The documents of this app are in PostgreSQL (--store).\n"
APPS_FOLDER = "apps"
HTTP_PORT = 8080
SYNC_PORT = 7700
STORE_QUOTA_BYTES = 64 << 30
STORE_DOCUMENTS_MAX = 100_000_000
ATTACHMENTS_QUOTA_BYTES = 64 << 30


@dataclass(frozen=True)
class Settings:
    """Loopback by default, until the HTTP API and the portal have TLS."""

    data: Path
    app_id: str = ""  # 32 hex digits, which the identity must be of; empty: of any, or a new app
    host: str = "127.0.0.1"
    http_port: int = HTTP_PORT
    sync_port: int = SYNC_PORT
    mqtt: dict[str, Any] | None = field(default=None, repr=False)  # as in edge_peer/host/mqtt.py
    tls: Files | None = None
    store: str = field(default="", repr=False)  # a URL of PostgreSQL; else SQLite, in the folder
    trusted_proxies: tuple[str, ...] = ()  # addresses, and networks such as 10.0.0.0/8


def load(folder: Path, app_id: str = "", database: str = "") -> Config:
    """Return the configuration of the app in a folder, made where it is missing.

    database: the URL of PostgreSQL, if the documents are there.

    Raises ConfigError when the folder belongs to another app or cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Config(_fields(folder, app_id, database))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot use {folder}: {error}") from error


def storage_of(place: dict[str, str]) -> dict[str, Any]:
    """Return how an app's documents are kept there: {"path"}, or {"url", "schema"}."""
    return {
        **place,
        "quota_bytes": STORE_QUOTA_BYTES,
        "documents_max": STORE_DOCUMENTS_MAX,
        "attachments": {"quota_bytes": ATTACHMENTS_QUOTA_BYTES},
    }


def found_app(folder: Path, name: str, passphrase: str | None = None) -> None:
    """Make a new app, whose authority lies in this folder, and this Big Peer its first member."""
    path = folder / APP_FOLDER
    app = authority.App(path) if path.exists() else authority.create(path, passphrase, name=name)
    app.unlock(passphrase)
    everything = permissions.packed(permissions.EVERYTHING)
    now_s = system.wall_ms() // 1000 - certificate.EPOCH_S
    made = app.admit(BIG_NAME, certificate.BIG_PEER, everything, 0, now_s, replaces=True)
    app.close()
    private_file.write(folder / IDENTITY_FILE, identity.to_text(made))


def completed(settings: Settings) -> Settings:
    """Return the settings with what big.json says of those that are not given.

    Raises ConfigError for what is wrong with them.
    """
    path = settings.data / "big.json"
    fields = _read(path) if path.exists() else {}
    tls, proxies, mqtt = (fields.get(name) for name in ("tls", "trusted_proxies", "mqtt"))
    if settings.tls is None and tls is not None:
        names = [tls.get(name) for name in ("cert", "key")] if isinstance(tls, dict) else [None]
        if not all(isinstance(name, str) for name in names):
            raise ConfigError(f'{path}: "tls" needs "cert" and "key", the names of files')
        settings = replace(settings, tls=Files(*(settings.data / str(name) for name in names)))
    if not settings.trusted_proxies and proxies is not None:
        if not isinstance(proxies, list):
            raise ConfigError(f'{path}: "trusted_proxies" is a list of addresses')
        settings = replace(settings, trusted_proxies=tuple(str(one) for one in proxies))
    if settings.mqtt is None and mqtt is not None:
        if not isinstance(mqtt, dict):
            raise ConfigError(f'{path}: "mqtt" is an object with "host"')
        settings = replace(settings, mqtt=_with_paths(mqtt, settings.data))
    store = settings.store or fields.get("store", "")
    if not isinstance(store, str) or store and "postgres" not in store.partition("://")[0]:
        raise ConfigError("the store is a URL, postgresql://…")
    settings = replace(settings, store=store)
    for address in settings.trusted_proxies:
        try:
            ip_network(address)
        except ValueError as error:
            raise ConfigError(f"a trusted proxy is an address or a network: {error}") from error
    return settings


def _with_paths(mqtt: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return an MQTT link's settings with whole paths."""
    tls = mqtt.get("tls")
    if isinstance(tls, dict):
        whole = {name: str(folder / str(path)) for name, path in tls.items()}
        mqtt = mqtt | {"tls": whole}
    return mqtt


def open_keys(data: Path, vault: Vault) -> Keys:
    """Return the API keys; at the first start the operator's own is made.

    Raises ConfigError and StorageError.
    """
    keys, path = Keys(vault, system.wall_ms), data / KEY_FILE
    try:
        if path.exists():
            plain = path.read_text().strip()
            if not plain:
                raise ConfigError(f"{path} is empty; delete it, or put the key there")
            keys.adopt(plain, KEY_FILE)
        elif not keys.any_was_made():
            _write(path, keys.create(KEY_FILE, None)[1] + "\n")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot use {path}: {error}") from error
    return keys


@contextmanager
def shared_base(folder: Path) -> "Iterator[Database | None]":
    """Connect to what workers share beside the documents; None: it is in the folder.

    For commands: the URL is that of EDGE_PEER_STORE or big.json. Raises ConfigError, StorageError.
    """
    if not (folder / ELSEWHERE_FILE).exists():
        yield None
        return
    url = completed(Settings(folder, store=os.environ.get("EDGE_PEER_STORE", ""))).store
    if not url:
        raise ConfigError(f"what {folder} is about is in PostgreSQL: set EDGE_PEER_STORE")
    from edge_peer.bigpeer import postgres

    app_id = identity.from_text(read_secret(str(folder / IDENTITY_FILE))).app_id.hex()
    base = postgres.connected(url, schema_of(app_id))
    try:
        yield base
    finally:
        base.close()


def schema_of(app_id: str) -> str:
    return f"edge_{app_id}"


def _fields(folder: Path, wanted: str, database: str) -> dict[str, Any]:
    path, store, mark = (folder / name for name in (IDENTITY_FILE, STORE_FILE, ELSEWHERE_FILE))
    if not path.exists():
        if (
            wanted or store.exists() or mark.exists()
        ):  # a new app would take what is there away from its devices
            raise ConfigError(
                f"{path} is missing: put it back from a copy, or make one of your app with"
                " `edge-peer device create … --role big-peer`"
            )
        found_app(folder, APP_FOLDER.removesuffix(authority.SUFFIX))
    app_id = identity.from_text(read_secret(str(path))).app_id.hex()
    if wanted not in ("", app_id):
        raise ConfigError(f"{folder} belongs to app {app_id}")
    if mark.exists() and not database:
        raise ConfigError(f"the documents of {folder} are in PostgreSQL: say --store")
    if database and store.exists():
        raise ConfigError(f"the documents of {folder} are in {store.name}: `edge-peer big move`")
    if database and not mark.exists():
        private_file.write(mark, ELSEWHERE_TEXT)
    place = {"url": database, "schema": schema_of(app_id)} if database else {"path": str(store)}
    return {"identity": str(path), "storage": storage_of(place), "links": []}


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text())
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path} must be a JSON object")
    return fields


def _write(path: Path, text: str) -> None:
    """Make a file that only we can read: whole, or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
