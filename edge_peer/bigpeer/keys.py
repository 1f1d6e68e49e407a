"""
API keys: who holds one is what it says.

A key is 192 random bits in text, "edge_" before it so that a scan of sources finds one
that was left there. The vault keeps its SHA-256. A slow hash (bcrypt, argon2) is for
passwords, which can be guessed: nobody guesses 192 bits, however fast the hash is, and a
slow one would cost every request its time. A look is by the digest, so what its time
tells is about digests.

A revoked key stays in the vault as such: the file `api-key` of the data folder, which
names the first administrator's key, must not bring it back at the next start.
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_peer.bigpeer.permissions import EVERYTHING, Permissions
from edge_peer.bigpeer.vault import Vault

KEY_COUNT_MAX = 100_000  # the revoked ones, too
NAME_CHARS_MAX = 100
PLAIN_CHARS_MAX = 256  # longer ones are not even hashed
USED_MS = 60_000  # last use is written once in so long: not each request is a write
_RANDOM_BYTES = 24
_PREFIX = "edge_"
_COLUMNS = "id, name, is_administrator, permissions, created_ms, expires_ms, used_ms, digest"


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    is_administrator: bool  # may do everything, and manage keys
    permissions: Permissions
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    digest: bytes = field(repr=False)


class Keys:
    def __init__(self, vault: Vault, wall_ms: Callable[[], int]) -> None:
        self._vault = vault
        self._wall_ms = wall_ms
        self._known: dict[str, Permissions] = {}  # by their JSON: parsed once

    def create(
        self, name: str, permissions: Permissions | None, expires_ms: int | None = None
    ) -> tuple[Key, str]:
        """Return the key and its plain text, which nobody can tell again.

        permissions: None for an administrator. Raises ValueError for a wrong name or
        expiry, and when there are too many keys.
        """
        plain = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        return self._add(plain, name, permissions, expires_ms), plain

    def adopt(self, plain: str, name: str) -> None:
        """Take a key from elsewhere as an administrator's, unless it is known or was revoked."""
        if not self._vault.rows("SELECT 1 FROM key WHERE digest = ?", _digest(plain)):
            self._add(plain, name, None, None)

    def find(self, plain: str) -> Key | None:
        """Return a key that is valid now, and note its use."""
        if not 0 < len(plain) <= PLAIN_CHARS_MAX:
            return None
        return self._valid("digest = ?", _digest(plain))

    def by_id(self, id: str) -> Key | None:
        """Return a key that is valid now."""
        return self._valid("id = ?", id)

    def all(self) -> list[Key]:
        """Return what was not revoked, the oldest first; some may have expired."""
        rows = self._vault.rows(
            f"SELECT {_COLUMNS} FROM key WHERE revoked_ms IS NULL ORDER BY created_ms, id"
        )
        return [self._key(row) for row in rows]

    def any_was_made(self) -> bool:
        return bool(self._vault.rows("SELECT 1 FROM key LIMIT 1"))

    def revoke(self, id: str) -> bool:
        """From the next request on it is none. Return False if there is no such key."""
        return bool(
            self._vault.run(
                "UPDATE key SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL",
                self._wall_ms(),
                id,
            )
        )

    def _add(
        self, plain: str, name: str, permissions: Permissions | None, expires_ms: int | None
    ) -> Key:
        now_ms = self._wall_ms()
        if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
            raise ValueError(f"a key's name has 1 to {NAME_CHARS_MAX} printable characters")
        if expires_ms is not None and expires_ms <= now_ms:
            raise ValueError("the key would have expired already")
        if self._vault.rows("SELECT count(*) FROM key")[0][0] >= KEY_COUNT_MAX:
            raise ValueError(f"there are {KEY_COUNT_MAX} keys already")
        key = Key(
            secrets.token_hex(8), name, permissions is None, permissions or EVERYTHING,
            now_ms, expires_ms, None, _digest(plain),
        )  # fmt: skip
        self._vault.run(
            f"INSERT INTO key ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            key.id, name, key.is_administrator, json.dumps(key.permissions.fields),
            now_ms, expires_ms, None, key.digest,
        )  # fmt: skip
        return key

    def _valid(self, where: str, value: object) -> Key | None:
        now_ms = self._wall_ms()
        rows = self._vault.rows(
            f"SELECT {_COLUMNS} FROM key WHERE {where} AND revoked_ms IS NULL"
            " AND (expires_ms IS NULL OR expires_ms > ?)",
            value,
            now_ms,
        )
        if not rows:
            return None
        key = self._key(rows[0])
        if key.used_ms is None or not 0 <= now_ms - key.used_ms < USED_MS:
            self._vault.run("UPDATE key SET used_ms = ? WHERE id = ?", now_ms, key.id)
        return key

    def _key(self, row: tuple[Any, ...]) -> Key:
        id, name, is_administrator, text, created_ms, expires_ms, used_ms, digest = row
        permissions = self._known.get(text)
        if permissions is None:
            permissions = Permissions(json.loads(text))
            if len(self._known) >= 256:
                self._known.clear()
            self._known[text] = permissions
        return Key(
            id, name, bool(is_administrator), permissions, created_ms, expires_ms, used_ms, digest
        )


def _digest(plain: str) -> bytes:
    return hashlib.sha256(plain.encode(errors="replace")).digest()
