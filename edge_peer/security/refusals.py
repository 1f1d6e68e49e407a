"""
Changes that somebody has refused: told back to their authors, who keep them visible.

    told      count u8 | (author 8 | seq varint | reason u8 | collection text | id text)*
    kept      the number of all, a varint | told, of the newest       an entry of the store

Who refuses a change says so to the neighbour that it came from. That is its author, or a
relay, which says it to the author, or to all relays that it is linked to. What cannot be
told soon is forgotten, after REFUSED_MAX others; an author knows how many it has heard of.
"""

from collections import namedtuple

from edge_peer.core.document import AUTHOR_SIZE
from edge_peer.core.errors import FormatError, StoreFull
from edge_peer.core.ids import COLLECTION_BYTES_MAX, ID_BYTES_MAX
from edge_peer.core.packing import Reader, put_text, put_varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.store.store import Store

NOT_ALLOWED = 1  # its certificate does not allow it
UNKNOWN = 2  # nothing proves who its author is
IMPOSED = 3  # written in the name of somebody who did not
UNSIGNED = 4  # its author signs what he writes, and has not signed this
REASONS = {
    NOT_ALLOWED: "the author's certificate does not allow it",
    UNKNOWN: "nothing proves who its author is",
    IMPOSED: "somebody else has written it in this author's name",
    UNSIGNED: "a relay passed it on without its author's signature",
}

REFUSED_MAX = 64  # that wait for their authors
COUNT_MAX = 64  # in a list of them
KEPT_MAX = 8  # of which an author keeps the names: 3 kB are all that a board has for entries
_ENTRY_ID = "refused"

Refusal = namedtuple("Refusal", ("author", "seq", "reason", "collection", "id"))


def encode(refusals: "list[Refusal]") -> bytes:
    out = bytearray([len(refusals)])
    for refusal in refusals:
        out += refusal.author
        put_varint(out, refusal.seq)
        out.append(refusal.reason)
        put_text(out, refusal.collection)
        put_text(out, refusal.id)
    return bytes(out)


def decode(reader: Reader) -> "list[Refusal]":
    """Read what `encode` wrote; raises FormatError."""
    refusals = []
    count = reader.byte()
    if count > COUNT_MAX:
        raise FormatError("more refusals than one message may have")
    for _ in range(count):
        author, seq, reason = reader.take(AUTHOR_SIZE), reader.varint(), reader.byte()
        collection = reader.text(COLLECTION_BYTES_MAX)
        refusals.append(Refusal(author, seq, reason, collection, reader.text(ID_BYTES_MAX)))
    return refusals


class Refusals:
    """What this peer's own writes have met, and what it has heard of others'."""

    def __init__(self, store: "Store") -> None:
        self.count = 0
        self.kept: list[Refusal] = []  # of our own, the newest last
        self._store = store
        self._seen: list[tuple[bytes, int]] = []  # of others, so that nothing goes round
        self.waiting: list[Refusal] = []  # for authors that are not linked
        raw = store.entry(_ENTRY_ID)
        if raw is not None:
            reader = Reader(raw)
            self.count = reader.varint()
            self.kept = decode(reader)

    def note_own(self, refusal: Refusal) -> None:
        """Keep that a write of our own was refused, durably; once, whoever tells it."""
        if (refusal.author, refusal.seq) in [(one.author, one.seq) for one in self.kept]:
            return
        self.count += 1
        self.kept = (self.kept + [refusal])[-KEPT_MAX:]
        out = bytearray()
        put_varint(out, self.count)
        try:
            self._store.keep_entry(_ENTRY_ID, bytes(out) + encode(self.kept))
        except StoreFull:
            pass  # known until the next start

    def is_news(self, refusal: Refusal) -> bool:
        """Say, once, that this was not heard before."""
        dot = refusal.author, refusal.seq
        if dot in self._seen:
            return False
        self._seen = (self._seen + [dot])[-REFUSED_MAX:]
        return True

    def hold(self, refusal: Refusal) -> None:
        """Keep it until its author is linked."""
        self.waiting = (self.waiting + [refusal])[-REFUSED_MAX:]

    def release(self, author: bytes) -> "list[Refusal]":
        """Return what waits for this author, who is linked now."""
        found = [one for one in self.waiting if one.author == author]
        self.waiting = [one for one in self.waiting if one.author != author]
        return found
