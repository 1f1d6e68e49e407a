"""Certificates: one encoding, a reason for each refusal, the signature last."""

from binascii import unhexlify

from app import body_of
from helpers import Random, raises
from vectors.cases import load

from edge_peer.core.errors import CertificateError, ConfigError
from edge_peer.security import certificate as certificates
from edge_peer.security.certificate import (
    ELIDED_SIZE,
    FORGED,
    KEY_SIZE,
    MALFORMED,
    NEVER_S,
    OTHER_APP,
    REVOKED,
    SIGNATURE_SIZE,
    SIZE_MAX,
    SIZE_MIN,
    Time,
    check,
    decode,
    elide,
    encode_body,
    message_of,
    restore,
)

VECTORS = load("certificate")
APP_ID = unhexlify(VECTORS["app_id"])
GOOD = [unhexlify(case["certificate"]) for case in VECTORS["certificates"]]


def verify(signature, message):
    """Say what the vector file says of a signature, in two steps."""
    assert len(message) == 44 and message[:12] == b"edge-cert-v1"
    yield
    return (message, signature) in [(unhexlify(m), unhexlify(s)) for m, s in VECTORS["signed"]]


def checking(case, verify=verify):
    """Begin the check that a case describes."""
    return check(
        decode(unhexlify(case["certificate"])),
        APP_ID,
        Time(case["now_s"], case["earliest_s"]),
        lambda serial: serial in case["revoked"],
        tuple(case["roles"]),
        verify,
    )


def reason_of(case):
    """Return why a certificate is refused, 0 if it is not."""
    try:
        for _ in checking(case):
            pass
    except CertificateError as error:
        return error.reason
    return 0


def test_certificates_are_what_the_specification_says():
    for case in VECTORS["certificates"]:
        raw = unhexlify(case["certificate"])
        body = encode_body(
            case["role"],
            case["serial"],
            case["not_before_s"],
            case["expiry_s"],
            APP_ID,
            unhexlify(VECTORS["device_key"]),
            VECTORS["device_key_is_negative"],
            case["device"],
            unhexlify(case["permissions"]),
            case["signs"],
        )
        assert body == raw[:-SIGNATURE_SIZE], case["name"]
        assert message_of(APP_ID, body) == unhexlify(case["message"]), case["name"]


def test_a_certificate_is_read_as_it_was_written():
    for case in VECTORS["certificates"]:
        certificate = decode(unhexlify(case["certificate"]))
        assert (certificate.role, certificate.serial) == (case["role"], case["serial"])
        assert certificate.not_before_s == case["not_before_s"]
        assert certificate.expiry_s == case["expiry_s"]
        assert certificate.name == case["device"]
        assert certificate.permissions == unhexlify(case["permissions"])
        assert certificate.key == unhexlify(VECTORS["device_key"])
        assert certificate.is_negative == VECTORS["device_key_is_negative"]
        assert certificate.signs == case["signs"]
        assert certificate.app == APP_ID[:4]


def test_what_is_no_certificate_is_refused():
    for case in VECTORS["refused"]:
        try:
            decode(unhexlify(case["hex"]))
        except CertificateError as error:
            assert error.reason == MALFORMED
        else:
            raise AssertionError(case["name"])


def test_a_certificate_that_is_cut_anywhere_is_refused():
    for raw in GOOD:
        for size in range(len(raw)):
            with raises(CertificateError):
                decode(raw[:size])


def test_each_bit_of_a_certificate_matters():
    raw = GOOD[0]
    for bit in range(8 * (len(raw) - SIGNATURE_SIZE)):
        changed = bytearray(raw)
        changed[bit >> 3] ^= 1 << (bit & 7)
        try:
            certificate = decode(changed)
        except CertificateError:
            continue
        body = certificate.raw[:-SIGNATURE_SIZE]
        assert message_of(APP_ID, body) != unhexlify(VECTORS["certificates"][0]["message"])


def test_every_refusal_has_its_reason():
    for case in VECTORS["checks"]:
        assert reason_of(case) == case["reason"], case["name"]


def test_a_refusal_is_told_in_a_sentence_with_the_devices_name():
    for reason, sentence in ((REVOKED, "is revoked"), (FORGED, "not signed by this app's")):
        case = [case for case in VECTORS["checks"] if case["reason"] == reason][0]
        with raises(CertificateError, sentence):
            for _ in checking(case):
                pass


def test_a_signature_is_not_computed_for_what_is_refused_anyway():
    def never(signature, message):
        raise AssertionError("computed")

    for case in VECTORS["checks"]:
        if case["reason"] not in (0, FORGED):
            with raises(CertificateError):
                next(checking(case, never))


def test_the_app_that_a_certificate_names_is_compared_first():
    certificate = decode(GOOD[0])
    try:
        certificates.check_claims(certificate, bytes(16), Time(0, 0), lambda serial: True, ())
    except CertificateError as error:
        assert error.reason == OTHER_APP


def test_a_link_leaves_out_what_its_handshake_has_told():
    for raw in GOOD:
        short = elide(raw)
        assert len(short) == len(raw) - ELIDED_SIZE
        certificate = decode(raw)
        assert restore(short, APP_ID, certificate.key) == certificate
        other = restore(short, APP_ID, bytes(KEY_SIZE))
        assert message_of(APP_ID, other.raw[:-64]) != message_of(APP_ID, raw[:-64])


def test_sizes_are_bounded():
    sizes = [len(raw) for raw in GOOD]
    assert min(sizes) == SIZE_MIN and max(sizes) == SIZE_MAX == 205


def test_what_no_certificate_can_hold_is_told_to_who_wants_it():
    def body(name="a", times=(0, 1), permissions=b""):
        return encode_body(1, 1, times[0], times[1], APP_ID, bytes(32), False, name, permissions)

    for wrong in ("", "a" * 25, "\u00e9" * 13, "tab\t", "\x7f"):
        with raises(ConfigError, "name"):
            body(name=wrong)
    with raises(ConfigError, "65 bytes"):
        body(permissions=bytes(65))
    for times in ((-1, 1), (2, 1), (0, NEVER_S + 1)):
        with raises(ConfigError, "begins"):
            body(times=times)


def test_any_bytes_are_read_as_they_are_or_refused():
    random = Random(11)
    for _ in range(300):
        raw = bytearray(random.choice(GOOD))
        for _ in range(1 + random.below(3)):
            raw[random.below(len(raw))] = random.below(256)
        try:
            certificate = decode(raw)
        except CertificateError:
            continue
        assert certificate.raw == bytes(raw)
        assert body_of(certificate) == bytes(raw[:-64])
