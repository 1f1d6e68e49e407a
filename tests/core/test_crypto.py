"""The primitives against the vectors of their standards, this runtime's and the plain ones."""

import hashlib
from binascii import hexlify, unhexlify

from helpers import Random, raises
from vectors.cases import load

from edge_peer import runtime
from edge_peer.core.errors import FormatError
from edge_peer.security import ed25519, edwards, sha512, x25519
from edge_peer.security.kdf import hkdf, hmac, is_equal

crypto = runtime.load("crypto")
run = crypto.run
VECTORS = load("crypto")


def vectors(name):
    return [
        [unhexlify(item) for item in case] if isinstance(case, list) else unhexlify(case)
        for case in VECTORS[name]
    ]


def test_hmac_is_that_of_rfc_4231():
    for key, message, tag in vectors("hmac RFC 4231"):
        assert hmac(key, message)[: len(tag)] == tag
        assert hmac(key, message[:5], message[5:])[: len(tag)] == tag


def test_hkdf_is_that_of_rfc_5869():
    for salt, secret, info, out in vectors("hkdf RFC 5869"):
        assert hkdf(salt, secret, info, len(out)) == out


def test_secrets_are_equal_only_if_every_byte_is():
    assert is_equal(b"abc", b"abc") and is_equal(b"", b"")
    for other in (b"abd", b"bbc", b"ab", b"abcd", b""):
        assert not is_equal(b"abc", other)


def test_sha512_is_that_of_fips_180():
    for message, digest in vectors("sha512 FIPS 180-4"):
        assert run(sha512.sha512(message)) == digest


def test_aes_is_that_of_fips_197():
    for key, plaintext, ciphertext in vectors("aes FIPS 197"):
        assert _aes(key, plaintext) == ciphertext


def _aes(key, block):
    try:
        import cryptolib
    except ImportError:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
    return cryptolib.aes(key, 1).encrypt(block)


def test_ccm_is_that_of_rfc_3610():
    for key, nonce, data, plaintext, sealed in vectors("ccm RFC 3610"):
        ccm = crypto.Ccm(key, 8)
        assert ccm.seal(nonce, data, plaintext) == sealed
        assert ccm.open(nonce, data, sealed) == plaintext


def test_ccm_is_the_same_on_every_runtime():
    digest = hashlib.sha256()
    for tag_size in (8, 16):
        ccm = crypto.Ccm(bytes(range(16)), tag_size)
        for size in (0, 1, 15, 16, 17, 64, 244, 255, 1024):
            nonce = bytes([(size * 7 + i) & 255 for i in range(13)])
            plaintext = bytes([(size + i * 3) & 255 for i in range(size)])
            for data in (b"", b"abc", bytes(32)):
                sealed = ccm.seal(nonce, data, plaintext)
                assert ccm.open(nonce, data, sealed) == plaintext
                digest.update(sealed)
    assert hexlify(digest.digest())[:8] == b"56acea85"


def test_ccm_opens_nothing_that_was_changed():
    ccm = crypto.Ccm(bytes(16), 8)
    nonce = bytes(13)
    sealed = ccm.seal(nonce, b"data", b"plaintext")
    for i in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[i >> 3] ^= 1 << (i & 7)
        assert ccm.open(nonce, b"data", bytes(changed)) is None
    for size in range(len(sealed)):
        assert ccm.open(nonce, b"data", sealed[:size]) is None
    assert ccm.open(nonce, b"date", sealed) is None
    assert ccm.open(b"\1" + bytes(12), b"data", sealed) is None
    assert ccm.open(nonce, b"data", sealed) == b"plaintext"


def test_a_record_cipher_is_ccm_with_the_header_in_the_nonce():
    key, iv = bytes(range(16)), b"abcd"
    seals, opens, ccm = crypto.RecordCipher(key, iv), crypto.RecordCipher(key, iv), None
    ccm = crypto.Ccm(key, 8)
    counter = 0x1_0000_FFFE
    for size in (0, 1, 15, 16, 17, 31, 64, 244, 255, 256, 1000, 1024):
        payload = bytes([(i * 5 + size) & 255 for i in range(size)])
        record = seals.seal(0x81, counter, payload)
        nonce = b"\x81" + iv + counter.to_bytes(8, "big")
        assert record[:3] == bytes([0x81, counter >> 8 & 255, counter & 255])
        assert record[3:] == ccm.seal(nonce, b"", payload)
        assert opens.open(record, counter) == payload
        assert opens.open(record, counter + 1) is None
        assert opens.open(b"\x82" + record[1:], counter) is None
        assert opens.open(record[:-1] + bytes([record[-1] ^ 1]), counter) is None
        counter += 1


def test_x25519_is_that_of_rfc_7748():
    for private, public, shared in vectors("x25519 RFC 7748"):
        assert run(x25519.x25519(private, public)) == shared
        assert run(crypto.x25519(private, public)) == shared
    for private, public in vectors("x25519 public"):
        assert run(ed25519.public_of(private)) == public
        assert run(crypto.public_of(private)) == public


def test_x25519_is_the_same_however_it_is_blinded():
    private, public, shared = vectors("x25519 RFC 7748")[0]
    for blind in (1, 2, (1 << 248) - 1, (1 << 255) - 18, 0x5DEECE66D << 200 | 1):
        assert run(x25519.x25519(private, public, blind)) == shared
    for point in vectors("x25519 low order"):
        with raises(FormatError):
            run(x25519.x25519(b"\x55" * 32, point, 12345))


def test_x25519_refuses_points_of_low_order():
    for point in vectors("x25519 low order"):
        for agree in (x25519.x25519, crypto.x25519):
            with raises(FormatError, "low order"):
                run(agree(b"\x42" * 32, point))


def test_ed25519_is_that_of_rfc_8032():
    for seed, signer, message, signature in vectors("ed25519 RFC 8032"):
        for module in (ed25519, crypto):
            key = run(module.expand(seed))
            assert key.signer == signer
            assert run(module.sign(key, message)) == signature
            assert run(module.verify(signer, signature, message)) is True


def test_one_seed_makes_the_same_key_for_both_curves():
    for seed, signer, _, _ in vectors("ed25519 RFC 8032"):
        key = run(crypto.expand(seed))
        assert key.public == run(crypto.public_of(key.private))
        assert run(edwards.edwards(key.public, signer[31] >> 7)) == signer


def test_ed25519_refuses_what_was_changed():
    _, signer, message, signature = vectors("ed25519 RFC 8032")[2]
    order = ed25519.L.to_bytes(32, "little")
    s = int.from_bytes(signature[32:], "little")
    cases = [(signer, signature[:63], message), (signer, signature, message + b"x")]
    cases.append((signer, signature[:32] + order, message))
    cases.append((signer, signature[:32] + (s + ed25519.L).to_bytes(32, "little"), message))
    cases.append((b"\xff" * 32, signature, message))
    cases.append((b"\x02" + bytes(31), signature, message))  # not on the curve
    for at in (0, 33, 63):
        changed = bytearray(signature)
        changed[at] ^= 1
        cases.append((signer, bytes(changed), message))
    for case in cases:
        for module in (ed25519, crypto):
            assert run(module.verify(*case)) is False


def test_random_keys_agree_and_signatures_hold():
    for seed in range(3):
        random = Random(seed)
        a, b = run(crypto.expand(random.bytes(32))), run(crypto.expand(random.bytes(32)))
        assert run(crypto.x25519(a.private, b.public)) == run(x25519.x25519(b.private, a.public))
        message = random.bytes(44)
        signature = run(ed25519.sign(a, message))
        assert run(crypto.verify(a.signer, signature, message))
        assert not run(crypto.verify(b.signer, signature, message))


def test_a_key_does_not_show_itself():
    key = run(crypto.expand(b"secret" * 5 + b"12"))
    assert "secret" not in repr(key) and "secret" not in str(key)


def test_x25519_is_that_of_wycheproof():
    """On twists, at the edges of what 255 bits hold, and of low order, which is refused."""
    for case in load("wycheproof")["x25519"]:
        private, public = unhexlify(case["private"]), unhexlify(case["public"])
        shared = unhexlify(case["shared"])
        for agree in (x25519.x25519, crypto.x25519):
            if any(shared):
                assert run(agree(private, public)) == shared, case["tcId"]
            else:
                with raises(FormatError):
                    run(agree(private, public))


def test_ed25519_is_that_of_wycheproof():
    """Signatures with R and S at their edges, above them, cut short or with something behind."""
    vectors = load("wycheproof")
    key = unhexlify(vectors["ed25519_key"])
    for case in vectors["ed25519"]:
        message, signature = unhexlify(case["msg"]), unhexlify(case["sig"])
        for verify in (ed25519.verify, crypto.verify):
            assert run(verify(key, signature, message)) == case["valid"], case["tcId"]
