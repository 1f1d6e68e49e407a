"""
The receiver's half of sync: take documents, move the cursors, learn K.

Loaded with the first document; core/sync/sync.py says what the cursors and K are for.
"""

from edge_peer.core import document as documents
from edge_peer.core.errors import StoreFull
from edge_peer.core.limits import PROOFS
from edge_peer.core.sync.messages import Moved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.query.select import Matcher
    from edge_peer.core.store.knowledge import Vector
    from edge_peer.core.store.store import Store
    from edge_peer.core.sync.messages import Delta, Done

MOVED_COUNT_MAX = 64  # documents that wait until they may go; others go by their quota


class Receiver:
    def __init__(self, store: "Store", neighbour: bytes, gate: "Any" = None) -> None:
        self.received_count = 0
        self.refused_count = 0
        self.expected: int | None = None  # the cursor to go on from; None after a HELLO of ours
        self._store = store
        # author -> (K, E) there, of whom we may not learn K yet: the sender has evicted what we
        # lack. As soon as another neighbour has taught us K up to there, we may.
        self._refused: dict[bytes, tuple[int, int]] = {}
        self._done_at = -1  # the cursor of the last DONE
        self._evicted_there = 0  # the highest of the sender's own writes that it has not any more
        self.has_own = False  # the sender has all that we wrote, as far as it can be wanted
        self._lacks_own = False  # it has evicted some
        self._oversized_count = store.oversized_count
        self._neighbour = neighbour
        self._gate = gate
        self._moved: list[tuple[str, str]] = []  # documents to let go

    def handle_delta(
        self,
        delta: "Delta | Moved",
        their_epoch: int,
        is_big: bool,
        matches: "Matcher | None" = None,
    ) -> bool:
        """Store the records, durably; of MOVED see `_has`. Return False without room.

        is_big: from a Big Peer, who has all of a document.
        matches: whether this peer wants a document; what moves out of that goes when it may.
        A Big Peer without room raises StoreFull: it keeps all, so waiting helps nobody.
        """
        if not self._continues(delta.previous, their_epoch):
            return True
        records = delta.records
        if isinstance(delta, Moved):
            records = [one for one in records if one[0] in PROOFS or self._has(one, matches)]
        if self._gate is not None:
            records = self._gate.judged(records)
        try:
            self._store.merge(records, is_big)
        except StoreFull:
            if self._store.keeps_all:
                raise
            self.refused_count += len(records)
            self.expected = None
            return False
        self.received_count += len(records)
        for _, _, document in records:
            self._store.note_recent(document)
        self.expected = delta.cursor
        base = self._store.cursors.get(self._neighbour, (0, 0, 0))[1]
        self._store.set_cursor(self._neighbour, (self.expected, base, their_epoch))
        return True

    def _has(self, record: "tuple[str, str, Document]", matches: "Matcher | None") -> bool:
        """Return whether this document is here; note it if it moves out of what is wanted.

        matches: None on a relay, which passes on that something has moved that it has evicted.
        """
        collection, id, news = record
        document = self._store.get(collection, id)
        if document is None:
            return matches is None and bool(self._store.evicted)
        if matches is not None and matches(collection, id, document):
            documents.merge(document, news)
            if not matches(collection, id, document) and len(self._moved) < MOVED_COUNT_MAX:
                self._moved.append((collection, id))
        return True

    def drop_moved(self) -> None:
        """Let go what has moved out, as far as it is durable; call when that may have changed."""
        if self._moved and self._store.evict(self._moved) < len(self._moved):
            self._moved = [key for key in self._moved if self._store.log.get(key[0], key[1])]

    def handle_done(self, done: "Done", their_epoch: int, covers_us: bool, passes_on: bool) -> bool:
        """Nothing before its cursor is missing; learn K as far as the sender may teach it.

        Return False if it does not go on where we are, or something before it is too large.
        passes_on: we want nothing that the Big Peer has, so not what the sender evicted.
        """
        if not self._continues(done.previous, their_epoch):
            return False
        self.expected = done.cursor
        if self._store.oversized_count != self._oversized_count:
            # K would claim, and pass on, that nothing is missing
            self._store.set_cursor(self._neighbour, (done.cursor, done.cursor, their_epoch))
            return False
        for author, seq, evicted in done.entries:
            if author == self._store.author:
                self._lacks_own = evicted > 0
                self.has_own = not evicted and seq >= self._store.evicted.get(author, 0)
            elif author == self._neighbour:
                self._evicted_there = max(self._evicted_there, evicted)
            elif covers_us and len(self._refused) < self._store.log.authors_max:
                self._refused[author] = (seq, 0 if passes_on else evicted)
        self._done_at = done.cursor
        evicted = 0 if passes_on else self._evicted_there
        self._refused[self._neighbour] = (done.own_seq, evicted)
        learned = self._learnable()
        # What is refused is told again to who reads on from the base before.
        base = self._store.cursors.get(self._neighbour, (0, 0, 0))[1]
        base = base if self._refused else done.cursor
        self._store.set_cursor(self._neighbour, (done.cursor, base, their_epoch))
        self._store.learn(learned)
        return True

    def take_partly(self, entries: "list[tuple[bytes, int, int]]", passes_on: bool) -> None:
        """Learn what we may of this, as if the DONE before had it, and pass on the rest."""
        if self.expected is None or self.expected != self._done_at:
            return
        store, learned, is_news = self._store, {}, False
        for author, seq, evicted in entries:
            if passes_on or evicted <= store.known(author):
                learned[author] = seq
            elif store.note_partly(author, seq, evicted):
                is_news = True
        store.raise_knowledge(learned)
        if learned or is_news:
            store.wake()

    def tell_refused(self) -> None:
        """Let relays know of what is refused here: they may learn it, and the Big Peer does."""
        store = self._store
        news = [store.note_partly(author, *self._refused[author]) for author in self._refused]
        if any(news):
            store.wake()

    def learn_refused(self) -> None:
        """Learn what we may by now; call when K may have risen."""
        learned = self._learnable() if self._refused else {}
        if learned:
            self._store.raise_knowledge(learned)  # durable with the next checkpoint
            self._store.wake()

    def restart(self) -> None:
        """Take nothing for what follows; what does, says where it goes on from, and all of K."""
        self.expected = None
        self._refused = {}
        self._evicted_there = 0
        self.has_own = self._lacks_own = False

    def has_gap(self) -> bool:
        """Return whether the sender has evicted what we lack."""
        return bool(self._refused) or self._lacks_own

    def _learnable(self) -> "Vector":
        known = self._store.known
        learned = {
            author: seq
            for author, (seq, evicted) in self._refused.items()
            if evicted <= known(author)
        }
        for author in learned:
            del self._refused[author]
        return learned

    def _continues(self, previous: int, their_epoch: int) -> bool:
        """Return whether a message goes on where we are; others were sent before our last HELLO."""
        if self.expected is not None:
            return previous == self.expected
        resume, base, epoch = self._store.cursors.get(self._neighbour, (0, 0, 0))
        return previous <= (resume if epoch == their_epoch else base)
