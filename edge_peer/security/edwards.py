"""
Points of edwards25519: what X25519 of a fixed base, and Ed25519, are computed with.

A point is (X, Y, Z) with x = X/Z, y = Y/Z. Every step first gives the four factors
(e, f, g, h) of the extended coordinates of Hisil, Wong, Carter and Dawson (2008), from
which `_projective` and `_t` make what the next one needs. Tables hold y+x, y-x and 2dxy of
affine points, three times 32 bytes, little-endian.

A *comb* table of a fixed point has the 31 sums of its multiples by 2^52, 2^104, 2^156 and
2^208: a product by a scalar is then 52 doublings with one addition each (edge_peer/host/
comb.py makes them).
"""

from edge_peer.core.errors import FormatError
from edge_peer.security.field import MASK, P, invert, multiply, power_58

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.security.field import Steps

    Point = tuple[int, int, int]
    Factors = tuple[int, int, int, int]

D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3
D2 = 2 * D % P
SQRT_MINUS_1 = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0
COMB_TEETH = 5
COMB_COLUMNS = 52
COMB_SIZE = 31 * 96


def double(x: int, y: int, z: int) -> "Factors":
    m = MASK
    a = x * x
    a = (a & m) + (a >> 255) * 19
    b = y * y
    b = (b & m) + (b >> 255) * 19
    c = z * z
    c = (c & m) + (c >> 255) * 19
    h = a + b
    e = x + y
    e *= e
    e = h - ((e & m) + (e >> 255) * 19)
    g = a - b
    return e, c + c + g, g, h


def projective(e: int, f: int, g: int, h: int) -> "Point":
    m = MASK
    x = e * f
    x = (x & m) + (x >> 255) * 19
    x = (x & m) + (x >> 255) * 19
    y = g * h
    y = (y & m) + (y >> 255) * 19
    y = (y & m) + (y >> 255) * 19
    z = f * g
    z = (z & m) + (z >> 255) * 19
    z = (z & m) + (z >> 255) * 19
    return x, y, z


def add_affine(point: "Point", t: int, plus: int, minus: int, product: int) -> "Factors":
    """Add (y+x, y-x, 2dxy) of a table; t is the point's fourth coordinate."""
    m = MASK
    x, y, z = point
    a = (y - x) * minus
    a = (a & m) + (a >> 255) * 19
    b = (y + x) * plus
    b = (b & m) + (b >> 255) * 19
    c = t * product
    c = (c & m) + (c >> 255) * 19
    z = z + z
    return b - a, z - c, z + c, b + a


def add_projective(
    point: "Point", t: int, plus: int, minus: int, twice_z: int, product: int
) -> "Factors":
    """Add (Y+X, Y-X, 2Z, 2dT) of another point."""
    m = MASK
    x, y, z = point
    a = (y - x) * minus
    a = (a & m) + (a >> 255) * 19
    b = (y + x) * plus
    b = (b & m) + (b >> 255) * 19
    c = t * product
    c = (c & m) + (c >> 255) * 19
    z *= twice_z
    z = (z & m) + (z >> 255) * 19
    return b - a, z - c, z + c, b + a


def entry(table: bytes, index: int) -> "Point":
    at = 96 * index
    number = int.from_bytes
    return (
        number(table[at : at + 32], "little"),
        number(table[at + 32 : at + 64], "little"),
        number(table[at + 64 : at + 96], "little"),
    )


def comb(products: "tuple[tuple[int, bytes], ...]") -> "Steps":
    """Return the sum of scalar * point over (scalar, the point's comb table)."""
    point = 0, 1, 1
    for column in range(COMB_COLUMNS - 1, -1, -1):
        factors = double(*point)
        for scalar, table in products:
            index = 0
            for tooth in range(COMB_TEETH):
                index |= (scalar >> (column + tooth * COMB_COLUMNS) & 1) << tooth
            if index:
                t = multiply(factors[0], factors[3])
                factors = add_affine(projective(*factors), t, *entry(table, index - 1))
                yield
        point = projective(*factors)
        yield
    return point


def compress(x: int, y: int, z: int) -> "Steps":
    """Return the 32 bytes of RFC 8032, 5.1.2."""
    inverse = yield from invert(z)
    x = x * inverse % P
    y = y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data: bytes) -> "Steps":
    """Return (x, y), RFC 8032, 5.1.3; raises FormatError for what is no point."""
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= MASK
    if y >= P:
        raise FormatError("not a point of the curve")
    u = y * y - 1
    v = (D * (y * y % P) + 1) % P
    v3 = multiply(multiply(v, v), v)
    root = yield from power_58(multiply(multiply(u, v3), multiply(v3, v)))
    x = multiply(multiply(u, v3), root)
    w = v * multiply(x, x) % P
    if (w - u) % P:
        if (w + u) % P:
            raise FormatError("not a point of the curve")
        x = x * SQRT_MINUS_1
    x %= P
    if not x and sign:
        raise FormatError("not a point of the curve")
    return (P - x if x & 1 != sign else x), y


def montgomery(signer: bytes) -> "Steps":
    """Return the X25519 public key of an Ed25519 public key."""
    y = int.from_bytes(signer, "little") & MASK
    return ((1 + y) * (yield from invert(1 - y)) % P).to_bytes(32, "little")


def edwards(public: bytes, is_negative: bool) -> "Steps":
    """Return the Ed25519 public key of an X25519 public key and the sign of x."""
    u = int.from_bytes(public, "little")
    y = (u - 1) * (yield from invert(u + 1)) % P
    return (y | is_negative << 255).to_bytes(32, "little")
