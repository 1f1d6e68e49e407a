"""
X25519 key agreement, RFC 7748, in plain Python: the Montgomery ladder.

Not constant in time: numbers have as many digits as they need, and the collector of
garbage runs when it likes. So the ladder starts at a point whose coordinates are blinded by a
random factor, which the last division takes out: the same key never computes on the same
numbers twice, and what one learns of the time of one run says nothing of the next.
DESIGN.md says what that leaves open.
"""

from edge_peer.core.errors import FormatError
from edge_peer.security.field import MASK, P, invert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.security.field import Steps

KEY_SIZE = 32
STEP_BITS = 2  # of the ladder between two yields: 3 ms on an RP2040, and a collection is 12


def clamp(key: bytes) -> bytes:
    """Return the scalar of a private key, little-endian."""
    scalar = bytearray(key)
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    return bytes(scalar)


def x25519(private: bytes, public: bytes, blind: int = 1) -> "Steps":
    """Return the 32 bytes that both sides agree on; raises FormatError for a weak public key.

    blind: a random number that is no multiple of P; the result is the same with any.
    """
    scalar = clamp(private)
    mask = MASK
    x1 = int.from_bytes(public, "little") & mask
    x2, z2, x3, z3 = blind, 0, x1 * blind % P, blind
    swapped = steps = 0
    for i in range(254, -1, -1):
        bit = scalar[i >> 3] >> (i & 7) & 1
        if bit != swapped:
            x2, x3 = x3, x2
            z2, z3 = z3, z2
        swapped = bit
        # One step of RFC 7748, 5, written out: a call costs as much as an addition here.
        a = x2 + z2
        b = x2 - z2
        c = (x3 - z3) * a
        d = (x3 + z3) * b
        c = (c & mask) + (c >> 255) * 19
        d = (d & mask) + (d >> 255) * 19
        a *= a
        b *= b
        a = (a & mask) + (a >> 255) * 19
        b = (b & mask) + (b >> 255) * 19
        x3 = c + d
        x3 *= x3
        x3 = (x3 & mask) + (x3 >> 255) * 19
        x3 = (x3 & mask) + (x3 >> 255) * 19
        c -= d
        c *= c
        c = ((c & mask) + (c >> 255) * 19) * x1
        c = (c & mask) + (c >> 255) * 19
        z3 = (c & mask) + (c >> 255) * 19
        x2 = a * b
        x2 = (x2 & mask) + (x2 >> 255) * 19
        x2 = (x2 & mask) + (x2 >> 255) * 19
        b = a - b
        b *= a + 121665 * b
        b = (b & mask) + (b >> 255) * 19
        z2 = (b & mask) + (b >> 255) * 19
        steps += 1
        if steps == STEP_BITS:
            steps = 0
            yield
    if swapped:
        x2, z2 = x3, z3
    yield
    shared = x2 * (yield from invert(z2)) % P
    if not shared:
        raise FormatError("a public key of low order")
    return shared.to_bytes(KEY_SIZE, "little")
