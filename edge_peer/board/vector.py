"""
The inner loops of CCM as machine code (viper): no allocation, and ten times as fast.

Buffers are aligned to four bytes, and as long as whole words are. vector_plain.py has the
same functions for processors that MicroPython makes no machine code for. Word order is that
of little-endian processors, which all of MicroPython's are.
"""

import micropython


@micropython.viper
def xor(out: ptr32, a: ptr32, b: ptr32, words: int):
    i = 0
    while i < words:
        out[i] = a[i] ^ b[i]
        i += 1


@micropython.viper
def counters(out: ptr32, first: ptr32, count: int):
    """Write A_0 … of RFC 3610; first: A_0, at most 256 of them."""
    a = first[0]
    b = first[1]
    c = first[2]
    d = first[3] & 0xFFFF
    i = 0
    at = 0
    while i < count:
        out[at] = a
        out[at + 1] = b
        out[at + 2] = c
        out[at + 3] = d | (i << 24)
        i += 1
        at += 4


@micropython.viper
def prepare(mac: ptr32, keys: ptr32, state: ptr32, size: int):
    """Write A_0 … to keys; to mac B_0, without what CBC has in it, and zeros behind the text.

    state: of a RecordCipher, A_0 | CBC's last block.
    """
    a = state[0]
    b = state[1]
    c = state[2]
    d = state[3]
    i = 0
    at = 0
    count = (size + 31) >> 4
    while i < count:
        keys[at] = a
        keys[at + 1] = b
        keys[at + 2] = c
        keys[at + 3] = d | (i << 24)
        i += 1
        at += 4
    mac[0] = (a ^ 0x18) ^ state[4]  # flags 1 become 0x19: a tag of 8, two bytes of length
    mac[1] = b ^ state[5]
    mac[2] = c ^ state[6]
    mac[3] = (d | ((size >> 8) << 16) | ((size & 255) << 24)) ^ state[7]
    text = ptr8(mac)
    i = 16 + size
    end = 16 + ((size + 15) & ~15)
    while i < end:
        text[i] = 0
        i += 1


@micropython.viper
def finish(out: ptr32, keys: ptr32, mac: ptr32, state: ptr32, size: int):
    """Encrypt the text, which begins at 16, put head and tag around it; keep CBC's last block."""
    end = ((size + 3) >> 2) + 4
    i = 4
    while i < end:
        out[i] = out[i] ^ keys[i]
        i += 1
    at = ((size + 15) >> 4) << 2
    state[4] = mac[at]
    state[5] = mac[at + 1]
    state[6] = mac[at + 2]
    state[7] = mac[at + 3]
    record = ptr8(out)
    nonce = ptr8(state)
    record[13] = nonce[1]
    record[14] = nonce[12]
    record[15] = nonce[13]
    key = ptr8(keys)
    i = 0
    while i < 8:
        record[16 + size + i] = nonce[16 + i] ^ key[i]
        i += 1


@micropython.viper
def check(keys: ptr32, mac: ptr32, state: ptr32, given: ptr8, size: int) -> int:
    """Keep CBC's last block; return 0 if the tag is the one that was given."""
    at = ((size + 15) >> 4) << 2
    state[4] = mac[at]
    state[5] = mac[at + 1]
    state[6] = mac[at + 2]
    state[7] = mac[at + 3]
    tag = ptr8(state)
    key = ptr8(keys)
    i = 0
    difference = 0
    while i < 8:
        difference = difference | (tag[16 + i] ^ key[i] ^ given[i])
        i += 1
    return difference
