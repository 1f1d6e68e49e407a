"""
Resumption: two devices that have met agree on new keys without public-key work.

A full handshake leaves both sides with a ticket. It has two chains of keys, one for each
side's wishes to resume; a step of a chain gives one key and forgets where it came from:

    ticket    HKDF(km, info "EDB1 resume") = id 8 | auth 32 | chain A 32 | chain B 32
    chain     key n = HMAC(c, "k"), next c = HMAC(c, "n"); A: the initiator's of that handshake

    R1        04 | id 8 | n 4 | random 16 | HMAC(auth, all before)[:12]           41 bytes
    R2        05 | random 16 | HMAC(prk, "R2" | R1 | random)[:12]                 29 bytes
    BEHIND    07 | n 4 | HMAC(auth, "RB" | R1 | n)[:12], the step that is next     17 bytes
    prk       HMAC(key n, R1's random | R2's random)
    keys      HMAC(prk, "EDB1 r1")[:20], HMAC(prk, "EDB1 r2")[:20]

The initiator's first record confirms. Keys of earlier sessions do not follow from a ticket,
keys of later ones do: so it lives for a day and 256 uses. What is kept on flash is always
ahead of what is used: after a reboot a chain goes on where nothing of it was spent.
"""

import struct
from collections import namedtuple

from edge_peer.core.errors import FormatError
from edge_peer.security.kdf import Hmac, hkdf, hmac, is_equal
from edge_peer.security.wire import BEHIND, R1, R2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    Steps = Generator[None, None, Any]
    Save = Callable[[bytes, bytes], None]  # a ticket's id, and what to keep of it

ID_SIZE = 8
R1_SIZE = 41
R2_SIZE = 29
BEHIND_SIZE = 17
RANDOM_SIZE = 16
MAC_SIZE = 12
KEY_SIZE = 20
RESERVED = 16  # steps that one write to flash is good for
AHEAD_MAX = 64  # steps that the other side may have skipped
USES_MAX = 256
LIFE_S = 24 * 3600

_FORM = 1
_HEAD = ">BB8s32s32sI32sIII"  # form, mine, id, auth, chain A, its n, chain B, its n, made, hint
_HEAD_SIZE = 122

# Keys of the two directions, as KEY_SIZE bytes: for what this side sends, for what it receives.
Resumed = namedtuple("Resumed", ("answer", "send_key", "receive_key"))


class Ticket:
    """One side's. `certificate` is the other side's, whole, as it was checked."""

    def __init__(
        self,
        id: bytes,
        auth: bytes,
        chains: "list[bytes]",
        next: "list[int]",
        mine: int,
        certificate: bytes,
        made_s: int,
        hint: int,
    ) -> None:
        """See `new_ticket` and `decode`. hint: of the link where the same peer is expected."""
        self.decoded: Any = None  # the certificate, once somebody has read it
        self.id = id
        self.certificate = certificate
        self.hint = hint
        self._mine = mine
        self._auth = auth
        self._authenticate = Hmac(auth)
        self._chains = chains
        self._next = next
        self._reserved = list(next)
        self._made_s = made_s

    def is_fresh(self, now_s: int) -> bool:
        """Return whether it may be used: a clock that went back does not make it older."""
        return now_s - self._made_s < LIFE_S and self._next[self._mine] < USES_MAX

    def holder(self) -> bytes:
        """Return the other side's key."""
        return self.certificate[19:51]

    # As the initiator

    def ask(self, random: bytes, save: "Save") -> "tuple[bytes, bytes]":
        """Return R1 and the key of this step, which `finish` takes; save may write."""
        head = bytes((R1,)) + self.id + struct.pack(">I", self._next[self._mine]) + random
        key = self._step(self._mine, self._next[self._mine], save)
        return head + self._authenticate.tag(head)[:MAC_SIZE], key

    def finish(self, r1: bytes, key: bytes, r2: bytes) -> "Resumed | None":
        """Return what R2 settles, None if it is not the other side's."""
        if len(r2) != R2_SIZE or r2[0] != R2:
            return None
        random = r2[1 : 1 + RANDOM_SIZE]
        prk = _prk(key, r1, random)
        if not is_equal(prk.tag(b"R2", r1, random)[:MAC_SIZE], r2[1 + RANDOM_SIZE :]):
            return None
        return Resumed(b"", *_keys(prk, True))

    def skip(self, r1: bytes, behind: bytes) -> bool:
        """Take the other side's BEHIND for this R1; return whether `ask` may be tried again."""
        if len(behind) != BEHIND_SIZE:
            return False
        floor = behind[1:5]
        if not is_equal(self._authenticate.tag(b"RB", r1, floor)[:MAC_SIZE], behind[5:]):
            return False
        number = struct.unpack(">I", floor)[0]
        if not 0 < number - self._next[self._mine] <= AHEAD_MAX:
            return False
        self._advance(self._mine, number)
        return True

    # As the responder

    def answer(self, r1: bytes, random: bytes, save: "Save") -> "Resumed | None":
        """Return R2 and the keys; None for an R1 that is forged, spent, or too far ahead."""
        chain = 1 - self._mine
        number = self._number(r1)
        if number is None or not 0 <= number - self._next[chain] <= AHEAD_MAX:
            return None
        prk = _prk(self._step(chain, number, save), r1, random)
        r2 = bytes((R2,)) + random + prk.tag(b"R2", r1, random)[:MAC_SIZE]
        return Resumed(r2, *_keys(prk, False))

    def behind(self, r1: bytes) -> bytes:
        """Return BEHIND for an R1 of a step that is spent here, as after a reboot; else b""."""
        number = self._number(r1)
        due = self._next[1 - self._mine]
        if number is None or number >= due:
            return b""
        floor = struct.pack(">I", due)
        return bytes((BEHIND,)) + floor + self._authenticate.tag(b"RB", r1, floor)[:MAC_SIZE]

    def _number(self, r1: bytes) -> "int | None":
        """Return the step that an R1 names, None if it is not the other side's."""
        if len(r1) != R1_SIZE or r1[1:9] != self.id:
            return None
        if not is_equal(self._authenticate.tag(r1[:29])[:MAC_SIZE], r1[29:]):
            return None
        number: int = struct.unpack(">I", r1[9:13])[0]
        return number

    # On flash

    def reserve(self, save: "Save") -> "Steps":
        """Have the next RESERVED steps of both chains written as spent, then spend them."""
        kept: list[Any] = []
        for chain in (0, 1):
            value = self._chains[chain]
            for i in range(RESERVED):
                value = hmac(value, b"n")
                if i & 7 == 7:
                    yield
            kept += [value, self._next[chain] + RESERVED]
        reserved = [kept[1], kept[3]]
        kept = [_FORM, self._mine, self.id, self._auth] + kept + [self._made_s, self.hint]
        save(self.id, struct.pack(_HEAD, *kept) + self.certificate)
        self._reserved = reserved

    def is_low(self) -> bool:
        """Return whether it is time to `reserve`, as long as nobody waits for it."""
        return min([self._reserved[i] - self._next[i] for i in (0, 1)]) < RESERVED // 2

    def _step(self, chain: int, number: int, save: "Save") -> bytes:
        """Go to a step, return its key and forget it."""
        self._advance(chain, number)
        if number >= self._reserved[chain]:
            for _ in self.reserve(save):
                pass
        step = Hmac(self._chains[chain])
        self._chains[chain] = step.tag(b"n")
        self._next[chain] = number + 1
        return step.tag(b"k")

    def _advance(self, chain: int, number: int) -> None:
        while self._next[chain] < number:
            self._chains[chain] = hmac(self._chains[chain], b"n")
            self._next[chain] += 1


def new_ticket(
    secret: bytes, is_initiator: bool, certificate: bytes, made_s: int, hint: int
) -> Ticket:
    """Return the ticket of a full handshake's km; made_s: of the clock for `is_fresh`."""
    out = hkdf(b"", secret, b"EDB1 resume", ID_SIZE + 96)
    id, auth, chains = out[:ID_SIZE], out[8:40], [out[40:72], out[72:104]]
    mine = 0 if is_initiator else 1
    return Ticket(id, auth, chains, [0, 0], mine, certificate, made_s, hint)


def decode(raw: bytes) -> Ticket:
    """Raises FormatError for what `reserve` did not have kept."""
    if len(raw) < _HEAD_SIZE or raw[0] != _FORM or raw[1] > 1:
        raise FormatError("not a ticket")
    _, mine, id, auth, a, a_next, b, b_next, made_s, hint = struct.unpack(_HEAD, raw[:_HEAD_SIZE])
    return Ticket(id, auth, [a, b], [a_next, b_next], mine, raw[_HEAD_SIZE:], made_s, hint)


def _prk(key: bytes, r1: bytes, random: bytes) -> Hmac:
    return Hmac(hmac(key, r1[13:29], random))


def _keys(prk: Hmac, is_initiator: bool) -> "tuple[bytes, bytes]":
    """Return (for what this side sends, for what it receives)."""
    first = prk.tag(b"EDB1 r1")[:KEY_SIZE]
    second = prk.tag(b"EDB1 r2")[:KEY_SIZE]
    return (first, second) if is_initiator else (second, first)
