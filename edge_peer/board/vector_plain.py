"""The functions of vector.py in plain Python, five to ten times slower."""


def xor(out: bytearray, a: bytearray, b: bytearray, words: int) -> None:
    size = 4 * words
    number = int.from_bytes(a[:size], "big") ^ int.from_bytes(b[:size], "big")
    out[:size] = number.to_bytes(size, "big")


def counters(out: bytearray, first: bytearray, count: int) -> None:
    for i in range(count):
        out[16 * i : 16 * i + 15] = first[:15]
        out[16 * i + 15] = i


def prepare(mac: bytearray, keys: bytearray, state: bytearray, size: int) -> None:
    counters(keys, state, (size + 31) >> 4)
    mac[:16] = state[:16]
    mac[0] ^= 0x18
    mac[14] = size >> 8
    mac[15] = size & 255
    xor(mac, mac, state[16:], 4)
    end = 16 + ((size + 15) & ~15)
    mac[16 + size : end] = bytes(end - 16 - size)


def finish(out: bytearray, keys: bytearray, mac: bytearray, state: bytearray, size: int) -> None:
    text = memoryview(out)[16:]
    xor(text, text, keys[16:], (size + 3) >> 2)
    end = 16 + ((size + 15) & ~15)
    state[16:] = mac[end - 16 : end]
    out[13] = state[1]
    out[14] = state[12]
    out[15] = state[13]
    for i in range(8):
        text[size + i] = state[16 + i] ^ keys[i]


def check(keys: bytearray, mac: bytearray, state: bytearray, given: memoryview, size: int) -> int:
    end = 16 + ((size + 15) & ~15)
    state[16:] = mac[end - 16 : end]
    difference = 0
    for i in range(8):
        difference |= state[16 + i] ^ keys[i] ^ given[i]
    return difference
