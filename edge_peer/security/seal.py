"""
A Big Peer's seal: how relays prove, to devices too, what Big Peers have written.

A Big Peer adds it to each document that it sends to a relay, as a cell at SEAL
(core/document.py), and keeps none itself:

    cell        author: the Big Peer that seals, stamp: of the last cell that is covered
    value       bin: signature 64 | 10 for each cell that is covered, ascending by path:
                SHA-256(author 8 | seq u48 | stamp u48 | kind 1 | path length 1 | path | value)[:10]
    signature   Ed25519, of "edge-seal-v1" | SHA-256(appID 16 | collection length 1 |
                collection | id length 1 | id | all of the tens)

Covered are the cells of all authors who are Big Peers. Whoever takes the document from a
relay takes those cells of it that the seal names; what others have overwritten since
is gone, and the rest still proven. So nothing has to be known of a document but itself: it
may be merged, evicted and passed on like any other. What is signed is 44 bytes: one block
of SHA-512.
"""

from hashlib import sha256

from edge_peer.core.codec import pack
from edge_peer.core.document import CELL_COUNT_MAX, REGISTER, SEAL, STAMP_SIZE, Cell
from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.packing import to_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.security.guard import Guard

    Proven = set[str]

CONTEXT = b"edge-seal-v1"
SIGNATURE_SIZE = 64
NAME_SIZE = 10  # of a cell: another one of the same name takes 2^80 hashes


def sealed(guard: "Guard", collection: str, id: str, document: "Document") -> "Document":
    """Return a document with this Big Peer's seal, if it has anything for it."""
    is_big = guard.judge.is_big
    covered = [path for path in sorted(document) if path != SEAL and is_big(document[path].author)]
    if not covered or len(document) - (SEAL in document) >= CELL_COUNT_MAX:
        return document
    names = b"".join([_name(path, document[path]) for path in covered])
    own = guard.store.author
    last = max([document[path][:3] for path in covered])
    seqs = [document[path].seq for path in covered if document[path].author == own]
    from edge_peer.security.guard import finished

    signature = finished(guard.keys.sign(message_of(guard.app_id, collection, id, names)))
    out = dict(document)
    out[SEAL] = Cell(last[0], own, max(seqs) if seqs else 1, REGISTER, pack(signature + names))
    return out


def proven(
    guard: "Guard", collection: str, id: str, document: "Document"
) -> "Generator[None, None, Proven]":
    """Return, in steps, the paths that a Big Peer's seal covers; none if it is not valid."""
    cell = document[SEAL]
    signer = guard.judge.big_peer(cell.author)
    try:
        value: Any = guard.unpack(cell.value)
    except (RemoteProtocolError, ValueError):
        return set()
    if signer is None or not isinstance(value, bytes) or len(value) <= SIGNATURE_SIZE:
        return set()
    names = value[SIGNATURE_SIZE:]
    known = set([names[i : i + NAME_SIZE] for i in range(0, len(names), NAME_SIZE)])
    paths = [path for path in document if path != SEAL and _name(path, document[path]) in known]
    if not paths:
        return set()
    here = guard.store.get(collection, id)
    if here is not None and here.get(SEAL) == cell:
        return set(paths + [SEAL])  # it was valid when it came
    message = message_of(guard.app_id, collection, id, names)
    valid = yield from guard.keys.verify_of(signer, value[:SIGNATURE_SIZE], message)
    return set(paths + [SEAL]) if valid else set()


def message_of(app_id: bytes, collection: str, id: str, names: bytes) -> bytes:
    """Return the 44 bytes that a Big Peer signs."""
    found = sha256(app_id)
    for text in (to_utf8(collection), to_utf8(id)):
        found.update(bytes((len(text),)) + text)
    found.update(names)
    return CONTEXT + found.digest()


def _name(path: str, cell: Cell) -> bytes:
    raw = to_utf8(path)
    head = cell.author + cell.seq.to_bytes(6, "big") + cell.stamp.to_bytes(STAMP_SIZE, "big")
    found = sha256(head + bytes((cell.kind, len(raw))) + raw)
    found.update(cell.value)
    return found.digest()[:NAME_SIZE]
