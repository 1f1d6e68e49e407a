"""
Which documents of a store may go, and what to remember of those that do.

The log asks, the oldest document first, when a limit is reached; core/limits.py says
what the policies mean. What may go has not gone yet: the log first finds enough, then
asks for what must be durable when they go (`take`), or gives up.
"""

from binascii import crc32

from edge_peer.core import document as documents
from edge_peer.core.limits import DOWNSAMPLE, DROP_LEAST_RECENT, LOSING, PIN, REFUSE, TRANSIT, WHOLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.store.knowledge import Vector
    from edge_peer.core.store.store import Store

RECENT_BYTES = 128  # a bit for each document that was read, by a hash of its name
_THINNING = (DROP_LEAST_RECENT, DOWNSAMPLE)  # what stays is asked for again the next time


class Departure:
    def __init__(self, store: "Store", policies: "dict[str, str]") -> None:
        """policies: {collection: policy}, WHOLE for all others."""
        named = policies.values()
        self.loses = any([policy in LOSING for policy in named])
        self.thins = any([policy in _THINNING for policy in named])
        self.lost_count = 0  # own writes that went before the Big Peer had them
        self.counter_floor = 0  # our own counters up to this seq may not be the newest copies
        self._policies = dict(policies)
        self._store = store
        self._recent = bytearray(RECENT_BYTES if DROP_LEAST_RECENT in named else 0)
        self._keeps_next = False  # of what is downsampled
        self.forget()

    def govern(self, policies: "dict[str, str]") -> None:
        """Go by these, too, whatever was configured for their collections."""
        self._policies.update(policies)

    def forget(self) -> None:
        """Call when the log begins to ask anew."""
        self._evicted: Vector = {}  # E of the documents that may go,
        self._counter_seq = 0  # the highest of our own counters in them,
        self._losing_count = 0  # and how many of them the Big Peer lacks

    def take(self) -> "Vector":
        """Return the E of what goes now."""
        evicted = self._evicted
        self.lost_count += self._losing_count
        self.counter_floor = max(self.counter_floor, self._counter_seq)
        self.forget()
        return evicted

    def touch(self, collection: str, id: str) -> None:
        """Call when a document is read by its id."""
        if self._recent:
            place, bit = _place_of(collection, id)
            self._recent[place] |= bit

    def may_go(self, collection: str, id: str, document: "Document", may_lose: bool) -> bool:
        policy = self._policies.get(collection) or self._policies.get(WHOLE, REFUSE)
        is_lost = not self._store.is_durable(document)
        if documents.is_deleted(document):
            goes = not is_lost
        elif is_lost:
            goes = may_lose and policy in LOSING and self._is_ours_to_lose(document)
        else:
            goes = policy != PIN
        if not goes or (policy == DROP_LEAST_RECENT and self._was_touched(collection, id)):
            return False
        if self._store.has_fragments and self._store.fragments.is_owed((collection, id)):
            return False
        if is_lost and policy == DOWNSAMPLE:
            self._keeps_next = not self._keeps_next
            if self._keeps_next:
                return False
        self.note(collection, document)
        self._losing_count += is_lost
        return True

    def note(self, collection: str, document: "Document") -> None:
        """Remember of a document what its going takes."""
        if self._policies.get(collection) == TRANSIT:
            return
        for cell in document.values():
            self._evicted[cell.author] = max(self._evicted.get(cell.author, 0), cell.seq)
            if cell.kind == documents.COUNTER and cell.author == self._store.author:
                self._counter_seq = max(self._counter_seq, cell.seq)

    def _is_ours_to_lose(self, document: "Document") -> bool:
        """Return whether all that the Big Peer lacks of it is our own."""
        store = self._store
        for cell in document.values():
            if cell.author != store.author and cell.seq > store.durable_seq(cell.author):
                return False
        return True

    def _was_touched(self, collection: str, id: str) -> bool:
        """Return whether a document was read since it was asked for last.

        Source: Corbató, "A paging experiment with the Multics system", 1968 ("clock").
        """
        place, bit = _place_of(collection, id)
        touched = bool(self._recent[place] & bit)
        self._recent[place] &= ~bit
        return touched


def _place_of(collection: str, id: str) -> "tuple[int, int]":
    """Return the byte and the bit that stand for a document that was read."""
    at = crc32((collection + id).encode()) % (8 * RECENT_BYTES)
    return at >> 3, 1 << (at & 7)
