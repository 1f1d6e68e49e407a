"""
A SELECT in slices: while it looks at a large collection, everybody else has their turn.

The language's own code (core/) is plain functions, on boards and here. So a SELECT runs in
a greenlet: what it reads documents with stops after SLICE_S, lets the event loop go on, and
continues where it was. Commits in between do no harm to a scan; a document that changes
meanwhile is seen as it was or as it is. Statements that write are not cut: what they found
must still be so when they write.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from edge_peer.core.store.log import Keep
    from edge_peer.core.store.store import Store

Made = TypeVar("Made")

SLICE_S = 0.005
LOOK_COUNT = 32  # documents between two looks at the clock, about a fifth of a millisecond


async def run(work: Callable[[], Made]) -> Made:
    """Return what work() does; `turn` inside it gives others their turn."""
    worker = greenlet(work)
    try:
        made = worker.switch()
        while not worker.dead:
            await asyncio.sleep(0)
            made = worker.switch()
    finally:
        if not worker.dead:  # we were cancelled
            worker.throw()
    result: Made = made
    return result


def turn() -> None:
    """Give others their turn, in what `run` runs; elsewhere do nothing."""
    parent = getcurrent().parent
    if parent is not None:
        parent.switch()


def sliced(store: "Store") -> Any:
    """Return the same store, with scans that take turns."""
    return _Sliced(store)


class _Sliced:
    def __init__(self, store: "Store") -> None:
        self._store = store
        self._count = 0
        self._began_s = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def scan(self, collection: str, keep: "Keep | None" = None) -> Iterator[tuple[str, bytes]]:
        def kept(body: bytes) -> bool:
            self._look()
            return keep is None or keep(body)

        return self._store.scan(collection, kept)

    def _look(self) -> None:
        self._count += 1
        if self._count % LOOK_COUNT == 0 and time.monotonic() - self._began_s > SLICE_S:
            turn()
            self._began_s = time.monotonic()
