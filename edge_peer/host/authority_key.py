"""
The private key of an app's authority, in a file of its own: authority.json, mode 0600.

    {"app": name, "app_id": hex, "public": hex, "seed": hex}                     or, with
    {…, "sealed": {"salt": hex, "nonce": hex, "seed": hex}}                      a passphrase

The passphrase goes through scrypt (RFC 7914; 64 MB and some 0.2 s for each guess), and the
key that it gives seals the seed with AES-256-GCM, bound to the public key.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from edge_peer.core.errors import ConfigError
from edge_peer.security.identity import app_id_of

SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 16, 8, 1
SALT_SIZE, NONCE_SIZE = 16, 12


@dataclass(frozen=True)
class KeyFile:
    """What is in authority.json; `seed` is None where a passphrase is needed for it."""

    name: str
    public: bytes
    seed: bytes | None
    sealed: dict[str, str] | None

    def __repr__(self) -> str:
        return f"<KeyFile of {self.name}>"

    def unlock(self, passphrase: str | None) -> Ed25519PrivateKey:
        """Return the private key; raises ConfigError without the right passphrase."""
        seed = self.seed
        if self.sealed is not None:
            if passphrase is None:
                raise ConfigError(f"the authority of {self.name} is locked by a passphrase")
            seed = _opened(self.sealed, passphrase, self.public)
        private = Ed25519PrivateKey.from_private_bytes(seed or b"")
        if private.public_key().public_bytes_raw() != self.public:
            raise ConfigError("the authority's private key is not that of its public key")
        return private


def made(name: str, passphrase: str | None) -> KeyFile:
    """Draw the key of a new app."""
    seed = os.urandom(32)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    if passphrase is None:
        return KeyFile(name, public, seed, None)
    salt, nonce = os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE)
    box = AESGCM(_stretched(passphrase, salt)).encrypt(nonce, seed, public)
    sealed = {"salt": salt.hex(), "nonce": nonce.hex(), "seed": box.hex()}
    return KeyFile(name, public, None, sealed)


def to_text(key: KeyFile) -> str:
    fields: dict[str, Any] = {
        "app": key.name,
        "app_id": app_id_of(key.public).hex(),
        "public": key.public.hex(),
    }
    if key.sealed is not None:
        fields["sealed"] = key.sealed
    elif key.seed is not None:
        fields["seed"] = key.seed.hex()
    return json.dumps(fields, indent=1) + "\n"


def read(path: Path) -> KeyFile:
    """Read authority.json; raises ConfigError, which never shows what is in it."""
    try:
        fields = json.loads(path.read_text())
        sealed = fields.get("sealed")
        seed = None if sealed is not None else _hex(fields["seed"], 32)
        return KeyFile(str(fields["app"]), _hex(fields["public"], 32), seed, sealed)
    except OSError as error:
        raise ConfigError(f"{path.parent} is no app: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is damaged, or no authority's key") from None


def _hex(text: str, size: int) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != size:
        raise ValueError("size")
    return data


def _stretched(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt, 32, SCRYPT_N, SCRYPT_R, SCRYPT_P).derive(passphrase.encode())


def _opened(sealed: dict[str, str], passphrase: str, public: bytes) -> bytes:
    try:
        salt, nonce, box = (bytes.fromhex(sealed[name]) for name in ("salt", "nonce", "seed"))
        return AESGCM(_stretched(passphrase, salt)).decrypt(nonce, box, public)
    except InvalidTag:
        raise ConfigError("this is not the authority's passphrase") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError("the authority's sealed key is damaged") from None
