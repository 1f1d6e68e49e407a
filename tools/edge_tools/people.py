"""`edge-peer big person set|remove`: who may sign in at a Big Peer's page."""

import time
from pathlib import Path

from edge_peer.bigpeer.people import check, hash_of, set_password
from edge_peer.core.errors import ConfigError
from edge_tools.keys import opened_vault


def set_up(data: Path, name: str, password: str) -> None:
    """Make a person, or give them a new password. Raises ConfigError."""
    try:
        check(name, password)
        with opened_vault(data) as vault:
            set_password(vault, name, hash_of(password), time.time_ns() // 1_000_000)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def remove(data: Path, name: str) -> None:
    """Raises ConfigError if nobody is called so."""
    with opened_vault(data) as vault:
        vault.run("DELETE FROM session WHERE person = ?", name)
        if not vault.run("DELETE FROM person WHERE name = ?", name):
            raise ConfigError(f"nobody is called {name}")
