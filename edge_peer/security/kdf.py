"""
HMAC-SHA256 (RFC 2104) and HKDF (RFC 5869), on the one hash that every board has in C.

MicroPython has neither `hmac` nor sha256().copy(): a key is prepared once, as two blocks.
"""

import hashlib

HASH_SIZE = 32
_BLOCK_SIZE = 64
_INNER = int.from_bytes(b"\x36" * _BLOCK_SIZE, "big")
_OUTER = int.from_bytes(b"\x5c" * _BLOCK_SIZE, "big")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Hmac:
    """One key; `tag` may be called any number of times."""

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_SIZE:
            key = sha256(key)
        number = int.from_bytes(bytes(key) + bytes(_BLOCK_SIZE - len(key)), "big")
        self._inner = (number ^ _INNER).to_bytes(_BLOCK_SIZE, "big")
        self._outer = (number ^ _OUTER).to_bytes(_BLOCK_SIZE, "big")

    def tag(self, *parts: bytes) -> bytes:
        """Return the 32 bytes for these parts, one after the other."""
        inner = hashlib.sha256(self._inner)
        for part in parts:
            inner.update(part)
        outer = hashlib.sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def hmac(key: bytes, *parts: bytes) -> bytes:
    return Hmac(key).tag(*parts)


def hkdf(salt: bytes, secret: bytes, info: bytes, size: int) -> bytes:
    """Return `size` bytes, RFC 5869. With info b"" this is Noise's HKDF, 32 bytes an output."""
    expand = Hmac(hmac(salt, secret))
    out = block = b""
    count = 0
    while len(out) < size:
        count += 1
        block = expand.tag(block, info, bytes((count,)))
        out += block
    return out[:size]


def is_equal(a: bytes, b: bytes) -> bool:
    """Compare secrets without telling by the time where they differ."""
    return len(a) == len(b) and not int.from_bytes(a, "big") ^ int.from_bytes(b, "big")
