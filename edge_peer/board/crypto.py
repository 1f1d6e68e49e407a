"""
The primitives of a board: AES from its C cryptolib, curves in plain Python.

The names are those of host/crypto.py. What takes long is a generator; no stretch between
two yields is longer than 20 ms on an RP2040. Curves and tables load when they are first
used, and `forget` drops them again: a link that stands needs none of them.

CCM needs CTR, made from ECB, and CBC-MAC, which cryptolib's CBC is. Its object chains from
call to call; the last block, laid over the next first block by exclusive or, makes each
message start from zero without a new key schedule (70 us and 270 bytes on an RP2040).
"""

import gc
import os
import sys
from struct import pack_into

import cryptolib

try:
    from edge_peer.board.vector import check, counters, finish, prepare, xor
except (ImportError, ValueError, SyntaxError):  # no machine code of this processor
    from edge_peer.board.vector_plain import check, counters, finish, prepare, xor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.security.field import Steps

PAYLOAD_BYTES_MAX = 1024  # of one sealed record: what the scratch grows to at most
RECORD_TAG_SIZE = 8
PLENTY_BYTES = 64_000  # of free heap: with more, nothing is dropped, and garbage may fill it
GARBAGE_BYTES_MIN = 4_096  # between two collections while curves are computed
_ECB = 1
_CBC = 2
_OF_HANDSHAKES = (
    "certificate", "ed25519", "edwards", "field", "handshake", "identity", "noise", "sha512",
    "tables", "x25519",
)  # fmt: skip


def run(steps: "Steps") -> "Any":
    """Finish a generator; return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def expand(seed: bytes) -> "Steps":
    """Return the Key of a seed."""
    from edge_peer.security import ed25519

    return (yield from _patiently(ed25519.expand(seed)))


def private_of(seed: bytes) -> "Steps":
    """Return the X25519 private key of a seed, without the rest of its Key."""
    from edge_peer.security import sha512, x25519

    return x25519.clamp((yield from _patiently(sha512.sha512(seed)))[:32])


def public_of(private: bytes) -> "Steps":
    from edge_peer.security import ed25519

    return (yield from _patiently(ed25519.public_of(private)))


def x25519(private: bytes, public: bytes) -> "Steps":
    """Return what both sides agree on; raises FormatError for a weak public key."""
    from edge_peer.security import x25519

    blind = int.from_bytes(os.urandom(31), "big") | 1
    return (yield from _patiently(x25519.x25519(private, public, blind)))


def signer_of(public: bytes, is_negative: bool) -> "Steps":
    """Return the Ed25519 key of an X25519 key and the sign of the same key as an Ed25519 one."""
    from edge_peer.security import edwards

    return (yield from _patiently(edwards.edwards(public, is_negative)))


def sign(key: "Any", message: bytes) -> "Steps":
    from edge_peer.security import ed25519

    return (yield from _patiently(ed25519.sign(key, message)))


def verify(signer: bytes, signature: bytes, message: bytes, table: bytes = b"") -> "Steps":
    """Return whether it is valid; table: security/edwards.py."""
    from edge_peer.security import ed25519

    return (yield from _patiently(ed25519.verify(signer, signature, message, table)))


def forget() -> bool:
    """Give back the memory of what only a full handshake needs, if there is little of it.

    It loads again when it is asked for. Return whether anything has gone.
    """
    if gc.mem_free() <= PLENTY_BYTES:
        gc.collect()
    if gc.mem_free() > PLENTY_BYTES:
        return False
    package = sys.modules.get("edge_peer.security")
    for name in _OF_HANDSHAKES:
        sys.modules.pop("edge_peer.security." + name, None)
        if package is not None and hasattr(package, name):
            delattr(package, name)
    return True


def _patiently(steps: "Steps") -> "Steps":
    """Collect garbage seldom meanwhile: big numbers make a lot of it, and all of it small."""
    usual = gc.threshold()
    free = gc.mem_free()
    if free <= PLENTY_BYTES:  # or so it seems while garbage lies about
        yield
        gc.collect()
        free = gc.mem_free()
        yield
    gc.threshold(-1 if free > PLENTY_BYTES else max(free // 3, GARBAGE_BYTES_MIN))
    try:
        return (yield from steps)
    finally:
        gc.threshold(usual)


class _Scratch:
    """Shared by all keys: one record is sealed or opened at a time."""

    def __init__(self) -> None:
        self.size = 0
        self.reserve(256)

    def reserve(self, size: int) -> None:
        """Have room for a message of `size` bytes and 48 more of authenticated data."""
        if size <= self.size:
            return
        self.size = size
        blocks = (size + 15) // 16
        self.keys = bytearray(16 * (blocks + 2))  # counter blocks, then the key stream
        self.mac = bytearray(16 * (blocks + 5))
        self.out = bytearray(16 * (blocks + 3))
        self.keys_view = memoryview(self.keys)
        self.mac_view = memoryview(self.mac)
        self.out_view = memoryview(self.out)
        self.text_view = self.out_view[16:]  # aligned; a record's head lies before it


_scratch = _Scratch()


class Ccm:
    """AES-128-CCM, RFC 3610, with nonces of 13 bytes."""

    def __init__(self, key: bytes, tag_size: int) -> None:
        self._ecb = cryptolib.aes(key, _ECB)
        self._cbc = cryptolib.aes(key, _CBC, bytes(16))
        self._last = bytearray(16)
        self._block = bytearray(16)
        self._tag_size = tag_size

    def seal(self, nonce: bytes, data: bytes, plaintext: bytes) -> bytes:
        """Return the ciphertext with its tag; `data` is only authenticated."""
        size = len(plaintext)
        assert size <= PAYLOAD_BYTES_MAX and len(data) <= 32
        _scratch.reserve(size)
        self._authenticate(nonce, data, plaintext)
        self._crypt(nonce, plaintext)
        return bytes(_scratch.out_view[:size]) + self._tag()

    def open(self, nonce: bytes, data: bytes, sealed: bytes) -> "bytes | None":
        """Return the plaintext, None if anything of it was changed."""
        size = len(sealed) - self._tag_size
        if not 0 <= size <= PAYLOAD_BYTES_MAX:
            return None
        _scratch.reserve(size)
        self._crypt(nonce, sealed[:size])
        plaintext = bytes(_scratch.out_view[:size])
        self._authenticate(nonce, data, plaintext)
        tag = self._tag()
        difference = 0
        for i in range(self._tag_size):
            difference |= tag[i] ^ sealed[size + i]
        return None if difference else plaintext

    def _authenticate(self, nonce: bytes, data: bytes, plaintext: bytes) -> None:
        size = len(plaintext)
        mac = _scratch.mac
        mac[0] = (64 if data else 0) | (self._tag_size - 2) << 2 | 1
        mac[1:14] = nonce
        mac[14] = size >> 8
        mac[15] = size & 255
        start = 16
        if data:
            start = 16 + ((len(data) + 17) & ~15)
            mac[16] = 0
            mac[17] = len(data)
            mac[18:start] = data + bytes(start - 18 - len(data))
        end = start + ((size + 15) & ~15)
        mac[start:end] = bytes(plaintext) + bytes(end - start - size)
        xor(mac, mac, self._last, 4)
        view = _scratch.mac_view[:end]
        self._cbc.encrypt(view, view)
        self._last[:] = _scratch.mac_view[end - 16 : end]

    def _crypt(self, nonce: bytes, text: bytes) -> None:
        block = self._block
        block[0] = 1
        block[1:14] = nonce
        count = (len(text) + 31) >> 4
        counters(_scratch.keys, block, count)
        view = _scratch.keys_view[: 16 * count]
        self._ecb.encrypt(view, view)
        _scratch.out_view[: len(text)] = text
        xor(_scratch.out, _scratch.out, _scratch.keys_view[16:], (len(text) + 3) >> 2)

    def _tag(self) -> bytes:
        return bytes([self._last[i] ^ _scratch.keys[i] for i in range(self._tag_size)])


class RecordCipher:
    """One direction's key: seals and opens records (security/record.py has their layout).

    As Ccm without authenticated data, with everything but AES in four loops of machine code.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._ecb = cryptolib.aes(key, _ECB)
        self._cbc = cryptolib.aes(key, _CBC, bytes(16))
        self._state = bytearray(32)  # A_0 of RFC 3610 (1, the nonce, 0) and CBC's last block
        self._state[0] = 1
        self._state[2:6] = iv

    def seal(self, header: int, counter: int, payload: bytes) -> bytes:
        size = len(payload)
        assert size <= PAYLOAD_BYTES_MAX
        scratch = _scratch
        if size > scratch.size:
            scratch.reserve(size)
        state = self._state
        state[1] = header
        pack_into(">Q", state, 6, counter)
        end = 16 + ((size + 15) & ~15)
        scratch.mac_view[16 : 16 + size] = payload
        scratch.text_view[:size] = payload
        prepare(scratch.mac, scratch.keys, state, size)
        view = scratch.mac_view[:end]
        self._cbc.encrypt(view, view)
        view = scratch.keys_view[:end]
        self._ecb.encrypt(view, view)
        finish(scratch.out, scratch.keys, scratch.mac, state, size)
        return bytes(scratch.out_view[13 : 24 + size])

    def open(self, record: bytes, counter: int) -> "bytes | None":
        """Return the payload, None if the record is not one of this key and counter."""
        size = len(record) - 3 - RECORD_TAG_SIZE
        if size > PAYLOAD_BYTES_MAX:
            return None
        scratch = _scratch
        if size > scratch.size:
            scratch.reserve(size)
        state = self._state
        state[1] = record[0]
        pack_into(">Q", state, 6, counter)
        end = 16 + ((size + 15) & ~15)
        record = memoryview(record)
        scratch.text_view[:size] = record[3 : 3 + size]
        prepare(scratch.mac, scratch.keys, state, size)
        view = scratch.keys_view[:end]
        self._ecb.encrypt(view, view)
        xor(scratch.text_view, scratch.text_view, scratch.keys_view[16:], (size + 3) >> 2)
        scratch.mac_view[16 : 16 + size] = scratch.text_view[:size]
        view = scratch.mac_view[:end]
        self._cbc.encrypt(view, view)
        if check(scratch.keys, scratch.mac, state, record[3 + size :], size):
            return None
        return bytes(scratch.text_view[:size])
