"""From frames to link messages: a resumed handshake, its records, the link in them."""

from hashlib import sha256

from .ciphers import hmac256, open_ccm
from .wires import take_varint, whole

R1, R2 = 4, 5
KEY_OF_CERTIFICATE = slice(19, 51)


class Ticket:
    """What one side remembers of a handshake: a file t-ID as SPEC.md, "Identity" has it."""

    def __init__(self, data):
        self.id, self.auth = data[2:10], data[10:42]
        self.chains = [(data[42:74], data[74:78]), (data[78:110], data[110:114])]
        self.key = data[122:][KEY_OF_CERTIFICATE]  # of the other side

    def keys(self, n):
        """Yield key n of either chain."""
        for chain, at in self.chains:
            for _ in range(n - int.from_bytes(at, "big")):
                chain = hmac256(chain, b"n")
            yield hmac256(chain, b"k")


def keys_of(ticket, r1, r2):
    """Return the keys of both directions, of R1's sender first, or None if R2 answers another.

    A key is 16 bytes for AES and 4 of iv.
    """
    assert r1[1:9] == ticket.id, "this ticket is of another handshake"
    assert hmac256(ticket.auth, r1[:-12])[:12] == r1[-12:], "R1 is by somebody else"
    randoms = r1[13:29] + r2[1:17]
    for key in ticket.keys(int.from_bytes(r1[9:13], "big")):
        prk = hmac256(key, randoms)
        if hmac256(prk, b"R2" + r1 + r2[1:17])[:12] == r2[17:]:
            return hmac256(prk, b"EDB1 r1")[:20], hmac256(prk, b"EDB1 r2")[:20]
    return None


def author_of(key, incarnation):
    return sha256(b"edge-author-v1" + key + incarnation).digest()[:8]


def opened(records, key):
    """Yield the payloads of one direction's records, each once."""
    epoch, highest, seen = 0, 0, set()
    for record in records:
        low = int.from_bytes(record[1:3], "big")
        counter = min((high << 16 | low for high in range(4)), key=lambda one: abs(one - highest))
        while epoch < counter >> 15:
            key, epoch = hmac256(key, b"rekey")[:20], epoch + 1
        nonce = record[:1] + key[16:] + counter.to_bytes(8, "big")
        payload = open_ccm(key[:16], nonce, record[3:], 8)
        if payload is not None and counter not in seen:
            seen.add(counter)
            highest = max(highest, counter)
            yield payload


class Direction:
    """What one side said on a link: `incarnation`, and its messages in order."""

    def __init__(self, payloads):
        self.incarnation, self.messages = b"", []
        expected, message = 0, b""
        for payload in payloads:
            kind = payload[0]
            if kind in (1, 2):
                _, at = take_varint(payload, 11)
                _, at = take_varint(payload, at)
                self.incarnation = payload[at : at + 4]
            elif kind & 0x7F == 3 and payload[1] == expected:
                expected = (expected + 1) & 0xFF
                message += payload[3:]
                if not kind & 0x80:
                    self.messages.append(message)
                    message = b""


def read_link(ticket, *captured):
    """Read the frames of both directions of one link; either may have begun.

    Returns a Direction for each. Raises LookupError where no handshake was finished.
    """
    frames = [list(whole(one)) for one in captured]
    for first in (0, 1):
        for r1 in (one for one in frames[first] if one[0] == R1):
            for r2 in (one for one in frames[1 - first] if one[0] == R2):
                keys = keys_of(ticket, r1, r2)
                if keys is not None:
                    return [
                        Direction(opened((one for one in said if one[0] & 0x80), key))
                        for said, key in zip(frames, keys[:: 1 - 2 * first], strict=True)
                    ]
    raise LookupError("no handshake was finished")
