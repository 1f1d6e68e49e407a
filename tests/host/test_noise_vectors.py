"""The state machine of our handshakes has the bytes of Noise's published vectors.

They are for AES-GCM, which no board has; the cipher is an argument of the state machine. The
patterns are XXpsk0, which is ours, and its sisters with the psk elsewhere.
"""

from binascii import unhexlify

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vectors.cases import load

from edge_peer.host import crypto
from edge_peer.security.noise import PATTERN, Noise, prepare

VECTORS = load("noise")
PSK_AT = {"XXpsk1": (0, 1), "XXpsk2": (1, 4), "XXpsk3": (2, 2)}  # message, before which token


class AesGcm:
    """Noise's cipher functions for AESGCM."""

    def __init__(self, crypto, k):
        self._gcm = AESGCM(k)

    def encrypt(self, n, data, plaintext):
        return self._gcm.encrypt(bytes(4) + n.to_bytes(8, "big"), plaintext, data)

    def decrypt(self, n, data, sealed):
        return self._gcm.decrypt(bytes(4) + n.to_bytes(8, "big"), sealed, data)


def given(name):
    return unhexlify(VECTORS[name])


def pattern_of(name):
    if name == "XXpsk0":
        return PATTERN
    messages = [list(tokens) for tokens in (PATTERN[0][1:], *PATTERN[1:])]
    message, token = PSK_AT[name]
    messages[message].insert(token, "psk")
    return tuple(tuple(tokens) for tokens in messages)


def side(name, role):
    private = given(role + "_static")
    start = prepare(
        given("prologue"),
        (given("psk"),),
        private,
        crypto.run(crypto.public_of(private)),
        b"Noise_%s_25519_AESGCM_SHA256" % name.encode(),
        pattern_of(name),
        AesGcm,
    )
    return Noise(crypto, start, role == "initiator", given(role + "_ephemeral"))


@pytest.mark.parametrize("case", VECTORS["handshakes"], ids=lambda case: case["pattern"])
def test_handshakes_have_the_bytes_of_noises_own_vectors(case):
    sides = [side(case["pattern"], role) for role in ("initiator", "responder")]
    payloads = [unhexlify(payload) for payload in case["payloads"]]
    for number in range(3):
        speaker, listener = sides[number & 1], sides[1 - (number & 1)]
        message = crypto.run(speaker.write(payloads[number]))
        assert message.hex() == case["messages"][number]
        assert crypto.run(listener.read(message)) == payloads[number]
    first, second = sides[0].split()
    assert sides[1].split() == [first, second] and sides[0].h == sides[1].h
    # The last two are what the two sides say after it.
    for key, payload, message in zip((first, second), payloads[3:], case["messages"][3:]):
        assert AesGcm(crypto, key).encrypt(0, b"", payload).hex() == message
