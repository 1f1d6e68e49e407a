"""
Make revocation.json: revocation lists as SPEC.md has them, and what is none.

    .venv/bin/python tests/vectors/make_revocations.py

Nothing of edge_peer is imported here; see make_certificates.py.
"""

import hashlib
import struct

from make import HERE, lines
from make_certificates import AUTHORITY, OTHER, app_id, public
from make_messages import varint


def body(version=1, issued=1000, floor=1, steps=(), count=None, magic=0xD1):
    head = struct.pack(
        ">BIIIH", magic, version, issued, floor, len(steps) if count is None else count
    )
    return head + varint(*steps)


def message(content, app=AUTHORITY):
    return b"edge-revoke-v1" + hashlib.sha256(app_id(app) + content).digest()


def signed(content, by=AUTHORITY):
    return content + by.sign(message(content))


LISTS = [
    ("nobody", dict(), []),
    ("one", dict(version=2, steps=(7,)), [7]),
    ("neighbours", dict(version=3, steps=(7, 1, 1)), [7, 8, 9]),
    ("far apart", dict(version=4, steps=(1, 127, 128, 100_000)), [1, 128, 256, 100_256]),
    ("above a floor", dict(version=5, floor=1000, steps=(1, 5)), [1000, 1005]),
    ("all below the last", dict(version=2**32 - 1, floor=2**32 - 1, steps=(1,)), [2**32 - 1]),
    ("as long as can be", dict(version=6, steps=(1,) * 921), list(range(1, 922))),
]
REFUSED = [
    ("nothing", b""),
    ("another version", signed(body(magic=0xD2))),
    ("version 0", signed(body(version=0))),
    ("floor 0", signed(body(floor=0, steps=(2,)))),
    ("the same serial twice", signed(body(steps=(1, 0)))),
    ("a serial above 32 bits", signed(body(steps=(2**32,)))),
    ("fewer serials than it says", signed(body(steps=(1,), count=2))),
    ("more serials than it says", signed(body(steps=(1, 1), count=1))),
    ("a number in no shortest form", signed(body(count=1) + b"\x81\x00")),
    ("longer than a message", signed(body(steps=(1,) * 922))),
]


def main():
    content = {
        "about": "Revocation lists, and one that another app's authority has signed.",
        "authority": public(AUTHORITY).hex(),
        "app_id": app_id(AUTHORITY).hex(),
        "lists": [
            {
                "name": name,
                "version": fields.get("version", 1),
                "issued_s": fields.get("issued", 1000),
                "floor": fields.get("floor", 1),
                "serials": serials,
                "message": message(body(**fields)).hex(),
                "hex": signed(body(**fields)).hex(),
            }
            for name, fields, serials in LISTS
        ],
        "forged": signed(body(version=9, steps=(1,)), by=OTHER).hex(),
        "refused": [{"name": name, "hex": raw.hex()} for name, raw in REFUSED],
    }
    (HERE / "revocation.json").write_text(lines(content))


if __name__ == "__main__":
    main()
