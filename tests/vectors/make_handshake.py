"""
Write handshake.json beside this file. Run by hand, when a format changes:

    .venv/bin/python tests/vectors/make_handshake.py

Nothing of edge_peer is imported: this is SPEC.md, "Handshake" and "Records", once more, on
the package `cryptography`. Read the diff before you commit it.
"""

import hashlib
import hmac as hmacs
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

HERE = pathlib.Path(__file__).parent
NAME = b"Noise_XXpsk0_25519_AESCCM_SHA256"


def sha256(data):
    return hashlib.sha256(data).digest()


def hmac(key, data):
    return hmacs.new(key, data, hashlib.sha256).digest()


def hkdf(salt, secret, info, size):
    key, out, block = hmac(salt, secret), b"", b""
    while len(out) < size:
        block = hmac(key, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:size]


def named(text):
    return sha256(b"vectors: " + text.encode())


class Device:
    def __init__(self, name, role, serial, permissions, authority, app_id):
        self.seed = named("seed of " + name)
        signing = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        self.private = X25519PrivateKey.from_private_bytes(hashlib.sha512(self.seed).digest()[:32])
        self.public = self.private.public_key().public_bytes_raw()
        negative = signing.public_bytes_raw()[31] >> 7
        head = struct.pack(">BBBIII", 0xC1, negative, role, serial, 100_000_000, 0xFFFFFFFF)
        tail = bytes([len(name.encode())]) + name.encode() + bytes([len(permissions)]) + permissions
        body = head + app_id[:4] + self.public + tail
        signature = authority.sign(b"edge-cert-v1" + sha256(app_id + body))
        self.certificate = body + signature
        self.elided = head + tail + signature
        self.ephemeral = X25519PrivateKey.from_private_bytes(named("ephemeral of " + name))

    def inputs(self):
        return {
            "seed": self.seed.hex(),
            "certificate": self.certificate.hex(),
            "ephemeral": self.ephemeral.private_bytes_raw().hex(),
        }


class Noise:
    """Both sides at once: who computes what comes to the same."""

    def __init__(self, prologue, psk):
        self.ck = NAME
        self.h = sha256(NAME + prologue)
        out = hkdf(self.ck, psk, b"", 96)
        self.ck = out[:32]
        self.mix_hash(out[32:64])
        self.k, self.n = out[64:], 0

    def mix_hash(self, data):
        self.h = sha256(self.h + data)

    def mix_key(self, secret):
        out = hkdf(self.ck, secret, b"", 64)
        self.ck, self.k, self.n = out[:32], out[32:], 0

    def seal(self, plaintext):
        nonce = bytes(5) + struct.pack(">Q", self.n)
        sealed = AESCCM(self.k[:16], 16).encrypt(nonce, plaintext, self.h)
        self.n += 1
        self.mix_hash(sealed)
        return sealed

    def e(self, private):
        public = private.public_key().public_bytes_raw()
        self.mix_hash(public)
        self.mix_key(public)
        return public

    def dh(self, private, other):
        self.mix_key(private.exchange(other.public_key()))


def full(a, b, app_id, network_key):
    noise = Noise(b"EDB1" + app_id, network_key)
    rest = noise.e(a.ephemeral) + noise.seal(b"\1")
    m1 = b"\1" + hmac(hmac(network_key, b"EDB1 mac1" + app_id), rest)[:4] + rest
    m2 = b"\2" + noise.e(b.ephemeral)
    noise.dh(a.ephemeral, b.ephemeral)
    m2 += noise.seal(b.public)
    noise.dh(a.ephemeral, b.private)
    m2 += noise.seal(b"\1" + b.elided)
    m3 = b"\3" + noise.seal(a.public)
    noise.dh(a.private, b.ephemeral)
    m3 += noise.seal(b"\1" + a.elided)
    out = hkdf(noise.ck, b"", b"", 96)
    keys = [hkdf(b"", out[i : i + 32], b"EDB1 record", 20) for i in (0, 32)]
    return [m1, m2, m3], keys, out[64:]


def resumed(secret, step, side, random_1, random_2):
    """R1, R2 and keys of a step; side 0: who began the full handshake begins again."""
    out = hkdf(b"", secret, b"EDB1 resume", 104)
    id, auth, chain = out[:8], out[8:40], out[40 + 32 * side : 72 + 32 * side]
    for _ in range(step):
        chain = hmac(chain, b"n")
    r1 = b"\4" + id + struct.pack(">I", step) + random_1
    r1 += hmac(auth, r1)[:12]
    prk = hmac(hmac(chain, b"k"), random_1 + random_2)
    r2 = b"\5" + random_2 + hmac(prk, b"R2" + r1 + random_2)[:12]
    behind = struct.pack(">I", step + 3)
    behind = b"\7" + behind + hmac(auth, b"RB" + r1 + behind)[:12]
    return [r1, r2, behind], [hmac(prk, b"EDB1 r1")[:20], hmac(prk, b"EDB1 r2")[:20]]


def record(key, counter, payload):
    for _ in range(counter >> 15):
        key = hmac(key, b"rekey")[:20]
    head = bytes([0xC0 if counter >> 15 & 1 else 0x80])
    nonce = head + key[16:] + struct.pack(">Q", counter)
    return (
        head
        + struct.pack(">H", counter & 0xFFFF)
        + AESCCM(key[:16], 8).encrypt(nonce, payload, None)
    )


def cases():
    authority = Ed25519PrivateKey.from_private_bytes(named("authority"))
    public = authority.public_key().public_bytes_raw()
    app_id, network_key = sha256(b"edge-app-v1" + public)[:16], named("network key")
    pairs = [
        (("board", 1, 7, b""), ("big peer", 2, 1, bytes(range(21)))),
        (("ä" * 12, 3, 0xFFFFFFFF, bytes(64)), ("x", 1, 2, b"")),
    ]
    found = []
    for names in pairs:
        a, b = (
            Device(name, role, serial, permissions, authority, app_id)
            for name, role, serial, permissions in names
        )
        messages, keys, secret = full(a, b, app_id, network_key)
        resumptions = []
        for step, side in ((0, 0), (0, 1), (17, 0)):
            randoms = named(f"R1 {step}")[:16], named(f"R2 {step}")[:16]
            again, again_keys = resumed(secret, step, side, *randoms)
            resumptions.append(
                {
                    "step": step,
                    "by": side,
                    "randoms": [one.hex() for one in randoms],
                    "messages": [one.hex() for one in again],
                    "keys": [one.hex() for one in again_keys],
                }
            )
        found.append(
            {
                "initiator": a.inputs(),
                "responder": b.inputs(),
                "messages": [one.hex() for one in messages],
                "keys": [one.hex() for one in keys],
                "secret": secret.hex(),
                "resumptions": resumptions,
            }
        )
    records = [
        [counter, payload.hex(), record(bytes(range(20)), counter, payload).hex()]
        for counter, payload in (
            (0, b""),
            (1, b"hello"),
            (0x7FFF, bytes(16)),
            (0x8000, bytes(17)),
            (0x10000, bytes(range(100))),
        )
    ]
    return {
        "authority": public.hex(),
        "network_key": network_key.hex(),
        "record_key": bytes(range(20)).hex(),
        "records": records,
        "handshakes": found,
    }


def lines(content):
    """JSON with a line for each item of a list, so that a diff shows which ones changed."""
    parts = []
    for name, item in content.items():
        text = json.dumps(item)
        if isinstance(item, list):
            text = "[\n  " + ",\n  ".join(json.dumps(one) for one in item) + "\n ]"
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    (HERE / "handshake.json").write_text(lines(cases()))
