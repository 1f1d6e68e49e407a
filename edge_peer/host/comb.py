"""
Tables of multiples of a point, for boards (edge_peer/security/edwards.py says of which).

    python -m edge_peer.host.comb > edge_peer/security/tables.py

Affine arithmetic, exact and slow: a table takes some 10 ms.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from edge_peer.security.edwards import COMB_COLUMNS, COMB_TEETH, D, decompress
from edge_peer.security.field import P

if TYPE_CHECKING:
    from edge_peer.security.field import Steps

Affine = tuple[int, int]

BASE = (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")
ODD_COUNT = 8


def table_of(signer: bytes) -> bytes:
    """Return the comb table of the negated Ed25519 public key; raises FormatError."""
    x, y = _finish(decompress(signer))
    return _comb((P - x, y))


def base_comb() -> bytes:
    return _comb(_finish(decompress(BASE)))


def base_odd() -> bytes:
    """Return 1, 3, 5 … 15 times the base."""
    base = _finish(decompress(BASE))
    return b"".join(_niels(_multiply(2 * i + 1, base)) for i in range(ODD_COUNT))


def sha512_constants() -> tuple[bytes, bytes]:
    """Return the fractions of the roots of primes that FIPS 180-4 takes: cubic, square."""
    primes = [p for p in range(2, 410) if all(p % q for q in range(2, isqrt(p) + 1))][:80]
    cubes = [(_cube_root(p << 192) & (1 << 64) - 1).to_bytes(8, "big") for p in primes]
    squares = [(isqrt(p << 128) & (1 << 64) - 1).to_bytes(8, "big") for p in primes[:8]]
    return b"".join(cubes), b"".join(squares)


def source() -> str:
    """Return the text of security/tables.py."""
    constants, start = sha512_constants()
    tables = {
        "SHA512_CONSTANTS": constants,
        "SHA512_START": start,
        "BASE_COMB": base_comb(),
        "BASE_ODD": base_odd(),
    }
    text = '"""Constants of SHA-512, and multiples of the base of Ed25519; by host/comb.py."""\n'
    for name, table in tables.items():
        lines = [table[i : i + 24] for i in range(0, len(table), 24)]
        text += f"\n{name} = (\n" + "".join(f"    {_literal(line)}\n" for line in lines) + ")\n"
    return text


def _literal(data: bytes) -> str:
    return 'b"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'


def _comb(point: Affine) -> bytes:
    teeth = [_multiply(1 << (COMB_COLUMNS * i), point) for i in range(COMB_TEETH)]
    entries = []
    for index in range(1, 1 << COMB_TEETH):
        total = (0, 1)
        for i in range(COMB_TEETH):
            if index >> i & 1:
                total = _add(total, teeth[i])
        entries.append(_niels(total))
    return b"".join(entries)


def _niels(point: Affine) -> bytes:
    x, y = point
    return b"".join((v % P).to_bytes(32, "little") for v in (y + x, y - x, 2 * D * x * y))


def _add(a: Affine, b: Affine) -> Affine:
    x1, y1 = a
    x2, y2 = b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P)
    return x % P, y % P


def _multiply(scalar: int, point: Affine) -> Affine:
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _cube_root(number: int) -> int:
    guess = 1 << ((number.bit_length() + 2) // 3)
    while True:
        better = (2 * guess + number // (guess * guess)) // 3
        if better >= guess:
            return guess
        guess = better


def _finish(steps: Steps) -> Affine:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            x, y = done.value
            return x, y


if __name__ == "__main__":
    print(source(), end="")
