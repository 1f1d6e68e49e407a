"""From captured bytes to frames, one direction of one wire at a time."""

import struct
from binascii import crc32


def take_varint(data, at):
    """Return the number at that place and the place behind it."""
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return number, at


def from_tcp(data):
    at = 0
    while at < len(data):
        size, at = take_varint(data, at)
        yield data[at : at + size]
        at += size


def from_serial(data):
    for block in data.split(b"\0"):
        checked = _without_cobs(block)
        if len(checked) > 4 and crc32(checked[:-4]) == int.from_bytes(checked[-4:], "big"):
            yield checked[:-4]


def _without_cobs(block):
    """Return what a block held (Cheshire and Baker 1999); nonsense where it is damaged."""
    plain, at = bytearray(), 0
    while at < len(block):
        size = block[at]
        plain += block[at + 1 : at + size]
        at += size
        if size < 0xFF and at < len(block):
            plain.append(0)
    return bytes(plain)


def from_websocket(data):
    """Of a connection's one direction, from its HTTP head on (RFC 6455, 5.2)."""
    at = data.index(b"\r\n\r\n") + 4
    while at + 2 <= len(data):
        opcode, size = data[at] & 0x0F, data[at + 1] & 0x7F
        is_masked = data[at + 1] & 0x80
        at += 2
        if size == 126:
            (size,), at = struct.unpack_from(">H", data, at), at + 2
        mask, at = (data[at : at + 4], at + 4) if is_masked else (bytes(4), at)
        if opcode == 2:
            yield bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[at : at + size]))
        at += size


def from_ble(values):
    """From what was written, or notified, to one characteristic."""
    frame, number = b"", 0
    for value in values:
        if value[0] & 0x80:
            continue  # credit
        assert value[0] & 0x3F == number, "a value is missing"
        number = (number + 1) & 0x3F
        frame += value[1:]
        if value[0] & 0x40:
            yield frame
            frame = b""


def from_bus(data, kind, address):
    """From all that is said on a line: kind 5 to that node, 6 from it."""
    for frame in from_serial(data):
        if frame[0] == kind and frame[1] == address:
            yield frame[2:]


def whole(frames):
    """Yield frames, those that say handshake messages in parts put together first."""
    parts = {}
    for frame in frames:
        first = frame[0]
        if first & 0x80 or first < 8:
            yield frame
            continue
        kind, number = first & 7, first >> 3 & 7
        of_message = parts.setdefault((kind, frame[1:3]), {})
        of_message[number] = frame[3:], first & 0x40
        last = [place for place, (_, more) in of_message.items() if not more]
        if last and len(of_message) == last[0] + 1:
            message = bytes([kind]) + b"".join(of_message[place][0] for place in sorted(of_message))
            assert crc32(message) & 0xFFFF == int.from_bytes(frame[1:3], "big")
            yield message
