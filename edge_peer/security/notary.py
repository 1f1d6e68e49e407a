"""
One link's notary: makes signed batches (batch.py) of what goes to a relay. Loaded by a peer
whose certificate says that it signs, with the first relay it is linked to.

A signature takes a board 0.3 s, so it is computed in steps, between which the link goes on,
and not more often than takes REST_FACTOR times as long: what is written meanwhile shares the
next one.
"""

from edge_peer.security import batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.log import Put
    from edge_peer.security.guard import Guard

REST_FACTOR = 20  # so that signing takes at most 5 % of a board's time


class Notary:
    count_max = batch.COUNT_MAX
    bytes_max = batch.BUILT_BYTES_MAX

    def __init__(self, guard: "Guard") -> None:
        self._guard = guard
        self._bodies: list[Document] = []
        self._body = b""
        self._steps: Generator[None, None, Any] | None = None
        self._begun_ms = 0
        self.count = 0  # of documents in the batch
        self.due_ms = 0  # when the next signature may begin

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
            self.due_ms = now_ms + REST_FACTOR * (now_ms - self._begun_ms)
            author = self._guard.store.author
            return batch.record_of(author, end.value, self._body, self._bodies)
        return None

    def drop(self) -> None:
        """Forget what is being signed."""
        self._steps = None
        self._bodies = []
