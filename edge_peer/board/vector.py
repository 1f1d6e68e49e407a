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
def prepare(mac: ptr32, keys: ptr32, last: ptr32, first: ptr32, size: int):
    """Write A_0 … to keys; to mac B_0, without what CBC has in it, and zeros behind the text."""
    a = first[0]
    b = first[1]
    c = first[2]
    d = first[3]
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
    mac[0] = (a ^ 0x18) ^ last[0]  # flags 1 become 0x19: a tag of 8, two bytes of length
    mac[1] = b ^ last[1]
    mac[2] = c ^ last[2]
    mac[3] = (d | ((size >> 8) << 16) | ((size & 255) << 24)) ^ last[3]
    text = ptr8(mac)
    i = 16 + size
    end = 16 + ((size + 15) & ~15)
    while i < end:
        text[i] = 0
        i += 1


@micropython.viper
def finish(text: ptr32, keys: ptr32, mac: ptr32, last: ptr32, size: int):
    """Encrypt the text, keep CBC's last block, and put the tag behind the text."""
    words = (size + 3) >> 2
    i = 0
    while i < words:
        text[i] = text[i] ^ keys[i + 4]
        i += 1
    at = ((size + 15) >> 4) << 2
    last[0] = mac[at]
    last[1] = mac[at + 1]
    last[2] = mac[at + 2]
    last[3] = mac[at + 3]
    out = ptr8(text)
    tag = ptr8(last)
    key = ptr8(keys)
    i = 0
    while i < 8:
        out[size + i] = tag[i] ^ key[i]
        i += 1


@micropython.viper
def check(keys: ptr32, mac: ptr32, last: ptr32, given: ptr8, size: int) -> int:
    """Keep CBC's last block; return 0 if the tag is the one that was given."""
    at = ((size + 15) >> 4) << 2
    last[0] = mac[at]
    last[1] = mac[at + 1]
    last[2] = mac[at + 2]
    last[3] = mac[at + 3]
    tag = ptr8(last)
    key = ptr8(keys)
    i = 0
    difference = 0
    while i < 8:
        difference = difference | (tag[i] ^ key[i] ^ given[i])
        i += 1
    return difference
