"""
Sealed records: what every frame of a link travels in, once both sides share keys.

    record   header 1 | counter, its low 16 bits, 2 | ciphertext | tag 8
    header   80, | 40 in every second epoch
    nonce    header | iv 4 | counter 8          AES-128-CCM, nothing else authenticated
    epoch    counter >> 15; each has a key of its own: HMAC(key | iv, "rekey")[:20]

The length is the frame's. Each direction has its own key and counts from 0, so a pair of
key and nonce is used once by construction: keys are fresh with every handshake, and no
counter outlives them.

On packet transports the receiver takes each counter once, in any order within a window, and
passes over what it cannot open: whoever can send frames could else end the link. On an
ordered transport the next counter is the only one there is, and anything else ends it.
"""

from edge_peer.core.errors import RemoteProtocolError
from edge_peer.security.kdf import hmac

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RECORD = 0x80
_PARITY = 0x40
OVERHEAD_BYTES = 11
KEY_SIZE = 20  # an AES key of 16 and an iv of 4
EPOCH_BITS = 15
_EPOCH_MASK = (1 << EPOCH_BITS) - 1
WINDOW = 64  # counters behind the newest one that may still come
FORGERIES_MAX = 1 << 20  # of a tag of 64 bits: one in 2^44 links would have taken one


class Sealer:
    """One direction, at its sender."""

    def __init__(self, crypto: "Any", key: bytes) -> None:
        """crypto: this runtime's module; key: KEY_SIZE bytes, for this object alone."""
        self._crypto = crypto
        self._key = key
        self._cipher = _cipher(crypto, key)
        self.counter = 0  # of the next record
        self._header = RECORD

    def seal(self, payload: bytes) -> bytes:
        counter = self.counter
        if counter and not counter & _EPOCH_MASK:
            self._header = _header(counter)
            self._key = next_key(self._key)
            self._cipher = _cipher(self._crypto, self._key)
        self.counter = counter + 1
        record: bytes = self._cipher.seal(self._header, counter, payload)
        return record


class Opener:
    """One direction, at its receiver."""

    def __init__(self, crypto: "Any", key: bytes, is_ordered: bool) -> None:
        self.refused_count = 0
        self._crypto = crypto
        self._is_ordered = is_ordered
        self._newest = -1  # counter
        self._seen = 0  # bit i: newest - i was opened
        self._epoch = 0
        self._key = key
        self._cipher = _cipher(crypto, key)
        self._previous: Any = None  # cipher of the epoch before
        self._next: Any = None  # key and cipher of the next one, once something claims it

    def open(self, record: bytes) -> "bytes | None":
        """Return the payload; None for what is not the other side's, or was opened before.

        Raises RemoteProtocolError where that ends the link.
        """
        payload = None
        counter = self._counter_of(record)
        if counter is not None:
            cipher = self._cipher_of(counter >> EPOCH_BITS)
            if cipher is not None:
                payload = cipher.open(record, counter)
        if payload is None or counter is None:
            self._refuse()
            return None
        self._note(counter)
        return bytes(payload)

    def _counter_of(self, record: bytes) -> "int | None":
        """Return the whole counter, if this record may be opened: the nearest to the newest."""
        if len(record) < OVERHEAD_BYTES or not record[0] & RECORD:
            return None
        ahead = ((record[1] << 8 | record[2]) - self._newest) & 0xFFFF
        if self._is_ordered:
            if ahead != 1:
                return None
        elif ahead >= 0x8000:
            ahead -= 0x10000
        counter = self._newest + ahead
        if counter < 0 or ahead <= -WINDOW or (ahead <= 0 and self._seen >> -ahead & 1):
            return None
        return counter if record[0] == _header(counter) else None

    def _cipher_of(self, epoch: int) -> "Any":
        if epoch == self._epoch:
            return self._cipher
        if epoch == self._epoch - 1:
            return self._previous
        if epoch != self._epoch + 1:
            return None
        if self._next is None:
            key = next_key(self._key)
            self._next = key, _cipher(self._crypto, key)
        return self._next[1]

    def _note(self, counter: int) -> None:
        ahead = counter - self._newest
        if ahead <= 0:
            self._seen |= 1 << -ahead
            return
        self._seen = (self._seen << ahead | 1) & (1 << WINDOW) - 1 if ahead < WINDOW else 1
        self._newest = counter
        if counter >> EPOCH_BITS != self._epoch:
            self._epoch += 1
            self._previous = self._cipher
            self._key, self._cipher = self._next
            self._next = None
        elif self._previous is not None and counter & (1 << EPOCH_BITS) - 1 >= WINDOW:
            self._previous = None

    def _refuse(self) -> None:
        self.refused_count += 1
        if self._is_ordered or self.refused_count > FORGERIES_MAX:
            raise RemoteProtocolError("a record that the other side did not seal")


def next_key(key: bytes) -> bytes:
    return hmac(key, b"rekey")[:KEY_SIZE]


def _header(counter: int) -> int:
    return RECORD | (_PARITY if counter >> EPOCH_BITS & 1 else 0)


def _cipher(crypto: "Any", key: bytes) -> "Any":
    return crypto.RecordCipher(key[:16], key[16:])
