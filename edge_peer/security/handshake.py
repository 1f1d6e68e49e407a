"""
The full handshake: Noise_XXpsk0 (noise.py), with a certificate in messages 2 and 3.

    M1   01 | mac1 4 | e 32 | seal(version 1)                                     54 bytes
    M2   02 | e 32 | seal(s 32) | seal(version 1 | certificate of the responder)
    M3   03 | seal(s 32) | seal(version 1 | certificate of the initiator)

    prologue      "EDB1" | appID
    psk           the network key, which the app's devices share
    mac1          HMAC(HMAC(network key, "EDB1 mac1" | appID), the rest of M1)[:4]
    certificate   as certificate.elide makes it: the key is Noise's s
    keys          of Noise's split in three: HKDF(first, "EDB1 record", 20) from initiator to
                  responder, the same of the second the other way, and the third is a ticket's

seal adds 16 bytes. mac1 costs one hash to check, so that whoever is not of the app makes
nobody compute. Whatever else is wrong ends the handshake.
"""

from collections import namedtuple

from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.security import certificate as certificates
from edge_peer.security.kdf import hkdf, hmac
from edge_peer.security.noise import Noise, prepare
from edge_peer.security.wire import M1, M2, M3, MAC1_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from edge_peer.security.certificate import Certificate

    Steps = Generator[None, None, Any]
    Check = Callable[[Certificate], Steps]

VERSION = 1
MESSAGE_SIZE_MAX = 98 + certificates.SIZE_MAX - certificates.ELIDED_SIZE  # M2
RECORD_KEY_SIZE = 20

# certificate: the other side's; ticket_secret: what a Ticket is made from
Agreed = namedtuple("Agreed", ("certificate", "send_key", "receive_key", "ticket_secret"))


class Party:
    """What all handshakes of a peer have in common: who it is, and whom it believes."""

    def __init__(
        self,
        crypto: "Any",
        app_id: bytes,
        network_key: bytes,
        mac1_key: bytes,
        private: bytes,
        certificate: "Certificate",
        check: "Check",
    ) -> None:
        """private: of the certificate's key; check(certificate): certificate.check, in steps."""
        self.app_id = app_id
        self.elided = certificates.elide(certificate.raw)
        self.check = check
        self.mac1_key = mac1_key
        self.crypto = crypto
        self.start = prepare(b"EDB1" + app_id, (network_key,), private, certificate.key)


class Handshake:
    """One attempt, on one side. Each method is a generator that yields."""

    def __init__(self, party: Party, is_initiator: bool, ephemeral: bytes) -> None:
        """ephemeral: 32 random bytes, for this attempt alone."""
        self._party = party
        self._is_initiator = is_initiator
        self._noise = Noise(party.crypto, party.start, is_initiator, ephemeral)
        self._certificate: Certificate | None = None

    def write_m1(self) -> "Steps":
        rest = yield from self._noise.write(bytes((VERSION,)))
        return bytes((M1,)) + hmac(self._party.mac1_key, rest)[:MAC1_SIZE] + rest

    def read_m1(self, m1: bytes) -> "Steps":
        """Raises RemoteProtocolError; mac1 is checked before (keyring.py)."""
        _check_version((yield from self._noise.read(m1[5:])), 1)

    def write_m2(self) -> "Steps":
        return bytes((M2,)) + (yield from self._write_certificate())

    def read_m2(self, m2: bytes) -> "Steps":
        """Raises RemoteProtocolError, CertificateError."""
        yield from self._read_certificate(m2, M2)

    def write_m3(self) -> "Steps":
        return bytes((M3,)) + (yield from self._write_certificate())

    def read_m3(self, m3: bytes) -> "Steps":
        """Raises RemoteProtocolError, CertificateError."""
        yield from self._read_certificate(m3, M3)

    def agreed(self) -> Agreed:
        """Return what both sides know after M3."""
        first, second, third = self._noise.split(3)
        first = hkdf(b"", first, b"EDB1 record", RECORD_KEY_SIZE)
        second = hkdf(b"", second, b"EDB1 record", RECORD_KEY_SIZE)
        if not self._is_initiator:
            first, second = second, first
        return Agreed(self._certificate, first, second, third)

    def _write_certificate(self) -> "Steps":
        return (yield from self._noise.write(bytes((VERSION,)) + self._party.elided))

    def _read_certificate(self, message: bytes, kind: int) -> "Steps":
        if len(message) > MESSAGE_SIZE_MAX or message[0] != kind:
            raise FormatError("not a handshake message of kind %d" % kind)
        payload = yield from self._noise.read(message[1:])
        _check_version(payload, 2)
        key = self._noise.remote_static
        found = certificates.restore(payload[1:], self._party.app_id, key)
        yield
        yield from self._party.check(found)
        self._certificate = found


def _check_version(payload: bytes, size_min: int) -> None:
    if len(payload) < size_min or payload[0] != VERSION:
        raise RemoteProtocolError("another version of the handshake")
