"""`edge-peer big key …`: API keys, from the data folder of a Big Peer."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_peer.bigpeer import settings
from edge_peer.bigpeer.keys import Keys
from edge_peer.bigpeer.keys_http import map_of
from edge_peer.bigpeer.permissions import Permissions
from edge_peer.bigpeer.settings import DOORS_FILE, IDENTITY_FILE, open_keys
from edge_peer.bigpeer.side_file import opened
from edge_peer.bigpeer.vault import Vault
from edge_peer.core.errors import ConfigError
from edge_tools.errors import ToolError

DAY_MS = 86_400_000


def create(data: Path, name: str, permissions: str | None, days: int | None) -> str:
    """Return the key's text. permissions: JSON, @FILE, or None for an administrator."""
    expires_ms = None if days is None else time.time_ns() // 1_000_000 + days * DAY_MS
    with _opened(data) as keys:
        try:
            allowed = None if permissions is None else Permissions(_json(permissions))
            return keys.create(name, allowed, expires_ms)[1]
        except ValueError as error:
            raise ConfigError(str(error)) from error


def found(data: Path) -> list[dict[str, Any]]:
    with _opened(data) as keys:
        return [map_of(key) for key in keys.all()]


def revoke(data: Path, id: str) -> None:
    with _opened(data) as keys:
        if not keys.revoke(id):
            raise ToolError(f"there is no key {id}; `edge-peer big key list` shows them")


def show(found: list[dict[str, Any]]) -> None:
    table = Table("id", "name", "may", "expires", "last used")
    for key in found:
        may = "everything" if key["administrator"] else json.dumps(key["permissions"])
        used = key["lastUsedAt"] or "never"
        table.add_row(key["id"], escape(key["name"]), escape(may), key["expiresAt"] or "–", used)
    Console().print(table)


@contextmanager
def _opened(data: Path) -> Iterator[Keys]:
    with opened_vault(data) as vault:
        yield open_keys(data, vault)


@contextmanager
def opened_vault(data: Path) -> Iterator[Vault]:
    """Raises ToolError for a folder in which no Big Peer has been started."""
    if not (data / IDENTITY_FILE).exists():
        raise ToolError(f"{data} is no Big Peer's; start one there first, or say --data")
    with settings.shared_base(data) as base:
        vault = opened(Vault, data / DOORS_FILE, base)
        try:
            yield vault
        finally:
            vault.close()


def _json(text: str) -> Any:
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the permissions cannot be read: {error}") from error
