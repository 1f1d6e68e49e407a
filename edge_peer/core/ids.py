"""
Names: how long they are at most, and those that follow from other things.

An automatic id is the first write's stamp and author in 19 characters of an
alphabet that sorts as its digits do (RFC 4648, 5, reordered), so that ids sort by time
and need no bytes on the wire: the write itself implies them (SPEC.md, "Ids").
"""

from hashlib import sha256

COLLECTION_BYTES_MAX = 64  # of a collection's name
ID_BYTES_MAX = 128

_ALPHABET = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


_last = [b"", b""]  # the author that was asked for last, most often this device, and its digits


def automatic_id(stamp: int, author: bytes) -> str:
    """Return the id of the document that this write inserted: 48 + 64 bits, 19 characters."""
    if author != _last[0]:
        _last[:] = author, bytes(_digits(b"\0" + author)[1:])
    return (_digits(stamp.to_bytes(6, "big")) + _last[1]).decode()


def author_of(device_id: bytes, incarnation: bytes) -> bytes:
    """Return the 8-byte author of a device's writes since its store was created.

    incarnation: 4 random bytes, drawn with each new store. A device that has lost
    its flash is another author, so no dot is ever used twice.
    """
    return sha256(b"edge-author-v1" + device_id + incarnation).digest()[:8]


def _digits(number: bytes) -> bytearray:
    """Return four digits for each three bytes.

    In bytes and 24 bits at a time: a board looks every text of one character up in a
    table, and computes slowly with what has more than 30 bits.
    """
    digits = bytearray()
    for i in range(0, len(number), 3):
        four = number[i] << 16 | number[i + 1] << 8 | number[i + 2]
        digits.append(_ALPHABET[four >> 18])
        digits.append(_ALPHABET[four >> 12 & 63])
        digits.append(_ALPHABET[four >> 6 & 63])
        digits.append(_ALPHABET[four & 63])
    return digits
