"""
Integers modulo 2^255 - 19, as Python's own: the arithmetic of X25519 and Ed25519.

Values are reduced lazily: they may be up to about 2^290, of either sign (`&` and `>>` are
exact on negative integers). A *fold* takes what is above bit 255 down, times 19; on an
RP2040 it takes 56 us where `% P` takes 174. Two folds bring a product back to 256 bits.
Who adds up results may multiply them once more before folding twice again.

What takes long is a generator that yields every few ms; its result is its return value.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeAlias

    Steps: TypeAlias = Generator[None, None, Any]

P = (1 << 255) - 19
MASK = (1 << 255) - 1
STEP_SQUARINGS = 12  # between two yields: about 3 ms on an RP2040


def multiply(a: int, b: int) -> int:
    x = a * b
    x = (x & MASK) + (x >> 255) * 19
    return (x & MASK) + (x >> 255) * 19


def invert(z: int) -> "Steps":
    """Return 1 / z, lazily reduced; 0 for 0."""
    a, z11 = yield from _to_2_250_minus_1(z)
    return multiply((yield from _square_times(a, 5)), z11)


def power_58(z: int) -> "Steps":
    """Return z^((P - 5) / 8), from which square roots are made (RFC 8032, 5.1.3)."""
    a, _ = yield from _to_2_250_minus_1(z)
    return multiply((yield from _square_times(a, 2)), z)


def _to_2_250_minus_1(z: int) -> "Steps":
    """Return z^(2^250 - 1) and z^11: the chain of 254 squarings, without three-argument pow."""
    z2 = multiply(z, z)
    z9 = multiply((yield from _square_times(z2, 2)), z)
    z11 = multiply(z9, z2)
    a = multiply(multiply(z11, z11), z9)
    b = multiply((yield from _square_times(a, 5)), a)
    c = multiply((yield from _square_times(b, 10)), b)
    d = multiply((yield from _square_times(c, 20)), c)
    d = multiply((yield from _square_times(d, 10)), b)
    e = multiply((yield from _square_times(d, 50)), d)
    f = multiply((yield from _square_times(e, 100)), e)
    return multiply((yield from _square_times(f, 50)), d), z11


def _square_times(x: int, count: int) -> "Steps":
    done = 0
    yield
    while count:
        x = x * x
        x = (x & MASK) + (x >> 255) * 19
        count -= 1
        if count:
            x = x * x
            x = (x & MASK) + (x >> 255) * 19
            count -= 1
        x = (x & MASK) + (x >> 255) * 19
        done += 2
        if done > STEP_SQUARINGS:
            done = 0
            yield
    return x
