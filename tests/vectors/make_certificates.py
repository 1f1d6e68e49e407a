"""
Make certificate.json: certificates as SPEC.md has them, and what is wrong with others.

    .venv/bin/python tests/vectors/make_certificates.py

Nothing of edge_peer is imported here: signatures and keys are the cryptography package's,
and the bytes are put together by the layout in SPEC.md.
"""

import hashlib
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from make import HERE, lines

P = 2**255 - 19
AUTHORITY, OTHER, DEVICE = (
    Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in (1, 2, 3)
)
NEVER = 0xFFFFFFFF


def public(private):
    return private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )


def app_id(private):
    return hashlib.sha256(b"edge-app-v1" + public(private)).digest()[:16]


def device_key(private):
    """The X25519 key, u = (1 + y) / (1 - y) of RFC 7748, and the sign of x."""
    number = int.from_bytes(public(private), "little")
    y, sign = number % 2**255, number >> 255
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little"), sign


def body(role=1, serial=1, times=(1, NEVER), app=AUTHORITY, name="a", permissions=b"", **other):
    key, sign = device_key(DEVICE)
    raw = other.get("raw_name", name.encode())
    return (
        struct.pack(
            ">BBBIII",
            other.get("magic", 0xC1),
            other.get("flags", sign | other.get("signs", 0) << 1),
            role,
            serial,
            *times,
        )
        + app_id(app)[:4]
        + other.get("key", key)
        + bytes([other.get("name_size", len(raw))])
        + raw
        + bytes([other.get("permissions_size", len(permissions))])
        + permissions
    )


def message(app, content):
    return b"edge-cert-v1" + hashlib.sha256(app_id(app) + content).digest()


def signed(content, by=AUTHORITY, app=None):
    return content + by.sign(message(app or by, content))


FIELDS = [
    ("a device", dict(name="device", times=(210_000_000, 241_536_000), serial=7)),
    ("the shortest", dict()),
    ("a relay that may read", dict(role=3, serial=2, name="gateway", permissions=b"\1\1*\1\0")),
    ("a Big Peer", dict(role=2, serial=NEVER, times=(0, 0), name="big")),
    ("a device that signs what it writes", dict(name="device", serial=8, signs=1)),
    ("the longest", dict(name="\u00e9" * 12, permissions=bytes(range(64)), serial=300)),
]


def good():
    """What the authority has signed, as (message, signature)."""
    return [(message(AUTHORITY, raw[:-64]).hex(), raw[-64:].hex()) for raw in (TIMED,)]


def certificates():
    for name, fields in FIELDS:
        content = body(**fields)
        begin, end = fields.get("times", (1, NEVER))
        yield {
            "name": name,
            "role": fields.get("role", 1),
            "serial": fields.get("serial", 1),
            "not_before_s": begin,
            "expiry_s": end,
            "signs": bool(fields.get("signs")),
            "device": fields.get("name", "a"),
            "permissions": fields.get("permissions", b"").hex(),
            "message": message(AUTHORITY, content).hex(),
            "certificate": signed(content).hex(),
        }


def refused():
    """What is no certificate, whoever signed it."""
    good = signed(body(name="device"))
    yield from (
        ("nothing", b""),
        ("another version", signed(body(magic=0xC2))),
        ("an unknown flag", signed(body(flags=4))),
        ("role 0", signed(body(role=0))),
        ("an unknown role", signed(body(role=4))),
        ("serial 0", signed(body(serial=0))),
        ("an end before the beginning", signed(body(times=(2, 1)))),
        ("no name", signed(body(name=""))),
        ("a name of 25 bytes", signed(body(name="a" * 25))),
        ("a name that is longer than its bytes", signed(body(name_size=24))),
        ("a name that is not UTF-8", signed(body(raw_name=b"\xff"))),
        ("a name with a surrogate", signed(body(raw_name=b"\xed\xa0\x80"))),
        ("a name with an escape character", signed(body(name="\x1b[2J"))),
        ("a name with a control character of two bytes", signed(body(name="\x9b2J"))),
        ("permissions of 65 bytes", signed(body(permissions=bytes(65)))),
        ("permissions shorter than they say", signed(body(permissions=b"abc", permissions_size=4))),
        ("permissions longer than they say", signed(body(permissions=b"abc", permissions_size=2))),
        ("a key of 256 bits", signed(body(key=b"\xff" * 32))),
        ("a key of 2^255 - 19", signed(body(key=P.to_bytes(32, "little")))),
        ("cut short", good[:-1]),
        ("longer than it says", good + b"\0"),
    )


TIMED = signed(body(name="device", times=(1000, 2000), serial=7))
EITHER = [1, 2, 3]


def checks():
    """Name, certificate, time, a time that has passed, serials revoked, roles, reason."""
    altered = TIMED[:2] + b"\3" + TIMED[3:]
    own_hint = signed(body(name="device", app=AUTHORITY), by=OTHER, app=AUTHORITY)
    yield from (
        ("good", TIMED, 1500, 0, [], EITHER, 0),
        ("in its first second", TIMED, 1000, 0, [], EITHER, 0),
        ("in its last second", TIMED, 2000, 0, [], EITHER, 0),
        ("a second too early", TIMED, 999, 0, [], EITHER, 5),
        ("a second too late", TIMED, 2001, 0, [], EITHER, 4),
        ("no clock", TIMED, None, 0, [], EITHER, 0),
        ("no clock, and its end has certainly passed", TIMED, None, 2001, [], EITHER, 4),
        ("a clock counts more than what has passed", TIMED, 1500, 2001, [], EITHER, 0),
        ("revoked", TIMED, 1500, 0, [6, 7], EITHER, 3),
        ("others are revoked", TIMED, 1500, 0, [6, 8], EITHER, 0),
        ("no Big Peer", TIMED, 1500, 0, [], [2], 6),
        ("of another app", signed(body(app=OTHER), by=OTHER), 1500, 0, [], EITHER, 2),
        ("of another app that claims ours", signed(body(), by=OTHER), 1500, 0, [], EITHER, 7),
        ("signed by another authority", own_hint, 1500, 0, [], EITHER, 7),
        ("a role that was changed", altered, 1500, 0, [], EITHER, 7),
        ("signed for another app", signed(body(), app=OTHER), 1500, 0, [], EITHER, 7),
        ("signed by its own key", signed(body(), by=DEVICE, app=AUTHORITY), 1500, 0, [], EITHER, 7),
    )


def main():
    content = {
        "about": "Of the signatures in checks only those in signed are good.",
        "authority": public(AUTHORITY).hex(),
        "app_id": app_id(AUTHORITY).hex(),
        "device_key": device_key(DEVICE)[0].hex(),
        "device_key_is_negative": bool(device_key(DEVICE)[1]),
        "certificates": list(certificates()),
        "refused": [{"name": name, "hex": raw.hex()} for name, raw in refused()],
        "signed": good(),
        "checks": [
            {
                "name": name,
                "certificate": raw.hex(),
                "now_s": now,
                "earliest_s": earliest,
                "revoked": revoked,
                "roles": roles,
                "reason": reason,
            }
            for name, raw, now, earliest, revoked, roles, reason in checks()
        ],
    }
    (HERE / "certificate.json").write_text(lines(content))


if __name__ == "__main__":
    main()
