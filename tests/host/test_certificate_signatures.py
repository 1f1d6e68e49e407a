"""The signatures of the vector file, by the cryptography package."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from vectors.cases import load

from edge_peer.core.errors import CertificateError
from edge_peer.security.certificate import Time, check, decode

VECTORS = load("certificate")
AUTHORITY = Ed25519PublicKey.from_public_bytes(bytes.fromhex(VECTORS["authority"]))


def verify(signature, message):
    yield
    try:
        AUTHORITY.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def reason_of(case):
    certificate = decode(bytes.fromhex(case["certificate"]))
    app_id = bytes.fromhex(VECTORS["app_id"])
    time = Time(case["now_s"], case["earliest_s"])
    revoked = case["revoked"].__contains__
    try:
        for _ in check(certificate, app_id, time, revoked, tuple(case["roles"]), verify):
            pass
    except CertificateError as error:
        return error.reason
    return 0


def test_real_signatures_are_checked_as_the_vectors_say():
    for case in VECTORS["checks"]:
        assert reason_of(case) == case["reason"], case["name"]


def test_the_certificates_of_the_vectors_are_signed():
    for case in VECTORS["certificates"]:
        AUTHORITY.verify(bytes.fromhex(case["certificate"])[-64:], bytes.fromhex(case["message"]))
