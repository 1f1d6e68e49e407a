"""
Several statements in one commit: what they write waits here, and can be read.

    with store.batch():
        …

Stamps are drawn when a statement runs, so that automatic ids stay as they were
told. Dots are given at the end: what a link brings in between comes before them.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge_peer.core.store.store import Puts, Store, Write


class Batch:
    def __init__(self, store: "Store") -> None:
        self.puts: Puts = {}  # the documents as they will be, with arrivals that they will not have
        self._store = store
        self._writes: list[Write] = []
        self._stamps: list[int] = []

    def __enter__(self) -> "Batch":
        assert self._store.open_batch is None, "a batch in a batch"
        self._store.open_batch = self
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Commit everything, or after an exception nothing. Raises StoreFull as a write does."""
        self._store.open_batch = None
        if kind is None and self._writes:
            self._store.write(self._writes, self._stamps)

    def write(self, writes: "list[Write]", stamps: "list[int] | None" = None) -> "list[str]":
        """As Store.write, but that nothing is durable yet."""
        store = self._store
        puts: Puts = {}
        stamps = stamps or [store.next_stamp() for _ in writes]
        arrival = store.arrival
        try:
            ids = store.put(puts, writes, stamps)
        finally:
            store.arrival = arrival
        self.puts.update(puts)
        self._writes += writes
        self._stamps += stamps
        return ids

    def scan(
        self, collection: str, stored: "Iterable[tuple[str, bytes]]"
    ) -> "Iterator[tuple[str, bytes]]":
        for id, body in stored:
            if (collection, id) not in self.puts:
                yield id, body
        for key in self.puts:
            if key[0] == collection:
                yield key[1], self.puts[key][1]
