"""
One link's gatekeeper: what this neighbour may see, say and write. Asked by core/sync.py.

    REVOKED    0c | length | version varint | list     see revocation.py; none: "I have this"
    REFUSED    0d | length | refusals                  see refusals.py
    RENEWED    0e | length | certificate               the receiver's own, newer than it has shown

What a neighbour may claim depends on its role: only a Big Peer wants everything, and only
relays and Big Peers take what the Big Peer lacks, say what is durable, teach what they know of
others, and pass on what others wrote. So a device can neither make others forget what was not
saved nor hide what is there.

A list is told when it is higher than what the neighbour has told of its own.
"""

from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.core.messages import (
    REFUSED,
    RELAYS,
    RENEWED,
    REVOKED,
    TOLD_BYTES_MAX,
    WANTS_ALL,
    WANTS_UNDURABLE,
)
from edge_peer.core.packing import Reader, put_varint
from edge_peer.security import refusals as refused
from edge_peer.security.certificate import BIG_PEER, DEVICE, RELAY
from edge_peer.security.guard import AUTHORS, permissions_of
from edge_peer.security.refusals import IMPOSED, NOT_ALLOWED, TOLD_MAX, UNKNOWN, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.messages import Told
    from edge_peer.security.certificate import Certificate
    from edge_peer.security.guard import Guard

    Record = tuple[str, str, Document]

_REFUSAL_BYTES_MAX = 220
_HEARSAY = -1  # not taken, and nobody's fault


class Gate:
    def __init__(self, guard: "Guard", certificate: "Certificate", neighbour: bytes) -> None:
        """
        certificate: what the neighbour has proven to hold; neighbour: the author that follows
        from its key. Raises CertificateError, FormatError.
        """
        guard.check_claims(certificate)
        self.certificate = certificate
        self.refused_count = 0
        self.tells_list = guard.revocations.version > 0
        self._guard = guard
        self.neighbour = neighbour
        self._permissions = permissions_of(certificate)
        self._their_version = -1  # of their list; -1: not heard of
        self._told_version = -1
        self._renewed: Certificate | None = None  # the neighbour's, to be told
        found = guard.certificate_of(neighbour)
        if found is not None:
            self.note_certificate(neighbour, found)
        self._refusals = guard.refusals.release(neighbour)  # to be told
        guard.gates.append(self)

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

    # Messages

    def next_message(self, size_max: int) -> bytes:
        if self.tells_list:
            return self._next_list()
        if self._renewed is not None:
            raw, self._renewed = self._renewed.raw, None
            return _told(RENEWED, raw)
        if self._refusals:
            count = min(TOLD_MAX, max(1, min(size_max, TOLD_BYTES_MAX) // _REFUSAL_BYTES_MAX))
            part, self._refusals = self._refusals[:count], self._refusals[count:]
            return _told(REFUSED, refused.encode(part))
        return b""

    def receive(self, told: "Told") -> None:
        """Raises RemoteProtocolError for what is not as it should be."""
        reader = Reader(told.data)
        if told.kind == REVOKED:
            self._hear_of_list(reader)
        elif told.kind == RENEWED:
            self._guard.take_renewed(reader.take(len(told.data)))
        else:
            for refusal in refused.decode(reader):
                self._hear_of_refusal(refusal)
        if not reader.at_end():
            raise FormatError("longer than it says")

    def _next_list(self) -> bytes:
        self.tells_list = False
        current = self._guard.revocations.current
        self._told_version = self._guard.revocations.version
        out = bytearray()
        put_varint(out, self._told_version)
        if current is not None and -1 < self._their_version < current.version:
            out += current.raw
            self._their_version = current.version
        return _told(REVOKED, bytes(out))

    def _hear_of_list(self, reader: Reader) -> None:
        version = reader.varint()
        raw = reader.take(len(reader.data) - reader.position)
        ours = self._guard.revocations.version
        self._their_version = max(self._their_version, version)
        if raw and version > ours:
            if self._guard.take_list(raw):
                self.tells_list = False
                self.check()
        elif self._their_version < ours or self._told_version != ours:
            self.tells_list = True

    def _hear_of_refusal(self, refusal: Refusal) -> None:
        guard = self._guard
        if not self.is_believed and refusal.author != guard.store.author:
            return
        if refusal.author == guard.store.author:
            guard.refusals.note_own(refusal)
        elif guard.refusals.is_news(refusal):
            pass_on(guard, refusal, self)

    def tell_refusal(self, refusal: Refusal) -> None:
        if refusal not in self._refusals and len(self._refusals) < refused.REFUSED_MAX:
            self._refusals.append(refusal)

    # Reading

    def may_read(self, collection: str, id: str, document: "Document") -> bool:
        """Say whether the neighbour may be sent a document that it wants."""
        if self.is_believed or collection == AUTHORS or self._permissions is None:
            return True
        fields = self._guard.fields(document)
        return self._permissions.may_read(collection, id, fields)

    def wants(self, collection: str) -> bool:
        """Say whether the neighbour is sent this whatever it asks for: a relay, certificates."""
        return collection == AUTHORS and self.is_believed

    def voucher(self, author: bytes) -> "Record | None":
        """Return what must go ahead of this author's documents: the record of its certificate.

        What a Big Peer passes on is believed; a relay needs it for others.
        """
        guard = self._guard
        if author == guard.store.author or author == self.neighbour:
            return None
        if guard.certificate.role == BIG_PEER and self.certificate.role != RELAY:
            return None
        found = guard.voucher(author)
        return None if found is None else (AUTHORS, found[0], found[1])

    # Writing

    def judged(self, records: "list[Record]") -> "list[Record]":
        """Return what is to be merged of what has come; what is refused will be told."""
        if self.is_big:
            for collection, id, document in records:
                if collection == AUTHORS:
                    self._guard.is_proven(id, document)  # for whom it is, and what we know of him
            return records
        records = sorted(records, key=lambda record: record[0] != AUTHORS)
        taken = []
        for collection, id, document in records:
            if collection == AUTHORS:
                if self._guard.is_proven(id, document):
                    taken.append((collection, id, document))
            else:
                cells = self._allowed(collection, id, document)
                if cells:
                    taken.append((collection, id, cells))
        return taken

    def _allowed(self, collection: str, id: str, document: "Document") -> "Document":
        """Return the cells of a document that their authors may write, the earliest first."""
        body = self._guard.store.body(collection, id)
        state: Document = {} if body is None else documents.decode(body)
        by_author: dict[bytes, Document] = {}
        for path, cell in document.items():
            by_author.setdefault(cell.author, {})[path] = cell
        order = [(min([cell.stamp for cell in by_author[one].values()]), one) for one in by_author]
        hearsay: Document = {}
        if body is None and not self.is_believed:  # what its writes stand upon, as it knows it
            hearsay = {
                path: cell for path, cell in document.items() if cell.author != self.neighbour
            }
        taken: Document = {}
        for _, author in sorted(order):
            cells = by_author[author]
            after = dict(state)
            if documents.merge(after, cells):
                whole = dict(hearsay)
                documents.merge(whole, after)
                reason = self._reason(author, cells, collection, id, state, whole)
                if reason:
                    self._refuse(reason, author, cells, collection, id)
                    continue
            state = after
            taken.update(cells)
        return taken

    def _reason(
        self,
        author: bytes,
        cells: "Document",
        collection: str,
        id: str,
        before: "Document",
        after: "Document",
    ) -> int:
        """Return why these cells are not taken, 0 if they are."""
        guard = self._guard
        if author == self.neighbour:
            rules = self._permissions
        elif not self.is_believed:
            return _HEARSAY
        elif author == guard.store.author:
            return IMPOSED if _seq_of(cells) > guard.store.own_seq else 0
        else:
            try:
                rules = guard.rules_of(author)
            except KeyError:
                return UNKNOWN
        if rules is None:
            return 0
        states = guard.fields(before), guard.fields(after)
        return 0 if rules.may_write(author, collection, id, *states) else NOT_ALLOWED

    def _refuse(
        self, reason: int, author: bytes, cells: "Document", collection: str, id: str
    ) -> None:
        if reason == _HEARSAY:
            return
        self.refused_count += 1
        if reason != IMPOSED:
            self.tell_refusal(Refusal(author, _seq_of(cells), reason, collection, id))


def pass_on(guard: "Guard", refusal: Refusal, source: Gate) -> None:
    """Tell a refusal to its author if he is linked, else to all other relays, or later."""
    others = [gate for gate in guard.gates if gate is not source]
    authors = [gate for gate in others if gate.neighbour == refusal.author]
    relays = [gate for gate in others if gate.is_believed and not gate.is_big]
    for gate in authors or relays:
        gate.tell_refusal(refusal)
    if not authors and not relays:
        guard.refusals.hold(refusal)
    guard.store.wake()


def _seq_of(cells: "Document") -> int:
    return int(max([cell.seq for cell in cells.values()]))


def _told(kind: int, data: bytes) -> bytes:
    out = bytearray([kind])
    put_varint(out, len(data))
    return bytes(out) + data
