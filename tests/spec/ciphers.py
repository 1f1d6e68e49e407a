"""AES-128 (FIPS 197) and CCM (RFC 3610, L = 2), slowly: enough to read, not to send."""

import hmac
from hashlib import sha256

BLOCK = 16


def hmac256(key, data):
    return hmac.new(key, data, sha256).digest()


def _double(byte):
    """Multiply by x in GF(2^8) of FIPS 197, 4.2."""
    return (byte << 1) ^ (0x11B if byte & 0x80 else 0)


def _s_box():
    """Return the table of FIPS 197, 5.1.1, from powers of 3, which reach every element."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= _double(value)
    box = [0x63] * 256
    for exponent, value in enumerate(powers):
        inverse = powers[-exponent % 255]
        turned = inverse
        for _ in range(4):
            inverse = (inverse << 1 | inverse >> 7) & 0xFF
            turned ^= inverse
        box[value] = turned ^ 0x63
    return box


S_BOX = _s_box()


class Aes:
    def __init__(self, key):
        words, constant = [key[i : i + 4] for i in range(0, BLOCK, 4)], 1
        while len(words) < 44:
            word = words[-1]
            if len(words) % 4 == 0:
                word = bytes(S_BOX[byte] for byte in word[1:] + word[:1])
                word = bytes([word[0] ^ constant]) + word[1:]
                constant = _double(constant)
            words.append(bytes(a ^ b for a, b in zip(word, words[-4], strict=True)))
        self._rounds = [b"".join(words[i : i + 4]) for i in range(0, 44, 4)]

    def encrypt(self, block):
        state = _xor(block, self._rounds[0])
        for number, key in enumerate(self._rounds[1:], 1):
            state = [S_BOX[state[i * 5 % BLOCK]] for i in range(BLOCK)]  # and rows are shifted
            if number < 10:
                columns = (state[i : i + 4] for i in range(0, BLOCK, 4))
                state = [byte for column in columns for byte in _mixed(column)]
            state = _xor(state, key)
        return bytes(state)


def _mixed(column):
    whole = column[0] ^ column[1] ^ column[2] ^ column[3]
    pairs = zip(column, column[1:] + column[:1], strict=True)
    return [a ^ whole ^ _double(a ^ b) for a, b in pairs]


def _xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=False))


def open_ccm(key, nonce, sealed, tag_size):
    """Return what was sealed with no other data, or None where the tag does not fit."""
    aes = Aes(key)

    def stream(number):
        return aes.encrypt(b"\1" + nonce + number.to_bytes(2, "big"))

    text, tag = sealed[:-tag_size], sealed[-tag_size:]
    plain = b"".join(
        _xor(text[at : at + BLOCK], stream(at // BLOCK + 1)) for at in range(0, len(text), BLOCK)
    )
    flags = (tag_size - 2) // 2 << 3 | 1
    mac = aes.encrypt(bytes([flags]) + nonce + len(plain).to_bytes(2, "big"))
    for at in range(0, len(plain), BLOCK):
        mac = aes.encrypt(_xor(mac, plain[at : at + BLOCK].ljust(BLOCK, b"\0")))
    return plain if _xor(mac, stream(0))[:tag_size] == tag else None
