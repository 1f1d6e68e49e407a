"""
Names that follow from other things: automatic document ids and author numbers.

An automatic id is the first write's stamp and author in 19 characters of an
alphabet that sorts as its digits do (RFC 4648, 5, reordered), so that ids sort by time
and need no bytes on the wire: the write itself implies them (SPEC.md, "Ids").
"""

from hashlib import sha256

_ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


def automatic_id(stamp: int, author: bytes) -> str:
    """Return the id of the document that this write inserted: 48 + 64 bits, 19 characters."""
    return _text(stamp, 8) + _text(int.from_bytes(author, "big"), 11)


def author_of(device_id: bytes, incarnation: bytes) -> bytes:
    """Return the 8-byte author of a device's writes since its store was created.

    incarnation: 4 random bytes, drawn with each new store. A device that has lost
    its flash is another author, so no dot is ever used twice.
    """
    return sha256(b"edge-author-v1" + device_id + incarnation).digest()[:8]


def _text(value: int, length: int) -> str:
    digits = []
    for _ in range(length):
        digits.append(_ALPHABET[value & 63])
        value >>= 6
    return "".join(reversed(digits))
