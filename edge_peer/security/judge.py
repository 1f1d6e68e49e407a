"""
Who wrote what arrives, and whether he may: asked for every document (core/sync/receiver.py).

Every author's certificate is a document:

    collection "__authors" | id: the author in hexadecimal | certificate: bin, incarnation 4 |
    certificate

The relay or Big Peer that he is linked to writes it, or a Big Peer that renews it. An author
is a hash of its key and incarnation (core/ids.py), so it proves itself by the authority's
signature, whoever has written and carried it. It travels ahead of the first document of
its author on each link (core/sync/sender.py).

Who wrote a change is known like this. A device speaks for itself: its session's certificate
is that of its writes, and what others have written is not taken from it. What a relay carries
is in batches that its author has signed (batch.py), if his certificate says that he signs;
of others, and where the receiver is no Big Peer, its word is taken: it was admitted as one.
What Big Peers have written it has to prove by their seal (seal.py), to everybody.
Each author's own certificate says whether he may. A Big Peer has judged what it sends.
"""

from binascii import hexlify, unhexlify

from edge_peer.core import document as documents
from edge_peer.core.codec import pack
from edge_peer.core.document import SEAL
from edge_peer.core.errors import RemoteProtocolError, StoreFull
from edge_peer.core.ids import author_of
from edge_peer.core.limits import AUTHORS, SIGNED
from edge_peer.core.query.view import view
from edge_peer.security import certificate as certificates
from edge_peer.security.certificate import BIG_PEER
from edge_peer.security.guard import FIELD, INCARNATION_SIZE
from edge_peer.security.permission import Permissions
from edge_peer.security.refusals import IMPOSED, NOT_ALLOWED, UNKNOWN, UNSIGNED, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.query.find import Fields
    from edge_peer.security.batch import Batch
    from edge_peer.security.certificate import Certificate
    from edge_peer.security.gate import Gate
    from edge_peer.security.guard import Guard

    Record = tuple[str, str, Document]

DROPPED_MIN = 8  # batches: dropping is a write to flash
_HEARSAY = -1  # not taken, and nobody's fault


class _Proven:
    """An author whose signature stands for his session: what `_allowed` asks of a Gate."""

    is_believed = False

    def __init__(self, gate: "Gate", author: bytes, rules: "Permissions | None") -> None:
        self.neighbour = author
        self.rules = rules
        self.refuse = gate.refuse

    def must_sign(self, author: bytes) -> bool:
        return False


class Judge:
    def __init__(self, guard: "Guard") -> None:
        self._guard = guard
        self._store = guard.store
        self._rules: dict[bytes, Permissions | None] = {}  # by author; None: anything
        self._signers: dict[bytes, Certificate] = {}  # of those of them who sign
        self._big_peers: dict[bytes, Certificate] = {}  # of those of them who are Big Peers
        self._held: dict[str, tuple[bytes, int]] | None = None  # batches here: author, seq
        self._claims: dict[bytes, bool] = {}  # whether they sign, of authors not asked for yet
        self._batches: dict[str, Batch] = {}  # by id: proven, to be judged
        self._sealed: dict[tuple[str, str], set[str]] = {}  # paths that a seal has proven
        # What was taken of the message that is judged now, by collection and id
        self._fresh: dict[tuple[str, str], list[Document]] = {}

    # Authors

    def meet(self, author: bytes, incarnation: bytes, certificate: "Certificate") -> None:
        """Keep the certificate of a new session, which was checked, for those further on."""
        found = self.voucher(author)
        known = None if found is None else self._read(found[0], found[1])
        if known is not None and known[1].serial >= certificate.serial:
            self._remember(author, known[1])
            return
        try:
            self.publish(author, incarnation, certificate)
        except StoreFull:
            self._remember(author, certificate)  # there is no room for its documents, either

    def voucher(self, author: bytes) -> "tuple[str, Document] | None":
        """Return the id and the document of an author's certificate, if it is here."""
        id = hexlify(author).decode()
        document = self._store.get(AUTHORS, id)
        return None if document is None else (id, document)

    def certificate_of(self, author: bytes) -> "Certificate | None":
        """Return an author's certificate, if it is here."""
        found = self.voucher(author)
        return None if found is None else self._proven(found[0], found[1])

    def authors(self) -> "Iterator[tuple[bytes, bytes, Certificate]]":
        """Yield (author, incarnation, certificate) of all that are here, as they once proved."""
        for id in sorted([one for one, _ in self._store.scan(AUTHORS)]):
            found = self._read(id, self._store.get(AUTHORS, id) or {})
            if found is not None:
                yield unhexlify(id), found[0], found[1]

    def publish(self, author: bytes, incarnation: bytes, certificate: "Certificate") -> None:
        """Write somebody's certificate. Raises StoreFull."""
        value = pack(incarnation + certificate.raw)
        self._store.write([(AUTHORS, hexlify(author).decode(), {FIELD: value})])
        self._remember(author, certificate)

    def is_proven(self, id: str, document: "Document") -> bool:
        """Say whether a document of AUTHORS is what it has to be, and none that was replaced."""
        certificate = self._proven(id, document)
        if certificate is None:
            return False
        known = self._read(id, self._store.get(AUTHORS, id) or {})
        if known is not None and known[1].serial > certificate.serial:
            return False
        self._remember(unhexlify(id), certificate)  # it is stored only after this message
        return True

    def _proven(self, id: str, document: "Document") -> "Certificate | None":
        found = self._read(id, document)
        return found[1] if found is not None and self._guard.is_signed(found[1]) else None

    def _read(self, id: str, document: "Document") -> "tuple[bytes, Certificate] | None":
        """Return the incarnation and certificate, if their author is that of the id."""
        cell = document.get(FIELD)
        if cell is None or len(document) > 2:  # beside it BIRTH
            return None
        try:
            value: Any = self._guard.unpack(cell.value)
            incarnation = bytes(value[:INCARNATION_SIZE])
            certificate = certificates.decode(value[INCARNATION_SIZE:])
            Permissions(certificate.permissions, certificate.name)
        except (RemoteProtocolError, TypeError, ValueError):
            return None
        if hexlify(author_of(certificate.key, incarnation)).decode() != id:
            return None
        return incarnation, certificate

    def _rules_of(self, author: bytes) -> "Permissions | None":
        """Return what an author may write, None for anything; KeyError if nothing proves it."""
        if author not in self._rules:
            certificate = self.certificate_of(author)
            if certificate is None:
                raise KeyError(author)
            self._remember(author, certificate)
        return self._rules[author]

    def signs(self, author: bytes) -> bool:
        """Say whether relays need an author's signature, by the certificate that is here."""
        if author in self._rules:
            return author in self._signers
        if author not in self._claims:
            if len(self._claims) >= self._store.log.authors_max:
                self._claims = {}
            found = self.voucher(author)
            known = None if found is None else self._read(found[0], found[1])
            self._claims[author] = known is not None and known[1].signs
        return self._claims[author]

    def is_big(self, author: bytes) -> bool:
        """Say whether an author is a Big Peer, by the certificate that is here."""
        if author == self._store.author:
            return bool(self._guard.certificate.role == BIG_PEER)
        return self.big_peer(author) is not None

    def big_peer(self, author: bytes) -> "Certificate | None":
        """Return an author's certificate, if he is proven to be a Big Peer."""
        try:
            self._rules_of(author)
        except KeyError:
            return None
        return self._big_peers.get(author)

    def _remember(self, author: bytes, certificate: "Certificate") -> None:
        if len(self._rules) >= self._store.log.authors_max:
            self._rules, self._signers, self._big_peers = {}, {}, {}
        self._rules[author] = permissions_of(certificate)
        self._claims.pop(author, None)
        if certificate.signs:
            self._signers[author] = certificate
        else:
            self._signers.pop(author, None)
        if certificate.role == BIG_PEER:
            self._big_peers[author] = certificate
        for gate in self._guard.gates:
            gate.note_certificate(author, certificate)

    # Reading

    def may_read(self, rules: "Permissions | None", put: "Record") -> bool:
        """Say whether these rules show a document."""
        collection, id, document = put
        if rules is None or collection == AUTHORS:
            return True
        return rules.may_read(collection, id, self._fields(document))

    # Writing

    def judged(self, gate: "Gate", records: "list[Record]") -> "list[Record]":
        """Return what is to be merged of what has come; what is refused will be told."""
        if gate.is_big:
            for collection, id, document in records:
                if collection == AUTHORS:
                    self.is_proven(id, document)  # for whom it is, and what we know of him
            return records
        taken = [one for one in records if one[0] == AUTHORS and self.is_proven(one[1], one[2])]
        for collection, id, document in records:
            if collection == SIGNED:
                taken += self._opened(gate, id, document)
            elif collection != AUTHORS:
                document = self._take_proven(gate, collection, id, document)
                if document:
                    taken += self._allowed(gate, collection, id, document)
        self._fresh = {}
        return taken

    def _take_proven(
        self, gate: "Gate", collection: str, id: str, document: "Document"
    ) -> "Document":
        """Return a document without what a Big Peer should have written, and no seal proves."""
        if not gate.is_believed:
            return document
        proven = self._sealed.get((collection, id), ())
        own = self._store.author
        taken: Document = {}
        for path, cell in document.items():
            if (
                path in proven
                or path != SEAL
                and (cell.author == own or not self.is_big(cell.author))
            ):
                taken[path] = cell
            elif path != SEAL:
                gate.refuse(Refusal(cell.author, cell.seq, UNSIGNED, collection, id))
        if self._guard.is_bystander:
            taken.pop(SEAL, None)  # it passes nothing on
        return taken

    # Batches

    def prove(self, gate: "Gate", records: "list[Record]") -> "Generator[None, None, None]":
        """Check the signatures of certificates and batches, in steps, for `judged`."""
        self._batches = {}
        self._sealed = {}
        for collection, id, document in records:  # first, wherever a DELTA has put them
            found = self._read(id, document) if collection == AUTHORS else None
            if found is not None and (yield from self._guard.check(found[1])):
                self.is_proven(id, document)
        for collection, id, document in records:
            if collection == AUTHORS:
                continue
            for author in set([cell.author for cell in document.values()]):
                if gate.is_believed and author not in self._rules:
                    yield from self._recall(author)
            if collection == SIGNED:
                batch = yield from self._proven_batch(gate, id, document)
                if batch is not None:
                    self._batches[id] = batch
            elif SEAL in document and gate.is_believed:
                from edge_peer.security.seal import proven

                paths = yield from proven(self._guard, collection, id, document)
                self._sealed[collection, id] = paths

    def _recall(self, author: bytes) -> "Generator[None, None, None]":
        """Check the certificate of an author that is here, if it is."""
        found = self.voucher(author)
        known = None if found is None else self._read(found[0], found[1])
        if known is not None and (yield from self._guard.check(known[1])):
            self._remember(author, known[1])

    def _proven_batch(
        self, gate: "Gate", id: str, document: "Document"
    ) -> "Generator[None, None, Batch | None]":
        """Return a batch, if its author has signed it, or says so himself on his own link."""
        from edge_peer.security import batch as batches

        try:
            batch = batches.read(id, document, self._guard.unpack)
            if batch.author == gate.neighbour:
                return batch
            self._rules_of(batch.author)
            signer = self._signers[batch.author]
        except (RemoteProtocolError, KeyError):
            return None
        message = batches.message_of(self._guard.app_id, batch.author, batch.body)
        valid = yield from self._guard.keys.verify_of(signer, batch.signature, message)
        return batch if valid else None

    def _opened(self, gate: "Gate", id: str, document: "Document") -> "list[Record]":
        """Return what is to be merged of a batch that was proven, and itself to be passed on."""
        guard = self._guard
        batch = self._batches.get(id)
        author = max(document.values()).author
        if author == self._store.author or guard.is_bystander:
            return []
        if not gate.is_believed and author != gate.neighbour:
            return []
        if batch is None:
            reason = UNSIGNED if author in self._rules else UNKNOWN
            gate.refuse(Refusal(author, _seq_of(document), reason, SIGNED, id))
            return []
        speaker = _Proven(gate, author, self._rules_of(author))
        taken: list[Record] = []
        if guard.certificate.role != BIG_PEER and not self._store.is_durable(document):
            taken.append((SIGNED, id, document))
            self._batches_held()[id] = author, _seq_of(document)
        for record in batch.records:
            taken += self._allowed(speaker, record[0], record[1], record[2])
        return taken

    def drop_batches(self) -> None:
        """Let go what has become durable, a few at a time: it only takes room."""
        held = self._batches_held()
        gone = [id for id in held if held[id][1] <= self._store.durable_seq(held[id][0])]
        if len(gone) >= DROPPED_MIN:
            self._store.evict([(SIGNED, id) for id in gone])
            for id in gone:
                del held[id]

    def _batches_held(self) -> "dict[str, tuple[bytes, int]]":
        if self._held is None:
            self._held = {}
            for id, body in self._store.scan(SIGNED):
                cell = max(documents.decode(body).values())
                self._held[id] = cell.author, cell.seq
        return self._held

    # Cells

    def _allowed(
        self, gate: "Gate | _Proven", collection: str, id: str, document: "Document"
    ) -> "list[Record]":
        """Return the cells of a document that their authors may write, the earliest first."""
        fresh = self._fresh.setdefault((collection, id), [])
        if self._may_write_all(gate, collection, document):
            fresh.append(document)
            return [(collection, id, document)]
        body = self._store.body(collection, id)
        state: Document = {} if body is None else documents.decode(body)
        for cells in fresh:
            documents.merge(state, cells)
        hearsay: Document = {}
        by_author: dict[bytes, Document] = {}
        for path, cell in document.items():
            by_author.setdefault(cell.author, {})[path] = cell
            if not state and not gate.is_believed and cell.author != gate.neighbour:
                hearsay[path] = cell  # what its writes stand upon, as it knows it
        order = [(min([cell.stamp for cell in by_author[one].values()]), one) for one in by_author]
        taken: Document = {}
        for _, author in sorted(order):
            cells = by_author[author]
            after = dict(state)
            if documents.merge(after, cells):
                whole = dict(hearsay)
                documents.merge(whole, after)
                reason = self._reason(gate, author, cells, collection, id, state, whole)
                if reason:
                    if reason != _HEARSAY:
                        gate.refuse(Refusal(author, _seq_of(cells), reason, collection, id))
                    continue
            state = after
            taken.update(cells)
        if taken:
            fresh.append(taken)
        return [(collection, id, taken)] if taken else []

    def _may_write_all(self, gate: "Gate | _Proven", collection: str, document: "Document") -> bool:
        """Say, without a look at what is there, whether the neighbour wrote all of it and may."""
        rules = gate.rules
        author = gate.neighbour
        return (
            (rules is None or rules.writes_all(collection))
            and not gate.must_sign(author)
            and all([cell.author == author for cell in document.values()])
        )

    def _reason(
        self,
        gate: "Gate | _Proven",
        author: bytes,
        cells: "Document",
        collection: str,
        id: str,
        before: "Document",
        after: "Document",
    ) -> int:
        """Return why these cells are not taken, 0 if they are."""
        if gate.must_sign(author):
            return UNSIGNED
        if author == gate.neighbour:
            rules = gate.rules
        elif not gate.is_believed:
            return _HEARSAY
        elif author == self._store.author:
            return IMPOSED if _seq_of(cells) > self._store.own_seq else 0
        else:
            try:
                rules = self._rules_of(author)
            except KeyError:
                return UNKNOWN
        if rules is None or rules.writes_all(collection):
            return 0
        states = self._fields(before), self._fields(after)
        return 0 if rules.may_write(author, collection, id, states[0], states[1]) else NOT_ALLOWED

    def _fields(self, document: "Document") -> "Fields | None":
        """Return what a document shows; None for a deleted one, or none at all."""
        if not document or documents.is_deleted(document):
            return None
        return view(document, self._guard.unpack)


def permissions_of(certificate: "Certificate") -> "Permissions | None":
    """Return what a certificate's holder may do, None for anything; raises FormatError."""
    if certificate.role == BIG_PEER:
        return None
    return Permissions(certificate.permissions, certificate.name)


def _seq_of(cells: "Document") -> int:
    return int(max([cell.seq for cell in cells.values()]))
