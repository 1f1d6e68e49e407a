"""
All that a peer knows by heart of who it is and whom it has met: what channels ask.

    identity      this device's certificate and secrets (identity.py)
    tickets       of peers that it may resume with; the oldest go first
    verified      fingerprints of certificates whose signature was checked
    certificate   a renewed one, which counts in place of the identity's
    random        a generator of its own, since a board's may be weak

On a *shelf* (host/keys.py, board/keys.py), a folder of small files that are replaced as a
whole, lie

    random        32 bytes: what the next start begins with
    verified      up to 32 fingerprints, 16 bytes each
    certificate   a newer one than the identity's, for the same key
    t-ID          one ticket each

Nothing of it is shown by repr, or told in an error.
"""

from binascii import hexlify

from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.security.channel import Channel
from edge_peer.security.kdf import Hmac, hmac, is_equal
from edge_peer.security.ticket import Ticket, new_ticket
from edge_peer.security.ticket import decode as decode_ticket
from edge_peer.security.wire import MAC1_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol

    from edge_peer.security.certificate import Certificate
    from edge_peer.security.identity import Identity

    Steps = Generator[None, None, Any]

    class Shelf(Protocol):
        def names(self) -> list[str]: ...
        def read(self, name: str) -> bytes | None: ...
        def write(self, name: str, data: bytes) -> None: ...
        def remove(self, name: str) -> None: ...


VERIFIED_MAX = 32
FRESH_BYTES = 8  # of the runtime's generator in each draw: 0.6 ms on an RP2040
SEEN_MAX = 64  # M1s of others, so that one that was recorded is not answered again
_TICKET = "t-"


class Keyring:
    def __init__(
        self,
        crypto: "Any",
        identity: "Identity",
        shelf: "Shelf",
        entropy: "Callable[[int], bytes]",
        now_s: "Callable[[], int | None]",
        tickets_max: int,
    ) -> None:
        """
        crypto: this runtime's module; now_s() -> seconds since 2020, None if not known;
        tickets_max: how many peers are remembered. Raises StorageError.
        """
        self.crypto = crypto
        self.certificate = identity.certificate
        self.app_id = identity.app_id
        self.earliest_s = identity.certificate.not_before_s  # a time that has passed
        self.is_revoked: Callable[[int], bool] = lambda serial: False
        self.guard: Any = None  # what other peers may (guard.py); None: anything
        self._identity = identity
        self._shelf = shelf
        self._now_s = now_s
        self._tickets_max = tickets_max
        self._tickets: list[Ticket] = []  # the newest last
        self._parties: dict[int, Any] = {}
        self._private = b""
        self._key: Any = None  # all of it, once it has signed
        self._table: bytes | None = None
        self._seen: list[bytes] = []
        keys = identity.network_keys
        self._mac1_keys = {
            number: hmac(keys[number], b"EDB1 mac1" + identity.app_id) for number in keys
        }
        self._seed(entropy)
        self._take_renewed()
        verified = shelf.read("verified") or b""
        self._verified = [verified[i : i + 16] for i in range(0, len(verified), 16)]
        self._load_tickets()

    def channel(
        self, frame_size_max: int, is_ordered: bool, waits: bool, hint: int, now_ms: int
    ) -> Channel:
        """Return the way into a new link; see Channel."""
        return Channel(self, frame_size_max, is_ordered, waits, hint, now_ms)

    def random(self, size: int) -> bytes:
        """Return at most 32 bytes that are random even where the board's generator is not."""
        self._draws += 1
        fresh = self._entropy(FRESH_BYTES)
        return self._random.tag(self._draws.to_bytes(8, "big"), fresh)[:size]

    def flags_of(self, certificate: "Certificate") -> int:
        """Return which of HELLO's flags this role may set."""
        from edge_peer.core.sync.messages import RELAYS, WANTS_ALL
        from edge_peer.security.certificate import BIG_PEER, RELAY

        flags = {BIG_PEER: WANTS_ALL | RELAYS, RELAY: RELAYS}
        return flags.get(certificate.role, 0)

    def renew(self, certificate: "Certificate") -> None:
        """Show this newer certificate from now on, and after the next start; StorageError."""
        self._shelf.write("certificate", certificate.raw)
        self._take_renewed()

    def _take_renewed(self) -> None:
        raw = self._shelf.read("certificate")
        if raw is None:
            return
        from edge_peer.security.certificate import decode

        try:
            renewed = decode(raw)
        except RemoteProtocolError:
            self._shelf.remove("certificate")  # damaged: the identity's own still counts
            return
        own = self._identity.certificate
        if renewed.key == own.key and renewed.serial > own.serial:
            self._identity.certificate = self.certificate = renewed
            self._parties = {}

    # Full handshakes

    def network_of(self, m1: bytes) -> "int | None":
        """Return the number of the network key that this M1 was made with; costs one hash each."""
        for number in self._mac1_keys:
            if is_equal(hmac(self._mac1_keys[number], m1[5:])[:MAC1_SIZE], m1[1:5]):
                return number
        return None

    def was_seen(self, m1: bytes) -> bool:
        return m1[5:13] in self._seen

    def note_seen(self, m1: bytes) -> None:
        self._seen.append(m1[5:13])
        if len(self._seen) > SEEN_MAX:
            self._seen.pop(0)

    def begin_handshake(self, number: "int | None" = None) -> "Steps":
        """Return a Handshake, a responder's where it answers with this network key's number."""
        from edge_peer.security.handshake import Handshake

        is_initiator = number is None
        if number is None:
            number = max(self._mac1_keys)
        if number not in self._parties:
            self._parties[number] = yield from self._party(number)
        return Handshake(self._parties[number], is_initiator, self.random(32))

    def end_handshake(self) -> None:
        """Call after a full handshake: what only these need may go."""
        if self.crypto.forget():
            self._parties = {}

    def _party(self, number: int) -> "Steps":
        from edge_peer.security.handshake import Party

        identity = self._identity
        if not self._private:
            self._private = yield from self.crypto.private_of(identity.seed)
        yield
        return Party(
            self.crypto,
            identity.app_id,
            identity.network_keys[number],
            self._mac1_keys[number],
            self._private,
            identity.certificate,
            self._check,
        )

    def _check(self, certificate: "Certificate") -> "Steps":
        from edge_peer.security import certificate as certificates

        fingerprint = certificates.fingerprint(certificate.raw)
        if fingerprint in self._verified:
            self._check_claims(certificate)
            return
        roles = tuple(certificates.ROLES.values())
        yield from certificates.check(
            certificate, self.app_id, self.time(), self.is_revoked, roles, self.verify
        )
        self._verified.append(fingerprint)
        if len(self._verified) > VERIFIED_MAX:
            self._verified.pop(0)
        self._shelf.write("verified", b"".join(self._verified))

    def _check_claims(self, certificate: "Certificate") -> None:
        from edge_peer.security import certificate as certificates

        roles = (certificates.DEVICE, certificates.BIG_PEER, certificates.RELAY)
        certificates.check_claims(certificate, self.app_id, self.time(), self.is_revoked, roles)

    def verify(self, signature: bytes, message: bytes) -> "Steps":
        """Return whether the app's authority has signed a message, in steps."""
        if self._table is None:
            self._table = self._shelf.read("table") or b""
        table, self._table = self._table, None
        valid: bool = yield from self.crypto.verify(
            self._identity.authority, signature, message, table
        )
        return valid

    def verify_of(self, certificate: "Certificate", signature: bytes, message: bytes) -> "Steps":
        """Return whether the holder of a certificate has signed a message, in steps."""
        signer = yield from self.crypto.signer_of(certificate.key, certificate.is_negative)
        valid: bool = yield from self.crypto.verify(signer, signature, message)
        return valid

    def sign(self, message: bytes) -> "Steps":
        """Return this device's signature, in steps."""
        if self._key is None:
            self._key = yield from self.crypto.expand(self._identity.seed)
        signature: bytes = yield from self.crypto.sign(self._key, message)
        return signature

    def time(self) -> "Any":
        """Return a certificate.Time."""
        from edge_peer.security.certificate import Time

        return Time(self._now_s(), self.earliest_s)

    # Tickets

    def ticket_for(self, hint: int) -> "Ticket | None":
        """Return the ticket to try on a link of that number."""
        for ticket in reversed(self._tickets):
            if hint and ticket.hint == hint and ticket.is_fresh(self._now_s() or 0):
                return ticket
        return None

    def ticket(self, id: bytes) -> "Ticket | None":
        for ticket in self._tickets:
            if ticket.id == id:
                return ticket if ticket.is_fresh(self._now_s() or 0) else None
        return None

    def holder_of(self, ticket: Ticket) -> "Certificate":
        """Return the other side's certificate, if it is still good; raises CertificateError."""
        from edge_peer.security.certificate import decode

        if ticket.decoded is None:
            ticket.decoded = decode(ticket.certificate)
        certificate: Certificate = ticket.decoded
        self._check_claims(certificate)
        return certificate

    def new_ticket(
        self, secret: bytes, is_initiator: bool, certificate: bytes, hint: int
    ) -> Ticket:
        """Remember a ticket; an older one of the same peer, and the oldest beyond the bound, go."""
        ticket = new_ticket(secret, is_initiator, certificate, self._now_s() or 0, hint)
        kept = []
        for one in self._tickets:
            if one.holder() == ticket.holder():
                self._remove(one)
            else:
                kept.append(one)
        if len(kept) >= self._tickets_max:
            self._remove(kept.pop(0))
        self._tickets = kept + [ticket]
        return ticket

    def save(self, id: bytes, data: bytes) -> None:
        self._shelf.write(_TICKET + hexlify(id).decode(), data)

    def _remove(self, ticket: Ticket) -> None:
        self._shelf.remove(_TICKET + hexlify(ticket.id).decode())

    def _load_tickets(self) -> None:
        for name in self._shelf.names():
            if name.startswith(_TICKET):
                try:
                    self._tickets.append(decode_ticket(self._shelf.read(name) or b""))
                except FormatError:
                    self._shelf.remove(name)  # of another version, or damaged

    # Random numbers

    def _seed(self, entropy: "Callable[[int], bytes]") -> None:
        """Replace the seed before anything is drawn: no start repeats another one's numbers."""
        self._entropy = entropy
        self._draws = 0
        seed = self._shelf.read("random") or hmac(self._identity.seed, b"EDB1 random")
        self._shelf.write("random", hmac(seed, b"next", entropy(32)))
        self._random = Hmac(hmac(seed, b"now", entropy(32)))
