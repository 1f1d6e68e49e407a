"""
Whom a peer believes, and what it lets them do: one Guard for all its links.

Every author's certificate is a document of its own, which that author writes:

    collection "__authors" | id: the author in hexadecimal | certificate: bin, incarnation 4 |
    certificate

An author is a hash of its key and incarnation (core/ids.py), so such a document proves
itself by the authority's signature, whoever has carried it. It travels ahead of the first
document of its author on each link (core/sender.py).

Who wrote a change is known like this. A device speaks for itself: its session's certificate
is that of its writes, and what others have written is not taken from it. A relay was
admitted as one: its word is taken on who wrote what it carries, and each author's own
certificate says whether he may. A Big Peer has judged what it sends.

What is refused is told back (security/refusals.py). Links have a Gate each, security/gate.py.
"""

from binascii import hexlify, unhexlify

from edge_peer.core import document as documents
from edge_peer.core.codec import pack
from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.ids import author_of
from edge_peer.core.view import view
from edge_peer.security import certificate as certificates
from edge_peer.security.certificate import BIG_PEER
from edge_peer.security.permission import Permissions
from edge_peer.security.refusals import Refusals
from edge_peer.security.revocation import Revocations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.find import Fields
    from edge_peer.core.store import Store
    from edge_peer.security.certificate import Certificate, Time
    from edge_peer.security.gate import Gate
    from edge_peer.security.revocation import Verify

AUTHORS = "__authors"
FIELD = "certificate"
INCARNATION_SIZE = 4
_LIST_ID = "revoked"  # the store's entry that keeps the revocation list


class Guard:
    def __init__(
        self,
        store: "Store",
        certificate: "Certificate",
        app_id: bytes,
        verify: "Verify",
        unpack: "Callable[[bytes], object]",
        time: "Callable[[], Time]",
    ) -> None:
        """
        certificate: this peer's own. verify(signature, message): the authority's, in steps.
        time() -> certificate.Time. Raises FormatError if the revocation list is damaged.
        """
        self.store = store
        self.certificate = certificate
        self.gates: list[Gate] = []
        self.on_revoked: Callable[[], None] | None = None  # called after a new list counts
        self.on_renewed: Callable[[Certificate], None] | None = None  # told of our own
        self.refusals = Refusals(store)
        self.revocations = Revocations(
            app_id, store.entry(_LIST_ID), lambda raw: store.keep_entry(_LIST_ID, raw)
        )
        self._app_id = app_id
        self._verify = verify
        self._unpack = unpack
        self._time = time
        self._rules: dict[bytes, Permissions | None] = {}  # by author; None: a Big Peer, anything

    def introduce(self) -> None:
        """Write this author's own certificate where all can read it, unless it is there.

        If a newer one is there, that is this peer's from now on. Raises StoreFull.
        """
        found = self.certificate_of(self.store.author)
        if found is None or found.serial < self.certificate.serial:
            self.publish(self.store.author, self.store.incarnation, self.certificate)
        else:
            self._adopt(found)

    def publish(self, author: bytes, incarnation: bytes, certificate: "Certificate") -> None:
        """Write an author's certificate: one's own, or a renewed one of somebody."""
        value = pack(incarnation + certificate.raw)
        self.store.write([(AUTHORS, hexlify(author).decode(), {FIELD: value})])
        self._remember(author, certificate)

    def is_revoked(self, serial: int) -> bool:
        return self.revocations.is_revoked(serial)

    def check_claims(self, certificate: "Certificate") -> None:
        """Check again what a session was begun with; raises CertificateError."""
        roles = tuple(certificates.ROLES.values())
        certificates.check_claims(certificate, self._app_id, self._time(), self.is_revoked, roles)

    def take_list(self, raw: bytes) -> bool:
        """Go by a revocation list, if it is newer and signed; raises FormatError."""
        is_new: bool = finished(self.revocations.take(raw, self._verify))
        if is_new:
            for gate in self.gates:
                gate.tells_list = True
            if self.on_revoked is not None:
                self.on_revoked()
            self.store.wake()
        return is_new

    # Authors

    def voucher(self, author: bytes) -> "tuple[str, Document] | None":
        """Return the id and the document of an author's certificate, if it is here."""
        id = hexlify(author).decode()
        document = self.store.get(AUTHORS, id)
        return None if document is None else (id, document)

    def certificate_of(self, author: bytes) -> "Certificate | None":
        """Return an author's certificate, if it is here."""
        found = self.voucher(author)
        return None if found is None else self._proven(found[0], found[1])

    def authors(self) -> "Iterator[tuple[bytes, bytes, Certificate]]":
        """Yield (author, incarnation, certificate) of all that are here, as they once proved."""
        for id in sorted([one for one, _ in self.store.scan(AUTHORS)]):
            found = self._read(id, self.store.get(AUTHORS, id) or {})
            if found is not None:
                yield unhexlify(id), found[0], found[1]

    def rules_of(self, author: bytes) -> "Permissions | None":
        """Return what an author may write, None for anything; KeyError if nothing proves it."""
        if author not in self._rules:
            certificate = self.certificate_of(author)
            if certificate is None:
                raise KeyError(author)
            self._remember(author, certificate)
        return self._rules[author]

    def is_proven(self, id: str, document: "Document") -> bool:
        """Say whether a document of AUTHORS is what it has to be."""
        certificate = self._proven(id, document)
        if certificate is not None:
            self._remember(unhexlify(id), certificate)  # it is stored only after this message
        return certificate is not None

    def _proven(self, id: str, document: "Document") -> "Certificate | None":
        found = self._read(id, document)
        return found[1] if found is not None and self._is_signed(found[1]) else None

    def _read(self, id: str, document: "Document") -> "tuple[bytes, Certificate] | None":
        """Return the incarnation and certificate, if their author is that of the id."""
        cell = document.get(FIELD)
        if cell is None or len(document) > 2:  # beside it BIRTH
            return None
        try:
            value: Any = self._unpack(cell.value)
            incarnation = bytes(value[:INCARNATION_SIZE])
            certificate = certificates.decode(value[INCARNATION_SIZE:])
            Permissions(certificate.permissions, certificate.name)
        except (RemoteProtocolError, TypeError, ValueError):
            return None
        if hexlify(author_of(certificate.key, incarnation)).decode() != id:
            return None
        return incarnation, certificate

    def take_renewed(self, raw: bytes) -> None:
        """Take a certificate for this peer's key; one that is none, or no newer, is passed over."""
        certificate = certificates.decode(raw)
        if certificate.key == self.certificate.key and self._is_signed(certificate):
            self._adopt(certificate)

    def _adopt(self, certificate: "Certificate") -> None:
        if certificate.serial > self.certificate.serial:
            self.certificate = certificate
            if self.on_renewed is not None:
                self.on_renewed(certificate)

    def _is_signed(self, certificate: "Certificate") -> bool:
        body = certificate.raw[: -certificates.SIGNATURE_SIZE]
        message = certificates.message_of(self._app_id, body)
        signature = certificate.raw[-certificates.SIGNATURE_SIZE :]
        return bool(finished(self._verify(signature, message)))

    def _remember(self, author: bytes, certificate: "Certificate") -> None:
        if len(self._rules) >= self.store.log.authors_max:
            self._rules = {}
        self._rules[author] = permissions_of(certificate)
        for gate in self.gates:
            gate.note_certificate(author, certificate)

    # Judging

    def fields(self, document: "Document") -> "Fields | None":
        """Return what a document shows; None for a deleted one, or none at all."""
        if not document or documents.is_deleted(document):
            return None
        return view(document, self._unpack)


def permissions_of(certificate: "Certificate") -> "Permissions | None":
    """Return what a certificate's holder may do, None for anything; raises FormatError."""
    if certificate.role == BIG_PEER:
        return None
    return Permissions(certificate.permissions, certificate.name)


def finished(steps: "Any") -> "Any":
    """Run a generator to its end; return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
