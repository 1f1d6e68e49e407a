"""
What a Big Peer is started with, and what it keeps beside its store.

    DATA/big.json     appID and device id, made at the first start
    DATA/doors.db     who may come in (vault.py)
    DATA/api-key      an administrator's key, mode 0600, for who runs the Big Peer; made at the
                      first start, and taken in from what a Big Peer of before has left. It may
                      be deleted: the key itself stays valid until it is revoked.
    DATA/store.db     the documents (host/storage.py)
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_peer.bigpeer.keys import Keys
from edge_peer.bigpeer.vault import Vault
from edge_peer.config import Config
from edge_peer.core.errors import ConfigError
from edge_peer.host import system

KEY_FILE = "api-key"
DOORS_FILE = "doors.db"
HTTP_PORT = 8080
SYNC_PORT = 7700
STORE_QUOTA_BYTES = 64 << 30
STORE_DOCUMENTS_MAX = 100_000_000
ATTACHMENTS_QUOTA_BYTES = 64 << 30


@dataclass(frozen=True)
class Settings:
    """Loopback by default: links carry no proof of who is there yet."""

    data: Path
    app_id: str = ""  # 32 hex digits; empty: the one in big.json, or a new one
    host: str = "127.0.0.1"
    http_port: int = HTTP_PORT
    sync_port: int = SYNC_PORT
    mqtt: dict[str, Any] | None = None  # as in edge_peer/host/mqtt.py


def load(settings: Settings) -> Config:
    """Return the Big Peer's configuration, made where it is missing.

    Raises ConfigError when the data folder belongs to another app or cannot be used.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        return Config(_fields(settings))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot use {settings.data}: {error}") from error


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


def _fields(settings: Settings) -> dict[str, Any]:
    path = settings.data / "big.json"
    if path.exists():
        try:
            fields: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON: {error}") from error
        if settings.app_id and fields.get("app_id") != settings.app_id:
            raise ConfigError(f"{settings.data} belongs to app {fields.get('app_id')}")
    else:
        fields = {
            "app_id": settings.app_id or secrets.token_hex(16),
            "device": {"id": secrets.token_hex(16), "name": "big peer"},
        }
    fields["storage"] = {
        "path": str(settings.data / "store.db"),
        "quota_bytes": STORE_QUOTA_BYTES,
        "documents_max": STORE_DOCUMENTS_MAX,
        "attachments": {"quota_bytes": ATTACHMENTS_QUOTA_BYTES},
    }
    fields["links"] = []
    Config(fields)  # refuse a wrong appID before it is written
    if not path.exists():
        kept = {name: fields[name] for name in ("app_id", "device")}
        _write(path, json.dumps(kept, indent=2) + "\n")
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
