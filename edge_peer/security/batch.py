"""
Signed batches: how a relay proves what somebody else has written.

What an author sends to a relay is a document for each batch of its own:

    collection "__signed" | id | one cell, `b`: bin, signature 64 | body
    body        a DELTA as the first of a link, both cursors 0: the documents that the author
                has written to, as he has them
    signature   Ed25519, by the author, of "edge-batch-v1" | SHA-256(appID 16 | author 8 | body)
    id          11 characters: base64 of SHA-256(signature | body)[:8]

The cell has the stamp, author and seq of the last write in the batch. So the vectors of sync
say of a batch what they say of its writes, and relays keep it and pass it on like any other
document. Whoever takes it (judge.py) takes the documents in it as from the author's own link,
where cells of others only show what his writes stand upon. It is never changed on its way:
what merges is taken out of it, beside it.

Documents travel as columns in it too, so that 32 readings take some ten bytes each with the
signature. What is signed is 45 bytes: with them one block of SHA-512.
"""

from binascii import b2a_base64
from collections import namedtuple
from hashlib import sha256

from edge_peer.core.codec import pack
from edge_peer.core.document import REGISTER, Cell
from edge_peer.core.errors import FormatError
from edge_peer.core.limits import PROOFS, SIGNED
from edge_peer.core.sync.messages import Decoder, Delta, Encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.store.log import Put

    Record = tuple[str, str, Document]

CONTEXT = b"edge-batch-v1"
FIELD = "b"
SIGNATURE_SIZE = 64
COUNT_MAX = 32  # documents: as many are in a board's memory together
BODY_BYTES_MAX = 752  # of several documents: a batch fits any link, in a message of 1,024 bytes
BUILT_BYTES_MAX = 4_096  # documents of a batch, as the reader of a DELTA counts them
_ID_SIZE = 11

Batch = namedtuple("Batch", ("author", "signature", "body", "records"))


def encode(author: bytes, puts: "list[Put]", bodies: "list[Document]") -> "tuple[bytes, int]":
    """Return the body of a batch, and how many of the documents it has: the first ones."""
    count = len(puts)
    while True:
        named = [(put[0], put[1], 0, b"") for put in puts[:count]]
        size_max = BODY_BYTES_MAX if count > 1 else 1 << 30
        body = Encoder(author).delta(0, named, bodies[:count], size_max)
        if body:
            return body, count
        count = (count + 1) // 2


def message_of(app_id: bytes, author: bytes, body: bytes) -> bytes:
    """Return the 45 bytes that the author signs."""
    return CONTEXT + sha256(app_id + author + body).digest()


def record_of(author: bytes, signature: bytes, body: bytes, bodies: "list[Document]") -> "Record":
    """Return the document of a batch of these."""
    last = _last_of(author, bodies)
    assert last is not None
    data = signature + body
    cell = Cell(last.stamp, author, last.seq, REGISTER, pack(data))
    return SIGNED, _id_of(data), {FIELD: cell}


def read(id: str, document: "Document", unpack: "Callable[[bytes], object]") -> Batch:
    """Read a document of SIGNED, proven or not; raises FormatError."""
    cell = document.get(FIELD)
    if cell is None or len(document) > 1 or cell.kind != REGISTER:
        raise FormatError("no batch")
    data: Any = unpack(cell.value)
    if not isinstance(data, bytes) or len(data) <= SIGNATURE_SIZE or _id_of(data) != id:
        raise FormatError("no batch, or not of this id")
    body = data[SIGNATURE_SIZE:]
    records = _records(cell.author, body)
    last = _last_of(cell.author, [one[2] for one in records])
    if last is None or (last.stamp, last.seq) != (cell.stamp, cell.seq):
        raise FormatError("a batch that does not end where it says")
    if any([one[0] in PROOFS for one in records]):
        raise FormatError("a batch of what proves itself")
    return Batch(cell.author, data[:SIGNATURE_SIZE], body, records)


def _records(author: bytes, body: bytes) -> "list[Record]":
    deltas = list(Decoder(author, BUILT_BYTES_MAX + len(body)).messages(body))
    if len(deltas) != 1 or not isinstance(deltas[0], Delta):
        raise FormatError("a batch is one DELTA")
    if deltas[0].previous or deltas[0].cursor:
        raise FormatError("a batch with cursors")
    records: list[Record] = deltas[0].records
    return records


def _last_of(author: bytes, documents: "list[Document]") -> "Cell | None":
    """Return the last cell that the author has written."""
    last: Cell | None = None
    for document in documents:
        for cell in document.values():
            if cell.author == author and (last is None or cell.seq > last.seq):
                last = cell
    return last


def _id_of(data: bytes) -> str:
    return b2a_base64(sha256(data).digest()[:8])[:_ID_SIZE].decode()
