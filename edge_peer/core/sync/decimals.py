"""
Floats as what people write: an integer and how many of its digits stand behind the point.

A thermometer's 21.53 is a float of 8 bytes (4 on a board), and 2153 with two decimals.
Both ways are computed in integers, since a board with 32-bit floats has to carry
64-bit ones without losing a bit. Big-endian IEEE 754, as in MessagePack.
"""

SCALE_MAX = 7  # decimals
_NUMBER_END = 1 << 53
_LIMITS = {4: (24, 127), 8: (53, 1023)}  # size -> (bits of the significand, bias of the exponent)


def float_of(number: int, scale: int, size: int) -> bytes:
    """Return the float of `size` bytes that is nearest to number / 10**scale, ties to even."""
    precision, bias = _LIMITS[size]
    if not number:
        return bytes(size)
    sign, number = (1, -number) if number < 0 else (0, number)
    ten: int = 10**scale
    shift = max(0, precision + 1 + _bit_count(ten) - _bit_count(number))
    quotient = (number << shift) // ten
    is_exact = quotient * ten == number << shift
    extra = _bit_count(quotient) - precision
    half = 1 << (extra - 1)
    rest = quotient & (2 * half - 1)
    quotient >>= extra
    shift -= extra
    if rest > half or (rest == half and (quotient & 1 or not is_exact)):
        quotient += 1
        if quotient >> precision:
            quotient >>= 1
            shift -= 1
    exponent = precision - 1 - shift + bias
    fraction = quotient - (1 << (precision - 1))
    bits: int = sign << (8 * size - 1) | exponent << (precision - 1) | fraction
    return bits.to_bytes(size, "big")


def number_of(raw: bytes, scale: int) -> "int | None":
    """Return the number that `float_of` makes exactly these bytes of, or None."""
    size = len(raw)
    precision, bias = _LIMITS[size]
    bits = int.from_bytes(raw, "big")
    exponent = bits >> (precision - 1) & (2 * bias + 1)
    shift = precision - 1 + bias - exponent  # the float is its significand / 2**shift
    if not bits:
        return 0
    if not 1 - precision < shift < 2 * precision or not exponent:
        return None
    one = 1 << (precision - 1)
    number = (bits & (one - 1) | one) * 10**scale
    number = number << -shift if shift <= 0 else (number + (1 << (shift - 1))) >> shift
    if number >= _NUMBER_END:
        return None
    if bits >> (8 * size - 1):
        number = -number
    return number if float_of(number, scale, size) == raw else None


def _bit_count(number: int) -> int:
    count = 1
    for step in (64, 32, 16, 8, 4, 2, 1):
        if number >> step:
            number >>= step
            count += step
    return count
