"""What boards compute with, compared with where it comes from, and with OpenSSL."""

import hashlib
import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from edge_peer.host import comb, crypto
from edge_peer.security import ed25519, edwards, sha512, tables, x25519


def test_the_tables_are_what_they_are_made_of():
    path = tables.__file__
    with open(path) as file:
        assert file.read() == comb.source()


def test_a_signature_is_checked_with_the_table_of_its_signer():
    for _ in range(3):
        signer = Ed25519PrivateKey.generate()
        public = signer.public_key().public_bytes_raw()
        table = crypto.comb_table(public)
        assert len(table) == edwards.COMB_SIZE
        signature = signer.sign(b"message")
        assert crypto.run(ed25519.verify(public, signature, b"message", table))
        assert not crypto.run(ed25519.verify(public, signature, b"massage", table))
        other = crypto.comb_table(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
        assert not crypto.run(ed25519.verify(public, signature, b"message", other))


def test_random_keys_and_messages_give_what_openssl_gives():
    for i in range(25):
        message, seed = os.urandom(i * 11), os.urandom(32)
        assert crypto.run(sha512.sha512(message)) == hashlib.sha512(message).digest()
        theirs = Ed25519PrivateKey.from_private_bytes(seed)
        key = crypto.run(ed25519.expand(seed))
        assert key.signer == theirs.public_key().public_bytes_raw(), seed
        signature = theirs.sign(message)
        assert crypto.run(ed25519.sign(key, message)) == signature, seed
        assert crypto.run(ed25519.verify(key.signer, signature, message)), seed
        assert not crypto.run(ed25519.verify(key.signer, signature, message + b"x")), seed
        private, public = os.urandom(32), os.urandom(32)
        mine = X25519PrivateKey.from_private_bytes(private)
        assert crypto.run(ed25519.public_of(private)) == mine.public_key().public_bytes_raw()
        shared = mine.exchange(X25519PublicKey.from_public_bytes(public))
        assert crypto.run(x25519.x25519(private, public)) == shared, (private, public)


def test_no_stretch_of_the_plain_curves_is_long():
    """Counted in yields: on an RP2040 each stretch is 4 to 17 ms."""
    least = {ed25519.expand: 60, ed25519.public_of: 60}
    for function, count in least.items():
        assert sum(1 for _ in function(bytes(range(32)))) >= count
    assert sum(1 for _ in x25519.x25519(bytes(range(32)), b"\x09" + bytes(31))) >= 85
