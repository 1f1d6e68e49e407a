"""SHA-512, FIPS 180-4, for Ed25519: boards have no other. A block takes 47 ms on an RP2040."""

from edge_peer.security.tables import SHA512_CONSTANTS, SHA512_START

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.security.field import Steps

_BLOCK_SIZE = 128
_MASK = 0xFFFFFFFFFFFFFFFF


def sha512(data: bytes) -> "Steps":
    """Return the 64 bytes."""
    constants = _words(SHA512_CONSTANTS)
    yield
    size = len(data)
    data = (
        bytes(data) + b"\x80" + bytes((111 - size) % _BLOCK_SIZE) + (size * 8).to_bytes(16, "big")
    )
    state = _words(SHA512_START)
    for start in range(0, len(data), _BLOCK_SIZE):
        state = yield from _block(state, _words(data[start : start + _BLOCK_SIZE]), constants)
    return b"".join([word.to_bytes(8, "big") for word in state])


def _block(state: "list[int]", words: "list[int]", constants: "list[int]") -> "Steps":
    a, b, c, d, e, f, g, h = state
    for i in range(80):
        if i < 16:
            x = words[i]
        else:
            y = words[(i - 15) & 15]
            y |= y << 64  # so that a rotation is a shift
            z = words[(i - 2) & 15]
            z |= z << 64
            small = ((y >> 1) ^ (y >> 8)) & _MASK ^ (y & _MASK) >> 7
            x = ((z >> 19) ^ (z >> 61)) & _MASK ^ (z & _MASK) >> 6
            x = (small + x + words[(i - 7) & 15] + words[i & 15]) & _MASK
            words[i & 15] = x
        y = e | e << 64
        x += h + (((y >> 14) ^ (y >> 18) ^ (y >> 41)) & _MASK) + (g ^ e & (f ^ g)) + constants[i]
        y = a | a << 64
        h, g, f, e = g, f, e, (d + x) & _MASK
        x += (((y >> 28) ^ (y >> 34) ^ (y >> 39)) & _MASK) + (a & b ^ c & (a ^ b))
        d, c, b, a = c, b, a, x & _MASK
        if i & 7 == 7:
            yield
    mixed = (a, b, c, d, e, f, g, h)
    return [(state[i] + mixed[i]) & _MASK for i in range(8)]


def _words(data: bytes) -> "list[int]":
    return [int.from_bytes(data[i : i + 8], "big") for i in range(0, len(data), 8)]
