"""
A peer's documents, and what it knows of other peers' writes.

Everything that makes a write different from bytes on a medium is here: dots and
stamps, merging, arrival numbers, and the vectors that sync is about:

    knowledge  K  author -> seq   we have, or chose to drop, every write up to it
    evicted    E  author -> seq   the highest write that we dropped
    durable    D  author -> seq   the Big Peer has every write up to it
    cursors       neighbour -> (resume, base, its epoch)   how far we have read its log

A *log* underneath keeps the bytes: core/log.py on flash, host/storage.py in
SQLite. Both offer get, since, scan, commit, collections, evict_again and status
with the same meaning (tests/log_contract.py holds both to it). One commit is
one transaction, durable on return.

The vectors are themselves an entry of the log. It is written after a commit once
it is CHECKPOINT_ARRIVALS old; what came after it is read again at open. Older
vectors are safe: they only make a neighbour send again what merges to nothing.
Only E must be there before the documents are gone, and is written with that.
"""

from edge_peer.core import document as documents
from edge_peer.core.clock import STAMP_MAX, HybridClock
from edge_peer.core.errors import FormatError, StorageError, StoreFull
from edge_peer.core.ids import author_of, automatic_id
from edge_peer.core.log import META
from edge_peer.core.packing import Reader, put_varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from edge_peer.core.document import Document
    from edge_peer.core.log import Evict, Put

    Vector = dict[bytes, int]
    Cursor = tuple[int, int, int]
    Write = tuple[str, str | None, dict[str, bytes]]  # collection, id, {path: packed value}
    Puts = dict[tuple[str, str], tuple[int, Document]]
    BeforeErase = Callable[[], list[Put]]

    class Log(Protocol):
        """What keeps the bytes; the docstrings of core/log.py are the contract."""

        arrival_max: int
        document_bytes_max: int
        authors_max: int  # of whom the store's own entry can keep track

        def get(self, collection: str, id: str) -> bytes | None: ...
        def since(self, arrival: int, limit: int) -> list[Put]: ...
        def scan(self, collection: str) -> Iterator[tuple[str, bytes]]: ...
        def collections(self) -> list[str]: ...
        def commit(self, puts: list[Put]) -> None: ...
        def evict_again(self) -> None: ...
        def status(self) -> dict[str, int]: ...


CHECKPOINT_ARRIVALS = 64
AUTHOR_COUNT_MAX = 65_536  # in each vector: bounds what neighbours can make us keep
_STATE_ID = "state"
_STATE_VERSION = 1
_INCARNATION_SIZE = 4


class Store:
    def __init__(
        self,
        open_log: "Callable[[Evict, BeforeErase], Log]",
        device_id: bytes,
        wall_ms: "Callable[[], int | None]",
        entropy: "Callable[[int], bytes]",
        keeps_all: bool = False,
    ) -> None:
        """
        open_log(evict, before_erase) -> log   see core/log.py for the two callbacks
        wall_ms() -> Unix time in ms or None   entropy(n) -> n random bytes
        keeps_all: this is the Big Peer, whose own knowledge is what is durable.
        """
        self.keeps_all = keeps_all
        self.knowledge: Vector = {}
        self.evicted: Vector = {}
        self.durable: Vector = {}
        self.cursors: dict[bytes, Cursor] = {}
        self.epoch = 0
        self.own_seq = 0
        self.oversized_count = 0  # documents of neighbours, above what this store takes
        self.future_count = 0  # writes whose clock was more than a day ahead of ours
        self._clock = HybridClock(wall_ms)
        self._listeners: list[Callable[[list[Put]], None]] = []
        self._leaving: Vector = {}  # E of the documents that may go and have not yet
        self._saved_arrival = 0
        self._incarnation = b""
        self.arrival = 0
        self.log = open_log(self._may_evict, self._puts_before_erase)
        self._load(device_id, entropy)

    def on_commit(self, listener: "Callable[[list[Put]], None]") -> None:
        """Call `listener(puts)` after every commit of documents."""
        self._listeners.append(listener)

    # Documents

    def get(self, collection: str, id: str) -> "Document | None":
        body = self.log.get(collection, id)
        return None if body is None else documents.decode(body)

    def scan(self, collection: str, part: bytes = b"") -> "Iterator[tuple[str, Document]]":
        """Yield (id, document) of a collection, if `part` is in its bytes, in no order."""
        for id, body in self.log.scan(collection):
            if part in body:
                yield id, documents.decode(body)

    def insert(self, writes: "list[Write]") -> "list[str]":
        """Write [(collection, id or None, {path: packed value})], all or none; return the ids.

        Durable on return. An id that exists gets the new values beside its others.
        Raises StoreFull with nothing changed.
        """
        arrival, last_stamp, own_seq = self.arrival, self._clock.last, self.own_seq
        puts: Puts = {}
        ids = []
        for collection, id, values in writes:
            self.arrival += 1
            old = None if id is None else self._current(puts, collection, id)
            stamp = self._clock.next()
            if old is not None:
                # Above what it replaces, even where that came from a clock ahead of ours.
                stamp = max(stamp, 1 + max([cell.stamp for cell in old.values()]))
                stamp = min(stamp, STAMP_MAX)  # above it, nobody could read the document again
            new = documents.make(values, stamp, self.author, self.arrival)
            if old is not None:
                documents.merge(old, new)
            id = id or automatic_id(stamp, self.author)
            puts[collection, id] = (self.arrival, old or new)
            ids.append(id)
        self.own_seq = self.arrival
        try:
            self._commit(puts)
        except StoreFull:
            self.arrival, self._clock.last, self.own_seq = arrival, last_stamp, own_seq
            raise
        return ids

    def merge(self, records: "list[tuple[str, str, Document]]") -> int:
        """Take a neighbour's documents, durable on return; return how many were new.

        In one commit, or in several where the log does not take as much at once. Raises
        StoreFull at a document that finds no room; those before it may have been stored.
        """
        for _, _, new in records:
            for cell in new.values():
                self.future_count += not self._clock.observe(cell.stamp)
        return self._merge(records)

    def _merge(self, records: "list[tuple[str, str, Document]]") -> int:
        arrival = self.arrival
        puts: Puts = {}
        for collection, id, new in records:
            old = self._current(puts, collection, id)
            if old is None:
                old = new
            elif not documents.merge(old, new):
                continue
            self.arrival += 1
            puts[collection, id] = (self.arrival, old)
        if puts:
            try:
                self._commit(puts)
            except StoreFull:
                self.arrival = arrival
                half = len(records) // 2
                if not half:
                    size = len(documents.encode(puts[collection, id][1]))
                    if size <= self.log.document_bytes_max:
                        raise
                    self.oversized_count += 1  # there will never be room for it
                    return 0
                return self._merge(records[:half]) + self._merge(records[half:])
        return len(puts)

    def is_durable(self, document: "Document") -> bool:
        """Return whether the Big Peer has all of this document's writes."""
        return all([cell.seq <= self.durable_seq(cell.author) for cell in document.values()])

    # Vectors

    def known(self, author: bytes) -> int:
        return self.own_seq if author == self.author else self.knowledge.get(author, 0)

    def durable_seq(self, author: bytes) -> int:
        """Return D of one author: on the Big Peer what it knows, elsewhere what it was told."""
        return self.known(author) if self.keeps_all else self.durable.get(author, 0)

    def unsynced_count(self) -> int:
        """Return how many of our own arrivals the Big Peer may not have yet."""
        return max(0, self.own_seq - self.durable_seq(self.author))

    def learn_durable(self, vector: "Vector") -> bool:
        """Take what a neighbour says of D; return whether something was new."""
        ours = {}
        room = self.log.authors_max - len(self.durable)
        for author, seq in vector.items():
            is_new = author not in self.durable and not self.known(author)
            room -= is_new
            if not is_new or room >= 0:
                ours[author] = seq
        if self.keeps_all or not _raise(self.durable, ours):
            return False
        self._leaving = {}
        self.log.evict_again()
        return True

    def set_cursor(self, neighbour: bytes, cursor: "Cursor") -> None:
        """Remember how far we have read a neighbour's log; saved with the next checkpoint.

        Two links to one neighbour may both report; within an epoch the further one counts.
        """
        old = self.cursors.get(neighbour)
        if old is not None and old[2] == cursor[2]:
            cursor = (max(old[0], cursor[0]), max(old[1], cursor[1]), cursor[2])
        self.cursors[neighbour] = cursor

    def learn(self, vector: "Vector") -> None:
        """Raise K and make it, and the cursors, durable."""
        for author, seq in vector.items():
            is_new = author not in self.knowledge
            if author == self.author or (is_new and len(self.knowledge) >= self.log.authors_max):
                continue  # what K lacks is at worst sent again
            self.knowledge[author] = max(self.knowledge.get(author, 0), seq)
        self.save()

    def forget_knowledge(self) -> None:
        """Start over with every neighbour, as a changed subscription needs it."""
        self.knowledge = {}
        self.cursors = {}
        self.epoch += 1
        self.save()

    def save(self) -> None:
        self.log.commit([self._state_put()])
        self._saved_arrival = self.arrival

    def status(self) -> "dict[str, int]":
        status = dict(self.log.status())
        status["unsynced"] = self.unsynced_count()
        return status

    # Private

    def _current(self, puts: "Puts", collection: str, id: str) -> "Document | None":
        """Return the document as the commit in the making has it, else as the log has it."""
        if (collection, id) in puts:
            return puts[collection, id][1]
        return self.get(collection, id)

    def _commit(self, puts: "Puts") -> None:
        items = [
            (key[0], key[1], arrival, documents.encode(document))
            for key, (arrival, document) in puts.items()
        ]
        items.sort(key=lambda put: put[2])
        self.log.commit(items)
        if self.arrival - self._saved_arrival >= CHECKPOINT_ARRIVALS:
            try:
                self.save()
            except StorageError:
                pass  # the documents are durable; the next commit tries again
        for listener in self._listeners:
            listener(items)

    def _may_evict(self, collection: str, id: str, body: bytes, may_lose: bool) -> bool:
        document = documents.decode(body)
        if self.keeps_all or not self.is_durable(document):
            return False
        for cell in document.values():
            self._leaving[cell.author] = max(self._leaving.get(cell.author, 0), cell.seq)
        return True

    def _puts_before_erase(self) -> "list[Put]":
        _raise(self.evicted, self._leaving)
        self._leaving = {}
        return [self._state_put()]

    def _state_put(self) -> "Put":
        return (META, _STATE_ID, self.arrival, self._encode_state())

    def _encode_state(self) -> bytes:
        out = bytearray([_STATE_VERSION]) + self._incarnation
        for number in (self.epoch, self.arrival, self.own_seq, self._clock.last):
            put_varint(out, number)
        for vector in (self.knowledge, self.evicted, self.durable):
            put_varint(out, len(vector))
            for author in sorted(vector):
                out += author
                put_varint(out, vector[author])
        put_varint(out, len(self.cursors))
        for neighbour in sorted(self.cursors):
            out += neighbour
            for number in self.cursors[neighbour]:
                put_varint(out, number)
        return bytes(out)

    def _load(self, device_id: bytes, entropy: "Callable[[int], bytes]") -> None:
        state = self.log.get(META, _STATE_ID)
        if state is None:
            self._incarnation = entropy(_INCARNATION_SIZE)
        else:
            self._decode_state(state)
        self.author = author_of(device_id, self._incarnation)
        self._replay()
        # What we told of K before a restart may be more than the checkpoint has.
        self.epoch += 1
        self.save()

    def _replay(self) -> None:
        """Read what was committed after the checkpoint."""
        while True:
            puts = self.log.since(self.arrival, CHECKPOINT_ARRIVALS)
            for _, _, arrival, body in puts:
                self.arrival = arrival
                for cell in documents.decode(body).values():
                    self._clock.observe(cell.stamp)
                    if cell.author == self.author:
                        self.own_seq = max(self.own_seq, cell.seq)
            if len(puts) < CHECKPOINT_ARRIVALS:
                break
        self.arrival = max(self.arrival, self.log.arrival_max)

    def _decode_state(self, data: bytes) -> None:
        reader = Reader(data)
        if reader.byte() != _STATE_VERSION:
            raise StorageError("the store was written by a newer version")
        self._incarnation = reader.take(_INCARNATION_SIZE)
        self.epoch = reader.varint()
        self.arrival = reader.varint()
        self.own_seq = reader.varint()
        self._clock.last = reader.varint()
        for vector in (self.knowledge, self.evicted, self.durable):
            for _ in range(reader.count(AUTHOR_COUNT_MAX)):
                author = reader.take(documents.AUTHOR_SIZE)
                vector[author] = reader.varint()
        for _ in range(reader.count(AUTHOR_COUNT_MAX)):
            neighbour = reader.take(documents.AUTHOR_SIZE)
            self.cursors[neighbour] = (reader.varint(), reader.varint(), reader.varint())
        if not reader.at_end():
            raise FormatError("bytes behind the state")


def _raise(vector: "Vector", other: "Vector") -> bool:
    """Take the maximum of each author; return whether an entry rose."""
    changed = False
    for author, seq in other.items():
        if seq > vector.get(author, 0):
            if author not in vector and len(vector) >= AUTHOR_COUNT_MAX:
                raise StoreFull("at most %d authors" % AUTHOR_COUNT_MAX)
            vector[author] = seq
            changed = True
    return changed
