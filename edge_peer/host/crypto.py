"""
The primitives of a host: OpenSSL's, by the package `cryptography`.

The names and results are those of board/crypto.py, where what takes long is a generator
that yields: here it is one that never does. `run` finishes either.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from edge_peer.core.errors import FormatError
from edge_peer.host.comb import table_of
from edge_peer.security import ed25519
from edge_peer.security.field import P
from edge_peer.security.key import Key
from edge_peer.security.x25519 import clamp

if TYPE_CHECKING:
    from edge_peer.security.field import Steps

PAYLOAD_BYTES_MAX = 0xFFFF  # of one sealed record: CCM's length field has two bytes
RECORD_TAG_SIZE = 8

comb_table = table_of


def run(steps: Steps) -> Any:
    """Finish a generator; return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def expand(seed: bytes) -> Steps:
    """Return the Key of a seed."""
    return ed25519.expand(seed)


def private_of(seed: bytes) -> Steps:
    """Return the X25519 private key of a seed, without the rest of its Key."""
    return clamp(hashlib.sha512(seed).digest()[:32])
    yield


def forget() -> bool:
    """Boards give memory back here; return whether anything has gone."""
    return False


def public_of(private: bytes) -> Steps:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    yield


def x25519(private: bytes, public: bytes) -> Steps:
    """Return what both sides agree on; raises FormatError for a weak public key."""
    try:
        other = X25519PublicKey.from_public_bytes(public)
        return X25519PrivateKey.from_private_bytes(private).exchange(other)
    except ValueError as error:
        raise FormatError("a public key of low order") from error
    yield


def signer_of(public: bytes, is_negative: bool) -> Steps:
    """Return the Ed25519 key of an X25519 key and the sign of the same key as an Ed25519 one."""
    u = int.from_bytes(public, "little")
    y = (u - 1) * pow(u + 1, P - 2, P) % P
    return (y | is_negative << 255).to_bytes(32, "little")
    yield


def sign(key: Key, message: bytes) -> Steps:
    return Ed25519PrivateKey.from_private_bytes(key.seed).sign(message)
    yield


def verify(signer: bytes, signature: bytes, message: bytes, table: bytes = b"") -> Steps:
    """Return whether it is valid; `table` is for boards."""
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
    yield


class Ccm:
    """AES-128-CCM, RFC 3610, with nonces of 13 bytes."""

    def __init__(self, key: bytes, tag_size: int) -> None:
        self._cipher = AESCCM(bytes(key), tag_length=tag_size)

    def seal(self, nonce: bytes, data: bytes, plaintext: bytes) -> bytes:
        """Return the ciphertext with its tag; `data` is only authenticated."""
        return self._cipher.encrypt(nonce, plaintext, data or None)

    def open(self, nonce: bytes, data: bytes, sealed: bytes) -> bytes | None:
        """Return the plaintext, None if anything of it was changed."""
        try:
            return self._cipher.decrypt(nonce, sealed, data or None)
        except (InvalidTag, ValueError):
            return None


class RecordCipher:
    """One direction's key: seals and opens records (security/record.py has their layout)."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._cipher = AESCCM(bytes(key), tag_length=RECORD_TAG_SIZE)
        self._iv = bytes(iv)

    def seal(self, header: int, counter: int, payload: bytes) -> bytes:
        nonce = bytes((header,)) + self._iv + counter.to_bytes(8, "big")
        head = bytes((header, counter >> 8 & 255, counter & 255))
        return head + self._cipher.encrypt(nonce, payload, None)

    def open(self, record: bytes, counter: int) -> bytes | None:
        """Return the payload, None if the record is not one of this key and counter."""
        nonce = record[:1] + self._iv + counter.to_bytes(8, "big")
        try:
            return self._cipher.decrypt(nonce, record[3:], None)
        except (InvalidTag, ValueError):
            return None
