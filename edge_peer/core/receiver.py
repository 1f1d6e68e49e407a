"""
The receiver's half of sync: take documents, move the cursors, learn K.

Loaded with the first document; core/sync.py says what the cursors and K are for.
"""

from edge_peer.core.errors import StoreFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.messages import Delta, Done
    from edge_peer.core.store import Store


class Receiver:
    def __init__(self, store: "Store", neighbour: bytes, gate: "Any" = None) -> None:
        self.received_count = 0
        self.refused_count = 0
        self.expected: int | None = None  # the cursor to go on from; None after a HELLO of ours
        self._store = store
        self._oversized_count = store.oversized_count
        self._neighbour = neighbour
        self._gate = gate

    def handle_delta(self, delta: "Delta", their_epoch: int) -> bool:
        """Store the records, durably; return False if there is no room.

        A Big Peer without room raises StoreFull: it keeps all, so waiting helps nobody.
        """
        if not self._continues(delta.previous, their_epoch) or not delta.records:
            return True
        records = delta.records if self._gate is None else self._gate.judged(delta.records)
        try:
            self._store.merge(records)
        except StoreFull:
            if self._store.keeps_all:
                raise
            self.refused_count += len(records)
            self.expected = None
            return False
        self.received_count += len(records)
        self.expected = delta.cursor
        base = self._store.cursors.get(self._neighbour, (0, 0, 0))[1]
        self._store.set_cursor(self._neighbour, (self.expected, base, their_epoch))
        return True

    def handle_done(self, done: "Done", their_epoch: int, covers_us: bool, passes_on: bool) -> None:
        """Nothing before its cursor is missing; learn K as far as the sender may teach it.

        passes_on: we want nothing that the Big Peer has, so not what the sender evicted.
        """
        if not self._continues(done.previous, their_epoch):
            return
        self.expected = done.cursor
        self._store.set_cursor(self._neighbour, (done.cursor, done.cursor, their_epoch))
        if self._store.oversized_count != self._oversized_count:
            return  # K would claim, and pass on, that nothing is missing
        learned = {self._neighbour: done.own_seq}
        if covers_us:
            for author, seq, evicted in done.entries:
                if passes_on or evicted <= self._store.known(author):
                    learned[author] = seq
        self._store.learn(learned)

    def _continues(self, previous: int, their_epoch: int) -> bool:
        """Return whether a message goes on where we are; others were sent before our last HELLO."""
        if self.expected is not None:
            return previous == self.expected
        resume, base, epoch = self._store.cursors.get(self._neighbour, (0, 0, 0))
        return previous <= (resume if epoch == their_epoch else base)
