"""
identity.json: the one file that makes a device itself, and the one place of its secrets.

    {"app_id": 32 hex digits,
     "authority": 64 hex digits, the public key that signs for the app,
     "seed": 64 hex digits, the device's private key (RFC 8032, 5.1.5),
     "certificate": hex digits,
     "network_keys": {"1": 64 hex digits, …}}      at most two, by their number

Whoever reads it is the device. It lies beside edge.json, on Linux with mode 0600; nothing
of it is shown, logged or told but what its certificate says.
"""

import json
from binascii import hexlify, unhexlify
from hashlib import sha256

from edge_peer.core.errors import CertificateError, ConfigError
from edge_peer.security.certificate import APP_ID_SIZE, HINT_SIZE, KEY_SIZE, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.security.certificate import Certificate

NETWORK_KEYS_MAX = 2  # the one in use, and the one before or after it
NETWORK_KEY_NUMBER_MAX = 255


def app_id_of(authority: bytes) -> bytes:
    """Return the appID of the app whose authority has this public key."""
    return sha256(b"edge-app-v1" + authority).digest()[:APP_ID_SIZE]


class Identity:
    """network_keys: {number: key}, of which the highest is used to begin."""

    def __init__(
        self,
        authority: bytes,
        seed: bytes,
        certificate: "Certificate",
        network_keys: "dict[int, bytes]",
    ) -> None:
        self.app_id = app_id_of(authority)
        self.authority = authority
        self.seed = seed
        self.certificate = certificate
        self.network_keys = network_keys

    def __repr__(self) -> str:
        return "<Identity of %s, serial %d>" % (self.certificate.name, self.certificate.serial)


def to_text(identity: Identity) -> str:
    """Return the contents of identity.json."""
    keys = [
        '"%d": "%s"' % (number, _digits(identity.network_keys[number]))
        for number in sorted(identity.network_keys)
    ]
    return (
        '{"app_id": "%s",\n "authority": "%s",\n "seed": "%s",\n "certificate": "%s",\n'
        ' "network_keys": {%s}}\n'
    ) % (
        _digits(identity.app_id),
        _digits(identity.authority),
        _digits(identity.seed),
        _digits(identity.certificate.raw),
        ", ".join(keys),
    )


def from_text(text: str) -> Identity:
    """Read identity.json; raises ConfigError, which never shows what is in it.

    That the certificate is signed, and of this seed, is for who has the arithmetic to say.
    """
    try:
        fields = json.loads(text)
    except ValueError:
        raise ConfigError("the identity is not JSON; make it with `edge-peer device create`")
    if not isinstance(fields, dict):
        raise ConfigError("the identity must be a JSON object")
    authority = _bytes(fields, "authority", KEY_SIZE)
    if _bytes(fields, "app_id", APP_ID_SIZE) != app_id_of(authority):
        raise ConfigError("the identity's app_id is not that of its authority")
    try:
        certificate = decode(_bytes(fields, "certificate"))
    except CertificateError as error:
        raise ConfigError("the identity's certificate: %s" % error)
    if certificate.app != app_id_of(authority)[:HINT_SIZE]:
        raise ConfigError("the identity's certificate is of another app")
    return Identity(authority, _bytes(fields, "seed", KEY_SIZE), certificate, _keys(fields))


def _keys(fields: "dict[str, Any]") -> "dict[int, bytes]":
    named = fields.get("network_keys")
    if not isinstance(named, dict) or not 0 < len(named) <= NETWORK_KEYS_MAX:
        raise ConfigError("the identity has one or two network_keys")
    keys = {}
    for number in named:
        if len(number) > 3 or not number.isdigit() or int(number) > NETWORK_KEY_NUMBER_MAX:
            raise ConfigError("network_keys are numbered 0 to %d" % NETWORK_KEY_NUMBER_MAX)
        keys[int(number)] = _bytes(named, number, KEY_SIZE)
    return keys


def _bytes(fields: "dict[str, Any]", name: str, size: int = 0) -> bytes:
    """Return what hex digits stand for; size 0: any."""
    text = fields.get(name)
    try:
        data = unhexlify(text) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if not data or (size and len(data) != size):
        raise ConfigError("the identity's %s is missing, or not hex digits as it should be" % name)
    return data


def _digits(data: bytes) -> str:
    return hexlify(data).decode()
