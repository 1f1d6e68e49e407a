"""
Ed25519 signatures, RFC 8032, in plain Python, and X25519 keys by the same fixed base.

One seed makes both keys of a device: the scalar that RFC 8032 makes of it is its X25519
private key, so that one public key stands for both (DESIGN.md).

`verify` is without cofactor; it refuses S >= L and y >= P. A signer's key comes only out of
a certificate or a device's provisioning, so small orders are not looked for.
"""

from edge_peer.core.errors import FormatError
from edge_peer.security.edwards import (
    D2,
    add_affine,
    add_projective,
    comb,
    compress,
    decompress,
    double,
    entry,
    montgomery,
    projective,
)
from edge_peer.security.field import P, invert, multiply
from edge_peer.security.key import Key
from edge_peer.security.sha512 import sha512
from edge_peer.security.tables import BASE_COMB, BASE_ODD
from edge_peer.security.x25519 import clamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.security.field import Steps

L = (1 << 252) + 27742317777372353535851937790883648493
SIGNATURE_SIZE = 64
_BASE_WINDOW = 5  # bits; a table of 8 odd multiples
_KEY_WINDOW = 4


def expand(seed: bytes) -> "Steps":
    """Return the Key of a seed."""
    digest = yield from sha512(seed)
    private = clamp(digest[:32])
    point = yield from comb(((int.from_bytes(private, "little"), BASE_COMB),))
    signer = yield from compress(*point)
    public = yield from montgomery(signer)
    return Key(bytes(seed), private, digest[32:], signer, public)


def public_of(private: bytes) -> "Steps":
    """Return the X25519 public key: 176 ms where the ladder takes 406 on an RP2040."""
    scalar = int.from_bytes(clamp(private), "little")
    _, y, z = yield from comb(((scalar, BASE_COMB),))
    return ((z + y) * (yield from invert(z - y)) % P).to_bytes(32, "little")


def sign(key: Key, message: bytes) -> "Steps":
    """Return the 64 bytes of the signature."""
    r = int.from_bytes((yield from sha512(key.prefix + message)), "little") % L
    point = yield from comb(((r, BASE_COMB),))
    commitment = yield from compress(*point)
    k = int.from_bytes((yield from sha512(commitment + key.signer + message)), "little") % L
    s = (r + k * int.from_bytes(key.private, "little")) % L
    return commitment + s.to_bytes(32, "little")


def verify(signer: bytes, signature: bytes, message: bytes, table: bytes = b"") -> "Steps":
    """Return whether it is valid. table: the comb of the signer's negated key, twice as fast."""
    if len(signature) != SIGNATURE_SIZE or len(signer) != 32:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    digest = yield from sha512(signature[:32] + signer + message)
    k = int.from_bytes(digest, "little") % L
    if table:
        point = yield from comb(((s, BASE_COMB), (k, table)))
    else:
        try:
            x, y = yield from decompress(signer)
        except FormatError:
            return False
        point = yield from _base_and_key(s, k, P - x, y)
    return (yield from compress(*point)) == signature[:32]


def _base_and_key(s: int, k: int, x: int, y: int) -> "Steps":
    """Return s * base + k * (x, y), by windows of digits that are odd or nothing."""
    multiples = yield from _odd_multiples(x, y)
    base_digits = _digits(s, _BASE_WINDOW)
    yield
    key_digits = _digits(k, _KEY_WINDOW)
    yield
    point = 0, 1, 1
    i = len(base_digits) - 1
    while i >= 0 and not (base_digits[i] or key_digits[i]):
        i -= 1
    while i >= 0:
        factors = double(*point)
        digit = base_digits[i]
        if digit:
            t = multiply(factors[0], factors[3])
            plus, minus, product = entry(BASE_ODD, (digit if digit < 128 else 256 - digit) >> 1)
            if digit >= 128:
                plus, minus, product = minus, plus, -product
            factors = add_affine(projective(*factors), t, plus, minus, product)
        digit = key_digits[i]
        if digit:
            t = multiply(factors[0], factors[3])
            index = (digit if digit < 128 else 256 - digit) >> 1
            plus, minus, twice_z, product = multiples[index]
            if digit >= 128:
                plus, minus, product = minus, plus, -product
            factors = add_projective(projective(*factors), t, plus, minus, twice_z, product)
        point = projective(*factors)
        i -= 1
        if i & 1:
            yield
    return point


def _odd_multiples(x: int, y: int) -> "Steps":
    """Return 1, 3, 5 and 7 times (x, y), as `add_projective` takes them."""
    point, t = (x, y, 1), x * y % P
    factors = double(*point)
    x2, y2, z2 = projective(*factors)
    twice = y2 + x2, y2 - x2, 2 * z2, multiply(D2, multiply(factors[0], factors[3]))
    found = []
    for _ in range(4):
        x, y, z = point
        found.append((y + x, y - x, 2 * z, multiply(D2, t)))
        factors = add_projective(point, t, *twice)
        point, t = projective(*factors), multiply(factors[0], factors[3])
        yield
    return found


def _digits(number: int, width: int) -> bytearray:
    """Return the number's signed digits of `width` bits, each a byte in two's complement."""
    digits = bytearray(258)
    mask = (1 << width) - 1
    half = 1 << (width - 1)
    i = 0
    while number:
        if number & 1:
            digit = number & mask
            if digit >= half:
                digit -= mask + 1
            digits[i] = digit & 255
            number -= digit
        number >>= 1
        i += 1
    return digits
