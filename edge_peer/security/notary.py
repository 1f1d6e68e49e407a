"""
One link's notary: makes signed batches (batch.py) of what goes to a relay. Loaded by a peer
whose certificate says that it signs, with the first relay it is linked to.

A signature takes a board 0.3 s, so it is computed in steps, between which the link goes on.
After it there is a rest: what is written meanwhile shares the next one. It is short once there
is enough for a whole batch.
"""

from edge_peer.security import batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.store.log import Put
    from edge_peer.security.guard import Guard

REST_FACTOR = 20  # times what the last signature took: at most 5 % of a board's time
REST_FACTOR_FULL = 2  # with a whole batch waiting: at most a third


class Notary:
    count_max = batch.COUNT_MAX
    bytes_max = batch.BUILT_BYTES_MAX

    def __init__(self, guard: "Guard") -> None:
        self._guard = guard
        self._bodies: list[Document] = []
        self._body = b""
        self._steps: Generator[None, None, Any] | None = None
        self._begun_ms = self._ended_ms = 0
        self.count = 0  # of documents in the batch

    @property
    def is_busy(self) -> bool:
        return self._steps is not None

    def begin(self, puts: "list[Put]", bodies: "list[Document]", now_ms: int) -> int:
        """Begin to sign these; return how many share the batch: the first ones."""
        guard = self._guard
        author = guard.store.author
        self._body, self.count = batch.encode(author, puts, bodies)
        self._bodies = bodies[: self.count]
        message = batch.message_of(guard.app_id, author, self._body)
        self._steps = guard.keys.sign(message)
        self._begun_ms = now_ms
        return self.count

    def step(self, now_ms: int) -> "batch.Record | None":
        """Compute for a few ms; return the batch when it is signed."""
        assert self._steps is not None
        try:
            next(self._steps)
        except StopIteration as end:
            self._steps = None
            self._ended_ms = now_ms
            author = self._guard.store.author
            return batch.record_of(author, end.value, self._body, self._bodies)
        return None

    def due_ms(self, waiting_count: int) -> int:
        """Return when the next signature may begin, with so many documents to sign."""
        factor = REST_FACTOR if waiting_count < self.count_max else REST_FACTOR_FULL
        return self._ended_ms + factor * (self._ended_ms - self._begun_ms)

    def drop(self) -> None:
        """Forget what is being signed."""
        if self._steps is not None:
            self._ended_ms = self._begun_ms
        self._steps = None
        self._bodies = []
