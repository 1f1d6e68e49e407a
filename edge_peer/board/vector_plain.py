"""The functions of vector.py in plain Python, five to ten times slower."""


def xor(out: bytearray, a: bytearray, b: bytearray, words: int) -> None:
    size = 4 * words
    number = int.from_bytes(a[:size], "big") ^ int.from_bytes(b[:size], "big")
    out[:size] = number.to_bytes(size, "big")


def counters(out: bytearray, first: bytearray, count: int) -> None:
    for i in range(count):
        out[16 * i : 16 * i + 15] = first[:15]
        out[16 * i + 15] = i


def prepare(mac: bytearray, keys: bytearray, last: bytearray, first: bytearray, size: int) -> None:
    counters(keys, first, (size + 31) >> 4)
    mac[:16] = first
    mac[0] ^= 0x18
    mac[14] = size >> 8
    mac[15] = size & 255
    xor(mac, mac, last, 4)
    end = 16 + ((size + 15) & ~15)
    mac[16 + size : end] = bytes(end - 16 - size)


def finish(text: memoryview, keys: bytearray, mac: bytearray, last: bytearray, size: int) -> None:
    xor(text, text, keys[16:], (size + 3) >> 2)
    end = 16 + ((size + 15) & ~15)
    last[:] = mac[end - 16 : end]
    for i in range(8):
        text[size + i] = last[i] ^ keys[i]


def check(keys: bytearray, mac: bytearray, last: bytearray, given: memoryview, size: int) -> int:
    end = 16 + ((size + 15) & ~15)
    last[:] = mac[end - 16 : end]
    difference = 0
    for i in range(8):
        difference |= last[i] ^ keys[i] ^ given[i]
    return difference
