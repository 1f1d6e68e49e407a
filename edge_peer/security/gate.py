"""
One link's gatekeeper: what this neighbour may see, say and write. Asked by core/sync/sync.py.

    REVOKED    0c | length | version varint | list     see revocation.py; none: "I have this"
    REFUSED    0d | length | refusals                  see refusals.py
    RENEWED    0e | length | certificate               the receiver's own, newer than it has shown

What a neighbour may claim depends on its role: only a Big Peer wants everything, and only
relays and Big Peers take what the Big Peer lacks, say what is durable, teach what they know of
others, and pass on what others wrote. So a device can neither make others forget what was not
saved nor hide what is there.

A list is told when it is higher than what the neighbour has told of its own.
"""

from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.core.limits import AUTHORS, PROOFS, SIGNED
from edge_peer.core.packing import Reader, put_varint
from edge_peer.core.sync.messages import (
    OFFER,
    REFUSED,
    RELAYS,
    RENEWED,
    REVOKED,
    TOLD_BYTES_MAX,
    WANT,
    WANTS_ALL,
    WANTS_UNDURABLE,
)
from edge_peer.security.certificate import BIG_PEER, DEVICE, RELAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from edge_peer.core.document import Document
    from edge_peer.core.sync.messages import Told
    from edge_peer.security.certificate import Certificate
    from edge_peer.security.guard import Guard
    from edge_peer.security.notary import Notary
    from edge_peer.security.permission import Permissions
    from edge_peer.security.refusals import Refusal

    Record = tuple[str, str, Document]

REFUSALS_WAITING_MAX = 64  # to be told on one link
TOLD_MAX = 16  # in one message
_REFUSAL_BYTES_MAX = 220


class Gate:
    def __init__(self, guard: "Guard", certificate: "Certificate", neighbour: bytes) -> None:
        """
        certificate: what the neighbour has proven to hold; neighbour: the author that follows
        from its key.
        """
        self.certificate = certificate
        self.neighbour = neighbour
        self._newest = certificate  # that we know of, of this neighbour
        self.refused_count = 0
        self.tells_list = guard.list_version > 0
        self._guard = guard
        self._rules: tuple[Permissions | None, ...] = ()  # one, once it is asked for
        self._their_version = -1  # of their list; -1: not heard of
        self._told_version = -1
        self._renewed: Certificate | None = None  # the neighbour's, to be told
        self._refusals: list[Refusal] = []  # to be told
        if guard.has_refusals():
            self._refusals = guard.refusals.release(neighbour)

    def close(self) -> None:
        if self in self._guard.gates:
            self._guard.gates.remove(self)

    # Who it is

    @property
    def is_believed(self) -> bool:
        """Whether what it says of others' writes counts."""
        return bool(self.certificate.role != DEVICE)

    @property
    def is_big(self) -> bool:
        return bool(self.certificate.role == BIG_PEER)

    @property
    def rules(self) -> "Permissions | None":
        """What it may do by its newest certificate, None for anything; raises FormatError."""
        if not self._rules:
            from edge_peer.security.judge import permissions_of

            self._rules = (permissions_of(self._newest),)
        return self._rules[0]

    def check_flags(self, flags: int) -> None:
        """Raise RemoteProtocolError for a HELLO that is not for this role."""
        if flags & WANTS_ALL and not self.is_big:
            raise RemoteProtocolError("it is no Big Peer, and wants to be one")
        if flags & (WANTS_UNDURABLE | RELAYS) and not self.is_believed:
            raise RemoteProtocolError("it is no relay, and wants to be one")

    def check(self) -> None:
        """Raise CertificateError if it has expired, or was revoked, since the link is open."""
        self._guard.check_claims(self.certificate)

    def note_certificate(self, author: bytes, certificate: "Certificate") -> None:
        """Call when a certificate of this author has come to be known."""
        if author == self.neighbour and certificate.serial > self.certificate.serial:
            self._renewed = certificate
            self._newest = certificate
            self._rules = ()  # from now on what this one says

    # Messages

    def next_message(self, size_max: int) -> bytes:
        if self.tells_list:
            return self._next_list()
        if self._renewed is not None:
            raw, self._renewed = self._renewed.raw, None
            return _told(RENEWED, raw)
        if self._refusals:
            from edge_peer.security.refusals import encode

            count = min(TOLD_MAX, max(1, min(size_max, TOLD_BYTES_MAX) // _REFUSAL_BYTES_MAX))
            part, self._refusals = self._refusals[:count], self._refusals[count:]
            return _told(REFUSED, encode(part))
        return b""

    def receive(self, told: "Told") -> "Generator[None, None, None]":
        """In steps. Raises RemoteProtocolError for what is not as it should be."""
        reader = Reader(told.data)
        if told.kind == REVOKED:
            yield from self._hear_of_list(reader)
        elif told.kind == RENEWED:
            yield from self._guard.take_renewed(reader.take(len(told.data)))
        else:
            from edge_peer.security.refusals import decode

            for refusal in decode(reader):
                self._hear_of_refusal(refusal)
        if not reader.at_end():
            raise FormatError("longer than it says")

    def _next_list(self) -> bytes:
        version = self._guard.list_version
        self.tells_list = False
        self._told_version = version
        out = bytearray()
        put_varint(out, version)
        if -1 < self._their_version < version:
            out += self._guard.list_raw
            self._their_version = version
        return _told(REVOKED, bytes(out))

    def _hear_of_list(self, reader: Reader) -> "Generator[None, None, None]":
        version = reader.varint()
        raw = reader.take(len(reader.data) - reader.position)
        ours = self._guard.list_version
        self._their_version = max(self._their_version, version)
        if raw and version > ours:
            if (yield from self._guard.hear_list(raw)):
                self.tells_list = False
                self.check()
        elif self._their_version < ours or self._told_version != ours:
            self.tells_list = True

    def _hear_of_refusal(self, refusal: "Refusal") -> None:
        guard = self._guard
        if refusal.author == guard.store.author:
            guard.refusals.note_own(refusal)
        elif self.is_believed and guard.refusals.is_news(refusal):
            self._pass_on(refusal)

    def refuse(self, refusal: "Refusal") -> None:
        """Say it to the neighbour that it came from, unless it has made it up."""
        self.refused_count += 1
        if refusal.author != self._guard.store.author:
            self._tell(refusal)

    def _tell(self, refusal: "Refusal") -> None:
        if refusal not in self._refusals and len(self._refusals) < REFUSALS_WAITING_MAX:
            self._refusals.append(refusal)

    def _pass_on(self, refusal: "Refusal") -> None:
        """Tell a refusal to its author if he is linked, else to all other relays, or later."""
        guard = self._guard
        others = [gate for gate in guard.gates if gate is not self]
        authors = [gate for gate in others if gate.neighbour == refusal.author]
        relays = [gate for gate in others if gate.is_believed and not gate.is_big]
        for gate in authors or relays:
            gate._tell(refusal)
        if not authors and not relays:
            guard.refusals.hold(refusal)
        guard.store.wake()

    # Documents

    def may_read(self, collection: str, id: str, document: "Document") -> bool:
        """Say whether the neighbour may be sent a document that it wants."""
        if self.is_believed:
            return True
        if collection == SIGNED:
            return False  # it may have more in it; to devices go the documents themselves
        return self._guard.judge.may_read(self.rules, (collection, id, document))

    def wants(self, collection: str) -> bool:
        """Say whether the neighbour is sent this whatever it asks for: a relay, certificates."""
        return collection == AUTHORS and self.is_believed

    def told(self, collection: str, document: "Document") -> "Document":
        """Return the cells that the neighbour takes from us on our word, or who proves himself.

        Not those of other authors who sign, where the neighbour is to pass them on, or keep
        them for all: that takes the batches in SIGNED.
        """
        guard = self._guard
        if not self.is_believed or guard.certificate.role != RELAY or collection in PROOFS:
            return document
        mine = guard.store.author, self.neighbour
        signs = guard.judge.signs
        return {
            path: cell
            for path, cell in document.items()
            if cell.author in mine or not signs(cell.author)
        }

    def sealed(self, collection: str, id: str, document: "Document") -> "Document":
        """Return a document as a relay is to pass it on: with our seal, if we are a Big Peer."""
        guard = self._guard
        is_ours = guard.certificate.role == BIG_PEER and self.certificate.role == RELAY
        if not is_ours or collection in PROOFS:
            return document
        from edge_peer.security.seal import sealed

        return sealed(guard, collection, id, document)

    def notary(self) -> "Notary | None":
        """Return what signs for this neighbour, None where the session is proof enough."""
        if self.certificate.role != RELAY or not self._guard.certificate.signs:
            return None
        from edge_peer.security.notary import Notary

        return Notary(self._guard)

    def must_sign(self, author: bytes) -> bool:
        """Say whether this author's writes come from the neighbour only in signed batches."""
        role = self._guard.certificate.role
        if author == self.neighbour:
            return bool(role == RELAY and self.certificate.signs)
        return bool(role == BIG_PEER and self._guard.judge.signs(author))

    def may_exchange(self, kind: int) -> bool:
        """Say whether a message about attachments counts.

        A device offers if there is something that it may write, and asks if there is something
        that it may read. Pieces are compared with their blob's id, whoever sends them.
        """
        if self.is_believed or kind not in (OFFER, WANT):
            return True
        from edge_peer.security.permission import READ, WRITE

        return self.rules is None or self.rules.has(WRITE if kind == OFFER else READ)

    def voucher(self, author: bytes) -> "Record | None":
        """Return what must go ahead of this author's documents: the record of its certificate.

        What a Big Peer passes on is believed; a relay needs it for others.
        """
        guard = self._guard
        if author == guard.store.author or author == self.neighbour:
            return None
        if guard.certificate.role == BIG_PEER and self.certificate.role != RELAY:
            return None
        found = guard.judge.voucher(author)
        return None if found is None else (AUTHORS, found[0], found[1])

    def note_durable(self) -> None:
        """Call when D has risen."""
        if self._guard.certificate.role == RELAY:
            self._guard.judge.drop_batches()

    def prove(self, records: "list[Record]") -> "Generator[None, None, None]":
        """Check, in steps, the signatures that `judged` will ask for."""
        if not self.is_big:
            yield from self._guard.judge.prove(self, records)

    def judged(self, records: "list[Record]") -> "list[Record]":
        """Return what is to be merged of what has come; what is refused will be told."""
        return self._guard.judge.judged(self, records)


def _told(kind: int, data: bytes) -> bytes:
    out = bytearray([kind])
    put_varint(out, len(data))
    return bytes(out) + data
