"""
The Noise protocol framework, revision 34, as far as one pattern needs it.

    Noise_XXpsk0_25519_AESCCM_SHA256

AESCCM is a cipher of ours, as Noise has none that boards have in C: AES-128-CCM (RFC 3610,
L = 2, tag 16), key = the first 16 bytes of Noise's k, nonce = 00*5 | n (8, big-endian).
Everything else is Noise's own; tests run its published vectors for the same tokens through
this code, with the ciphers that they are for.

A pattern is a table: for each message its tokens. What
takes long is a generator that yields.
"""

from collections import namedtuple

from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.security.kdf import HASH_SIZE, hkdf, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    Steps = Generator[None, None, Any]
    Pattern = tuple[tuple[str, ...], ...]

NAME = b"Noise_XXpsk0_25519_AESCCM_SHA256"
PATTERN = (("psk", "e"), ("e", "ee", "s", "es"), ("s", "se"))
KEY_SIZE = 32
TAG_SIZE = 16


class AesCcm:
    """Noise's cipher functions, for one k."""

    def __init__(self, crypto: "Any", k: bytes) -> None:
        self._ccm = crypto.Ccm(k[:16], TAG_SIZE)

    def encrypt(self, n: int, data: bytes, plaintext: bytes) -> bytes:
        sealed: bytes = self._ccm.seal(bytes(5) + n.to_bytes(8, "big"), data, plaintext)
        return sealed

    def decrypt(self, n: int, data: bytes, sealed: bytes) -> "bytes | None":
        plaintext: bytes | None = self._ccm.open(bytes(5) + n.to_bytes(8, "big"), data, sealed)
        return plaintext


# What every handshake of an app begins with; private, public: this side's static X25519 key.
Start = namedtuple("Start", ("pattern", "cipher", "private", "public", "psks", "h", "ck", "k"))


def prepare(
    prologue: bytes,
    psks: "tuple[bytes, ...]",
    private: bytes,
    public: bytes,
    name: bytes = NAME,
    pattern: "Pattern" = PATTERN,
    cipher: "Callable[[Any, bytes], Any]" = AesCcm,
) -> Start:
    """Return a Start; psks: for the psk tokens, in order. A first one is mixed in already."""
    ck = name + bytes(HASH_SIZE - len(name)) if len(name) <= HASH_SIZE else sha256(name)
    h = sha256(ck + prologue)
    k = b""
    if pattern[0][0] == "psk":
        ck, h, k = _mix_psk(ck, h, psks[0])
        psks = psks[1:]
        pattern = (pattern[0][1:],) + pattern[1:]
    return Start(pattern, cipher, private, public, psks, h, ck, k)


class Noise:
    """One side of one handshake. `write` and `read` take turns, the initiator writes first."""

    def __init__(self, crypto: "Any", start: Start, is_initiator: bool, ephemeral: bytes) -> None:
        """ephemeral: a new private key."""
        self.remote_static = b""
        self.h = start.h
        self._crypto = crypto
        self._start = start
        self._is_initiator = is_initiator
        self._psks = start.psks
        self._ephemeral = ephemeral
        self._remote_ephemeral = b""
        self._message = 0
        self._out = b""
        self._ck = start.ck
        self._cipher: Any = None
        self._n = 0
        if start.k:
            self._set_key(start.k)

    def write(self, payload: bytes) -> "Steps":
        """Return the next message."""
        self._out = b""
        for token in self._tokens():
            if token == "e":
                public = yield from self._crypto.public_of(self._ephemeral)
                self._out += public
                self._mix_ephemeral(public)
            elif token == "s":
                self._out += self._encrypt(self._start.public)
            elif token == "psk":
                self._mix_psk()
            else:
                yield from self._agree(token)
            yield
        return self._out + self._encrypt(payload)

    def read(self, message: bytes) -> "Steps":
        """Return the payload of the other side's message.

        Raises RemoteProtocolError if it is not what an honest other side would send; then
        nothing more can be done with this object.
        """
        message = bytes(message)
        for token in self._tokens():
            if token == "e":
                self._remote_ephemeral, message = _cut(message, KEY_SIZE)
                self._mix_ephemeral(self._remote_ephemeral)
            elif token == "s":
                sealed, message = _cut(message, KEY_SIZE + TAG_SIZE)
                self.remote_static = self._decrypt(sealed)
            elif token == "psk":
                self._mix_psk()
            else:
                yield from self._agree(token)
            yield
        return self._decrypt(message)

    def split(self, count: int = 2) -> "list[bytes]":
        """Return keys: initiator to responder, the other way, and what more is asked for."""
        out = hkdf(self._ck, b"", b"", HASH_SIZE * count)
        return [out[i : i + HASH_SIZE] for i in range(0, len(out), HASH_SIZE)]

    # Tokens

    def _tokens(self) -> "tuple[str, ...]":
        tokens: tuple[str, ...] = self._start.pattern[self._message]
        self._message += 1
        return tokens

    def _mix_ephemeral(self, public: bytes) -> None:
        self.h = sha256(self.h + public)
        self._mix_key(public)  # as patterns with a psk do

    def _mix_psk(self) -> None:
        psk, self._psks = self._psks[0], self._psks[1:]
        self._ck, self.h, k = _mix_psk(self._ck, self.h, psk)
        self._set_key(k)

    def _agree(self, token: str) -> "Steps":
        mine, theirs = token[0], token[1]
        if not self._is_initiator:
            mine, theirs = theirs, mine
        private = self._ephemeral if mine == "e" else self._start.private
        public = self._remote_ephemeral if theirs == "e" else self.remote_static
        shared = yield from self._crypto.x25519(private, public)
        yield
        self._mix_key(shared)

    # Noise's CipherState and SymmetricState

    def _mix_key(self, secret: bytes) -> None:
        out = hkdf(self._ck, secret, b"", 2 * HASH_SIZE)
        self._ck = out[:HASH_SIZE]
        self._set_key(out[HASH_SIZE:])

    def _set_key(self, k: bytes) -> None:
        self._cipher = self._start.cipher(self._crypto, k)
        self._n = 0

    def _encrypt(self, plaintext: bytes) -> bytes:
        sealed: bytes = self._cipher.encrypt(self._n, self.h, plaintext)
        self._n += 1
        self.h = sha256(self.h + sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        plaintext: bytes | None = self._cipher.decrypt(self._n, self.h, sealed)
        if plaintext is None:
            raise RemoteProtocolError("a handshake that does not authenticate")
        self._n += 1
        self.h = sha256(self.h + sealed)
        return plaintext


def _mix_psk(ck: bytes, h: bytes, psk: bytes) -> "tuple[bytes, bytes, bytes]":
    """Return ck, h and k after Noise's MixKeyAndHash."""
    out = hkdf(ck, psk, b"", 3 * HASH_SIZE)
    return out[:HASH_SIZE], sha256(h + out[HASH_SIZE : 2 * HASH_SIZE]), out[2 * HASH_SIZE :]


def _cut(message: bytes, size: int) -> "tuple[bytes, bytes]":
    if len(message) < size + TAG_SIZE:
        raise FormatError("a handshake message of %d bytes" % len(message))
    return message[:size], message[size:]
