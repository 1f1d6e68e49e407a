"""
An app whose authority lies at a Big Peer, as `provision` uses one that lies here (host/authority).

The device's key is made on this computer and never leaves it: the Big Peer is told its public
half, and answers with a certificate.
"""

import json
import os
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_peer.core.errors import ConfigError
from edge_peer.host import permissions as rules
from edge_peer.security.certificate import KEY_SIZE, ROLES
from edge_peer.security.identity import Identity, from_text
from edge_tools.api import Client

ROLE_NAMES = {number: name for name, number in ROLES.items()}


class RemoteApp:
    """What provision.py asks of an App."""

    def __init__(self, client: Client, passphrase: str | None = None) -> None:
        """Raises ConfigError unless the key is an administrator's of one app; ApiError."""
        apps = client.call("GET", "/apps")["apps"]
        if len(apps) != 1:
            names = ", ".join(str(one["name"]) for one in apps) or "none"
            raise ConfigError(f"that key is of {len(apps)} apps ({names}): take one's own key")
        self.name = apps[0]["name"] or apps[0]["id"]
        self.ledger = self
        self._client = client
        self._passphrase = passphrase
        self._path = f"/apps/{quote(apps[0]['id'])}"
        listed = client.call("GET", f"{self._path}/certificates")["certificates"]
        self._names = {one["name"] for one in listed}

    def named(self, name: str) -> list[str]:
        """Return something if there is a device of this name."""
        return [name] if name in self._names else []

    def admit(
        self, name: str, role: int, permissions: bytes, days: int, now_s: int, replaces: bool
    ) -> Identity:
        """As App.admit; the Big Peer's clock counts. Raises ApiError."""
        seed = os.urandom(KEY_SIZE)
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        wanted: dict[str, Any] = {
            "name": name,
            "role": ROLE_NAMES[role],
            "permissions": rules.unpacked(permissions),
            "days": days,
            "replaces": replaces,
            "publicKey": public.hex(),
        }
        if self._passphrase is not None:
            wanted["passphrase"] = self._passphrase
        answer = self._client.call("POST", f"{self._path}/devices", wanted)
        self._names.add(name)
        return from_text(json.dumps(answer["identity"] | {"seed": seed.hex()}))

    def close(self) -> None:
        pass
