"""
Make reconcile.json: symbols of sets of documents, and what is said of them, as SPEC.md has it.

    .venv/bin/python tests/vectors/make_reconcile.py

Nothing of edge_peer is imported here. Which symbols have a document is computed in the slow
way, by trying each.
"""

from hashlib import sha256

from make import HERE, lines
from make_messages import STAMP, A, document, text, varint

SALT = bytes.fromhex("0011223344556677")
SYMBOL_COUNT = 24
SET_SIZE = 40


def body(number):
    return document((A, number, STAMP + number, [("n", 0, bytes([number]))]))


def key(collection, id, body):
    return sha256(SALT + text(collection) + text(id) + body).digest()[:6]


def numbers(stream):
    while True:
        for at in range(0, 32, 2):
            yield int.from_bytes(stream[at : at + 2], "big")
        stream = sha256(stream).digest()


def places(found, count):
    """The symbols among the first `count` that have it; `found` goes on behind the check."""
    place = 0
    while place < count:
        yield place
        draw = next(found) % 4096 + 1
        bound = (place + 1) * (place + 2) * 4096
        place += 1
        while (place + 1) * (place + 2) * draw < bound:
            place += 1


def symbols(keys, count):
    sums, counts = [0] * count, [0] * count
    for one in keys:
        found = numbers(sha256(SALT + one).digest())
        check = next(found) >> 2
        for place in places(found, count):
            sums[place] ^= int.from_bytes(one, "big") << 14 | check
            counts[place] += 1
    return [
        (total << 2 | number % 4).to_bytes(8, "big")
        for total, number in zip(sums, counts, strict=True)
    ]


def main():
    keys = [key("readings", f"r{number}", body(number)) for number in range(1, SET_SIZE + 1)]
    found = symbols(keys, SYMBOL_COUNT)
    prefixes = [one[:3] for one in keys[:2]]
    content = {
        "about": "The first symbols of 40 documents, by the salt of a link; messages of them.",
        "salt": SALT.hex(),
        "documents": [
            {
                "collection": "readings",
                "id": f"r{number}",
                "hex": body(number).hex(),
                "key": k.hex(),
            }
            for number, k in enumerate(keys, 1)
        ],
        "symbols": [one.hex() for one in found],
        "messages": [
            {"name": "more", "number": 20, "hex": "1814"},
            {
                "name": "symbols",
                "number": SET_SIZE,
                "hex": (b"\x19" + varint(SET_SIZE, 3) + b"".join(found[:3])).hex(),
            },
            {"name": "no more symbols", "number": 300, "hex": (b"\x19" + varint(300, 0)).hex()},
            {"name": "found", "number": 3, "hex": (b"\x1a\x03" + b"".join(prefixes)).hex()},
            {"name": "nothing found out", "number": 0, "hex": "1a00"},
        ],
    }
    (HERE / "reconcile.json").write_text(lines(content))


if __name__ == "__main__":
    main()
