"""
What the app's authority says of a device: who holds this key, as what, how long.

    certificate   body | signature 64
    body          C1 | flags 1 | role 1 | serial 4 | not before 4 | expiry 4 | app 4 | key 32 |
                  name length 1 | name | permissions length 1 | permissions
    signature     Ed25519, by the authority, of "edge-cert-v1" | SHA-256(appID 16 | body)

There is one encoding of a body: fixed order, big-endian, nothing optional. `key` is the
device's X25519 key; bit 0 of the flags is the sign of the same key as an Ed25519 key, bit 1
says that relays must prove what it wrote (batch.py).
`app` is the beginning of the appID: it proves nothing, and tells a device of another app
from a forgery. Permissions are opaque here (see permission.py).

On a link both sides know appID and key already, so app and key stay out: see `elide`.

The hash makes what is signed 44 bytes, which Ed25519 hashes in one block of SHA-512: a
board computes 47 ms on each. Signatures are checked last, by what is handed in.
"""

import struct
from collections import namedtuple
from hashlib import sha256

from edge_peer.core.errors import CertificateError, ConfigError, FormatError
from edge_peer.core.packing import from_utf8, to_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

MAGIC = 0xC1
CONTEXT = b"edge-cert-v1"
APP_ID_SIZE = 16
HINT_SIZE = 4  # of the appID
KEY_SIZE = 32
SIGNATURE_SIZE = 64
NAME_BYTES_MAX = 24  # with the permissions it keeps both certificates of a handshake in 572 bytes
PERMISSIONS_BYTES_MAX = 64
SIZE_MIN = 118
SIZE_MAX = 117 + NAME_BYTES_MAX + PERMISSIONS_BYTES_MAX
ELIDED_SIZE = HINT_SIZE + KEY_SIZE  # what `elide` saves
EPOCH_S = 1577836800  # 2020-01-01 in Unix time; all times here are seconds since then
NEVER_S = 0xFFFFFFFF

# What a certificate makes of its holder. What each may do is in SPEC.md.
DEVICE = 1
BIG_PEER = 2
RELAY = 3
ROLES = {"device": DEVICE, "relay": RELAY, "big-peer": BIG_PEER}

# Reasons of CertificateError
MALFORMED = 1
OTHER_APP = 2
REVOKED = 3
EXPIRED = 4
NOT_YET_VALID = 5
WRONG_ROLE = 6
FORGED = 7
_SENTENCES = {
    MALFORMED: "this is no certificate: %s",
    OTHER_APP: "the certificate of %s is of another app",
    REVOKED: "the certificate of %s is revoked",
    EXPIRED: "the certificate of %s has expired",
    NOT_YET_VALID: "the certificate of %s is not valid yet",
    WRONG_ROLE: "the certificate of %s is for another role",
    FORGED: "the certificate of %s is not signed by this app's authority",
}

# Flags
IS_NEGATIVE = 1
SIGNS = 2

_HEAD = ">BBBIII4s32sB"
_HEAD_SIZE = 52
_KEY_AT = 15  # app and key lie from here on

Certificate = namedtuple(
    "Certificate",
    (
        "role",
        "serial",
        "not_before_s",
        "expiry_s",
        "app",  # the first 4 bytes of the appID
        "key",  # X25519, 32 bytes
        "is_negative",  # the sign of the Ed25519 key
        "signs",  # what it writes goes through relays in signed batches only
        "name",
        "permissions",
        "raw",
    ),
)

# now_s: the time, or None on a board that has no clock; earliest_s: a time that has passed,
# as something signed said (a certificate's "not before", a revocation list's "issued").
Time = namedtuple("Time", ("now_s", "earliest_s"))


def encode_body(
    role: int,
    serial: int,
    not_before_s: int,
    expiry_s: int,
    app_id: bytes,
    key: bytes,
    is_negative: bool,
    name: str,
    permissions: bytes,
    signs: bool = False,
) -> bytes:
    """Return what is to be signed (see `message_of`); raises ConfigError for what no body holds."""
    assert len(app_id) == APP_ID_SIZE and len(key) == KEY_SIZE
    assert 0 < serial <= 0xFFFFFFFF
    raw_name = to_utf8(name)
    if not 0 < len(raw_name) <= NAME_BYTES_MAX or _has_controls(raw_name):
        raise ConfigError("the name of a device is 1 to %d bytes of text" % NAME_BYTES_MAX)
    if len(permissions) > PERMISSIONS_BYTES_MAX:
        raise ConfigError(
            "these permissions take %d bytes of a certificate, and %d is the most"
            % (len(permissions), PERMISSIONS_BYTES_MAX)
        )
    if not 0 <= not_before_s <= expiry_s <= NEVER_S:
        raise ConfigError("a certificate begins in 2020 or later, and before it ends")
    head = struct.pack(
        _HEAD,
        MAGIC,
        (IS_NEGATIVE if is_negative else 0) | (SIGNS if signs else 0),
        role,
        serial,
        not_before_s,
        expiry_s,
        app_id[:HINT_SIZE],
        key,
        len(raw_name),
    )
    return head + raw_name + bytes((len(permissions),)) + permissions


def decode(raw: bytes) -> Certificate:
    """Read a certificate, proven or not; raises CertificateError (MALFORMED)."""
    raw = bytes(raw)
    if not SIZE_MIN <= len(raw) <= SIZE_MAX or raw[0] != MAGIC or raw[1] > IS_NEGATIVE | SIGNS:
        raise _malformed("its first bytes are wrong")
    _, flags, role, serial, not_before_s, expiry_s, app, key, name_size = struct.unpack(
        _HEAD, raw[:_HEAD_SIZE]
    )
    name_end = _HEAD_SIZE + name_size
    signed_end = len(raw) - SIGNATURE_SIZE
    if not 0 < name_size <= NAME_BYTES_MAX or name_end >= signed_end:
        raise _malformed("the length of its name is wrong")
    permissions = raw[name_end + 1 : signed_end]
    if raw[name_end] != len(permissions) or len(permissions) > PERMISSIONS_BYTES_MAX:
        raise _malformed("its length is wrong")
    if role not in ROLES.values() or not serial or not_before_s > expiry_s:
        raise _malformed("its role, serial or times are wrong")
    if not _is_reduced(key):
        raise _malformed("its key is not in its shortest form")
    name = _name(raw[_HEAD_SIZE:name_end])
    return Certificate(
        role,
        serial,
        not_before_s,
        expiry_s,
        app,
        key,
        bool(flags & IS_NEGATIVE),
        bool(flags & SIGNS),
        name,
        permissions,
        raw,
    )


def elide(raw: bytes) -> bytes:
    """Return a certificate without app and key, for a link whose handshake has told both."""
    return raw[:_KEY_AT] + raw[_KEY_AT + ELIDED_SIZE :]


def restore(elided: bytes, app_id: bytes, key: bytes) -> Certificate:
    """Read what `elide` made, of the holder of this key; raises CertificateError."""
    return decode(elided[:_KEY_AT] + app_id[:HINT_SIZE] + key + elided[_KEY_AT:])


def message_of(app_id: bytes, body: bytes) -> bytes:
    """Return the 44 bytes that the authority signs."""
    return CONTEXT + sha256(app_id + body).digest()


def fingerprint(raw: bytes) -> bytes:
    """Return the 16 bytes by which a certificate that was checked is remembered."""
    return sha256(raw).digest()[:16]


def check_claims(
    certificate: Certificate,
    app_id: bytes,
    time: Time,
    is_revoked: "Callable[[int], bool]",
    roles: "tuple[int, ...]",
) -> None:
    """Check all but the signature, each time that a certificate is used; raises CertificateError.

    Where the time is unknown a certificate is taken that may have expired, unless it ended
    before what has certainly passed; that it is not valid yet cannot be seen there.
    """
    past_s = time.earliest_s if time.now_s is None else time.now_s
    if certificate.app != app_id[:HINT_SIZE]:
        raise _refusal(OTHER_APP, certificate)
    if is_revoked(certificate.serial):
        raise _refusal(REVOKED, certificate)
    if past_s > certificate.expiry_s:
        raise _refusal(EXPIRED, certificate)
    if time.now_s is not None and time.now_s < certificate.not_before_s:
        raise _refusal(NOT_YET_VALID, certificate)
    if certificate.role not in roles:
        raise _refusal(WRONG_ROLE, certificate)


def check(
    certificate: Certificate,
    app_id: bytes,
    time: Time,
    is_revoked: "Callable[[int], bool]",
    roles: "tuple[int, ...]",
    verify: "Callable[[bytes, bytes], Generator[None, None, bool]]",
) -> "Generator[None, None, None]":
    """Check a certificate, in steps of what `verify` takes; raises CertificateError.

    verify(signature, message): the authority's, in steps, as a generator that returns
    whether it is valid. Of what has passed remember the `fingerprint`: from then on
    `check_claims` is enough, and costs nothing.
    """
    check_claims(certificate, app_id, time, is_revoked, roles)
    body = certificate.raw[:-SIGNATURE_SIZE]
    valid = yield from verify(certificate.raw[-SIGNATURE_SIZE:], message_of(app_id, body))
    if not valid:
        raise _refusal(FORGED, certificate)


def _name(raw: bytes) -> str:
    try:
        name = from_utf8(raw)
    except FormatError as error:
        raise _malformed(str(error))
    if _has_controls(raw):
        raise _malformed("its name has control characters")
    return name


def _has_controls(raw: bytes) -> bool:
    """Say whether a name could do something to a terminal or a log that shows it."""
    before = 0
    for byte in raw:
        if byte < 32 or byte == 127 or before == 0xC2 and byte < 0xA0:
            return True
        before = byte
    return False


def _is_reduced(key: bytes) -> bool:
    """Say whether a key, little-endian, is below 2^255 - 19: above are second names of keys."""
    return key[31] < 127 or key[31] == 127 and (key[0] < 0xED or key[1:31] != b"\xff" * 30)


def _malformed(what: str) -> CertificateError:
    return CertificateError(MALFORMED, _SENTENCES[MALFORMED] % what)


def _refusal(reason: int, certificate: Certificate) -> CertificateError:
    who = "%s (serial %d)" % (certificate.name, certificate.serial)
    return CertificateError(reason, _SENTENCES[reason] % who)
