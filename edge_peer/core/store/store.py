"""
A peer's documents, and what it knows of other peers' writes.

Everything that makes a write different from bytes on a medium is here: dots and
stamps, merging, arrival numbers, and when the vectors that sync is about
(core/store/knowledge.py) become durable.

A *log* underneath keeps the bytes: core/store/log.py on flash, host/storage.py in
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
from edge_peer.core.limits import HIDDEN, PROOFS
from edge_peer.core.store import state as states
from edge_peer.core.store.departure import Departure
from edge_peer.core.store.knowledge import Knowledge
from edge_peer.core.store.log import META

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from edge_peer.core.document import Changes, Document
    from edge_peer.core.limits import Limits
    from edge_peer.core.store.attachments import Attachments
    from edge_peer.core.store.batch import Batch
    from edge_peer.core.store.fragments import Fragments
    from edge_peer.core.store.log import Evict, Keep, Put

    Write = tuple[str, str | None, Changes]  # collection, id, see documents.make
    Puts = dict[tuple[str, str], tuple[int, bytes]]  # key -> arrival, encoded document
    BeforeErase = Callable[[], list[Put]]
    Listener = Callable[[list[Put], list[tuple[str, str]]], None]

    class Log(Protocol):
        """What keeps the bytes; the docstrings of core/store/log.py are the contract."""

        arrival_max: int
        limits: Limits
        document_bytes_max: int
        on_gone: Callable[[tuple[str, str]], None] | None  # told what was evicted
        commit_bytes_max: int
        has_indexes: bool
        authors_max: int  # of whom the store's own entry can keep track

        def get(self, collection: str, id: str) -> bytes | None: ...
        def since(self, arrival: int, limit: int) -> list[Put]: ...
        def scan(
            self, collection: str, keep: Keep | None = None
        ) -> Iterator[tuple[str, bytes]]: ...
        def collections(self) -> list[str]: ...
        def totals(self, group: str) -> tuple[int, int]: ...
        def commit(self, puts: list[Put], relayed: Iterable[int] = ()) -> None: ...
        def drop(self, keys: list[tuple[str, str]]) -> None: ...
        def evict_again(self) -> None: ...
        def status(self) -> dict[str, int]: ...


CHECKPOINT_ARRIVALS = 64
UNREADABLE_COUNT_MAX = 64  # of which we remember the names
SAMPLE_COUNT = 16
STATE_ID = "state"


class Store(Knowledge):
    checkpoint_arrivals = CHECKPOINT_ARRIVALS

    def __init__(
        self,
        open_log: "Callable[[Evict, BeforeErase], Log]",
        device_id: bytes,
        wall_ms: "Callable[[], int | None]",
        entropy: "Callable[[int], bytes]",
        keeps_all: bool = False,
        policies: "dict[str, str] | None" = None,
    ) -> None:
        """
        open_log(evict, before_erase) -> log   see core/store/log.py for the two callbacks
        wall_ms() -> Unix time in ms or None   entropy(n) -> n random bytes
        keeps_all: this is the Big Peer, whose own knowledge is what is durable.
        policies: {collection: policy}, "*" for all others (core/limits.py).
        """
        Knowledge.__init__(self, keeps_all)
        # is_wanted(collection, id, document): what a relay carries only for others is not.
        self.is_wanted: Callable[[str, str, Document], bool] | None = None
        # wants_of(collection): the paths on which it depends what of it is wanted, here or by who
        # is behind us; None for nothing of it
        self.wants_of: Callable[[str], list[str] | None] | None = None
        self.open_batch: Batch | None = None
        self._unreadable: set[tuple[str, str]] = set()  # stored documents that are none
        self.oversized_count = 0  # documents of neighbours, above what this store takes
        self.future_count = 0  # writes whose clock was more than a day ahead of ours
        self._clock = HybridClock(wall_ms)
        self._listeners: list[Listener] = []
        self._departure = Departure(self, policies or {})
        self._gone: list[tuple[str, str]] = []  # evicted, and not told yet
        self._attachments: Attachments | None = None
        self._fragments: Fragments | None = None
        self._was_thinned = False  # some stayed that can go the next time
        self._saved_arrival = 0
        self._incarnation = b""
        self.arrival = 0
        self.log = open_log(self._may_evict, self._puts_before_erase)
        self._load(device_id, entropy)
        self.opened_at = self.arrival
        # Whether there is anything to say of attachments; until then their code is not loaded.
        self.has_attachments = self.log.status().get("attachment_bytes", 0) > 0
        if self.entry(states.FRAGMENTS_ID):
            self.fragments.save()  # loaded, that is

    def on_commit(self, listener: "Listener", with_gone: bool = False) -> None:
        """Call `listener(puts, gone)` after every commit of documents.

        gone: (collection, id) of what was evicted, if a listener asks for that.
        """
        self._listeners.append(listener)
        if with_gone:
            self.log.on_gone = self._gone.append

    def off_commit(self, listener: "Listener") -> None:
        self._listeners.remove(listener)

    @property
    def incarnation(self) -> bytes:
        """The 4 bytes that make this store's author another one than the device's last."""
        return self._incarnation

    # Documents

    def get(self, collection: str, id: str) -> "Document | None":
        """Return a document, unless it is deleted."""
        body = self.body(collection, id)
        document = None if body is None else documents.decode(body)
        return None if document is None or documents.is_deleted(document) else document

    def body(self, collection: str, id: str) -> "bytes | None":
        """Return an encoded document; it may be deleted."""
        self._departure.touch(collection, id)
        if self.open_batch is not None and (collection, id) in self.open_batch.puts:
            return self.open_batch.puts[collection, id][1]
        return self.log.get(collection, id)

    def scan(self, collection: str, keep: "Keep | None" = None) -> "Iterator[tuple[str, bytes]]":
        """Return (id, encoded document) of those that keep(encoded document) takes, in no order.

        Deleted documents may be among them.
        """
        stored = self.log.scan(collection, keep)
        if self.open_batch is None:
            return stored
        found = self.open_batch.scan(collection, stored)
        return (pair for pair in found if keep is None or keep(pair[1]))

    def write(self, writes: "list[Write]", stamps: "list[int] | None" = None) -> "list[str]":
        """Write [(collection, id or None, changes)], all or none; return the ids.

        Durable on return, or with the end of the batch that is open. A document that
        is there gets the changes beside what it has; a deleted one stays deleted unless
        BIRTH is among them. Raises StoreFull, or ValueError as documents.make does, with
        nothing changed.
        """
        if self.open_batch is not None:
            return self.open_batch.write(writes, stamps)
        before = self._numbers()
        puts: Puts = {}
        try:
            ids = self.put(puts, writes, stamps)
            self.own_seq = self.arrival
            items = self._commit(puts)
        except (StoreFull, ValueError):
            self._roll_back(before)
            raise
        self._tell(items)  # outside: a listener's mistake takes back nothing
        return ids

    def put(
        self, puts: "Puts", writes: "list[Write]", stamps: "list[int] | None" = None
    ) -> "list[str]":
        """Add to `puts` what these writes make of the documents there, or in the store."""
        ids = []
        waiting = [puts] if self.open_batch is None else [puts, self.open_batch.puts]
        for i in range(len(writes)):
            collection, id, changes = writes[i]
            self.arrival += 1
            stamp = self._clock.next() if stamps is None else stamps[i]
            old = None if id is None else self._current(waiting, collection, id)
            if old is None:
                if id is not None and self._has_gaps(collection):
                    self.fragments.note((collection, id))
                body = documents.encode_new(changes, stamp, self.author, self.arrival)
            else:
                self._change(old, changes, stamp)
                body = documents.encode(old)
            id = id or automatic_id(stamp, self.author)
            puts[collection, id] = (self.arrival, body)
            ids.append(id)
        return ids

    def _change(self, document: "Document", changes: "Changes", stamp: int) -> None:
        # Above what it replaces, even where that came from a clock ahead of ours.
        stamp = max(stamp, 1 + max([cell.stamp for cell in document.values()]))
        stamp = min(stamp, STAMP_MAX)  # above it, nobody could read the document again
        if documents.BIRTH in changes and documents.is_deleted(document):
            # It has nothing of its former life, nor of what crossed the delete.
            changes = dict(changes)
            changes[documents.LIFE] = (documents.REMOVED, None)
        floor = self._departure.counter_floor
        new = documents.make(changes, stamp, self.author, self.arrival, document, floor)
        documents.merge(document, new)

    def batch(self) -> "Batch":
        """Return a context in which writes wait, to be one commit (core/store/batch.py)."""
        from edge_peer.core.store.batch import Batch

        return Batch(self)

    def next_stamp(self) -> int:
        return self._clock.next()

    def evict(self, keys: "list[tuple[str, str]]") -> int:
        """Let these documents go, here only; return how many stay, as they are not durable."""
        gone = []
        self.ask_again()
        for collection, id in keys:
            is_waiting = self.open_batch is not None and (collection, id) in self.open_batch.puts
            body = None if self.keeps_all or is_waiting else self.log.get(collection, id)
            document = None if body is None else self._read(collection, id, body)
            if document and self.is_durable(document):
                self._departure.note(collection, document)
                gone.append((collection, id))
        if gone:
            try:
                self.log.drop(gone)
            except (StorageError, MemoryError):
                self.ask_again()  # what has not gone has not left
                raise
            self._tell([])
        return len(keys) - len(gone)

    def merge(self, records: "list[tuple[str, str, Document]]", is_whole: bool = False) -> int:
        """Take a neighbour's documents, durable on return; return how many were new.

        is_whole: they have all that there is of them, as from a Big Peer.
        In one commit, or in several where the log does not take as much at once. Raises
        StoreFull at a document that finds no room; those before it may have been stored.
        """
        for _, _, new in records:
            for cell in new.values():
                self.future_count += not self._clock.observe(cell.stamp)
        return self._merge(records, is_whole)

    def _merge(self, records: "list[tuple[str, str, Document]]", is_whole: bool) -> int:
        before = self._numbers()
        puts: Puts = {}
        relayed = []
        for collection, id, new in records:
            old = self._current([puts], collection, id)
            self.arrival += 1
            if old is None:
                old = new
                if not is_whole and self._has_gaps(collection):
                    self._note_fragment(collection, id, new)
            else:
                is_news = self.keeps_all and self._is_news(old, new)
                changed = documents.merge(old, new)
                if is_news and documents.is_deleted(old):
                    self._bury(old)
                elif not changed:
                    self.arrival -= 1
                    continue
            if is_whole and self._fragments is not None:
                self._fragments.settle([(collection, id)])
            puts[collection, id] = (self.arrival, documents.encode(old))
            if self._is_relayed(collection, id, old):
                relayed.append(self.arrival)
        if puts:
            try:
                items = self._commit(puts, relayed)
            except StoreFull:
                self._roll_back(before)
                half = len(records) // 2
                if not half:
                    if len(puts[collection, id][1]) <= self.log.document_bytes_max:
                        raise
                    self.oversized_count += 1  # there will never be room for it
                    return 0
                some = self._merge(records[:half], is_whole)
                return some + self._merge(records[half:], is_whole)
            self._tell(items)
        return len(puts)

    def _is_news(self, document: "Document", new: "Document") -> bool:
        """Return whether `new` has a write that this store had not seen, and is no delete."""
        return not documents.is_deleted(new) and any(
            [
                cell.seq > self.known(cell.author) and document.get(path) != cell
                for path, cell in new.items()
            ]
        )

    def _bury(self, document: "Document") -> None:
        """Tell of the tombstone again, with a dot that nobody has.

        Peers that have dropped it would else keep what they got from the writer. It is
        ordered just above the first one: what was created again since stays.
        """
        from edge_peer.core.kinds import removal

        self.own_seq = self.arrival
        stamp = max(self._clock.next(), document[documents.LIFE].stamp)
        by = documents.Cell(stamp, self.author, self.arrival, documents.REMOVED, documents.NIL)
        document[documents.LIFE] = removal(by, document[documents.LIFE])

    # Fragments

    @property
    def has_fragments(self) -> bool:
        """Return whether there may be any; until then their code is not loaded."""
        return self._fragments is not None

    @property
    def fragments(self) -> "Fragments":
        if self._fragments is None:
            from edge_peer.core.store.fragments import Fragments

            self._fragments = Fragments(self, self.entry(states.FRAGMENTS_ID) or b"")
        return self._fragments

    def _has_gaps(self, collection: str) -> bool:
        """Return whether some of this collection is wanted, but not all of that need be here."""
        paths = None if self.wants_of is None else self.wants_of(collection)
        return paths is not None and bool(paths or self.evicted)

    def _note_fragment(self, collection: str, id: str, document: "Document") -> None:
        from edge_peer.core.store.fragments import may_lack

        if may_lack(self, id, document):
            self.fragments.note((collection, id))

    # Attachments

    @property
    def attachments(self) -> "Attachments":
        if self._attachments is None:
            from edge_peer.core.store.attachments import Attachments

            self._attachments = Attachments(self)
            self.has_attachments = True
        return self._attachments

    def govern(self, policies: "dict[str, str]") -> None:
        """Let documents of these collections go as limits.py says, whatever was configured."""
        self._departure.govern(policies)

    def wake(self) -> None:
        """Let links look for something to say."""
        for listener in list(self._listeners):
            listener([], [])

    def ask_again(self) -> None:
        """Let the log ask for all documents, and what is in HIDDEN collections, anew."""
        self._departure.forget()
        self.log.evict_again()

    def save(self) -> None:
        self.log.commit([self._state_put()])
        self._saved_arrival = self.arrival
        self._tell([])

    def entry(self, id: str) -> "bytes | None":
        """Return what was kept under this name, beside the documents."""
        return self.log.get(META, id)

    def keep_entry(self, id: str, data: bytes) -> None:
        """Keep something small beside the documents, durable on return."""
        self.log.commit([(META, id, self.arrival, data)])
        self._tell([])

    def holds_documents(self) -> bool:
        """Return whether any is here, beside the proofs of authors."""
        log = self.log
        return any([log.totals(name)[0] > 0 for name in log.collections() if name not in PROOFS])

    def holds_unclaimed(self) -> bool:
        """Return whether K leaves out some writes of the oldest documents, or of the newest.

        Of fewer than SAMPLE_COUNT nobody asks.
        """
        log = self.log
        if sum([log.totals(one)[0] for one in log.collections()]) < SAMPLE_COUNT:
            return False
        for start in (0, max(0, self.arrival - SAMPLE_COUNT)):
            for collection, _, _, body in self.log.since(start, SAMPLE_COUNT):
                try:
                    dots = [] if collection in PROOFS else documents.dots_of(body)
                except FormatError:
                    continue
                if any([seq > self.known(author) for _, author, seq in dots]):
                    return True
        return False

    def status(self) -> "dict[str, int]":
        status = dict(self.log.status())
        status["unsynced"] = self.unsynced_count()
        status["lost_writes"] = self._departure.lost_count
        status["future_stamps"] = self.future_count
        status["oversized"] = self.oversized_count
        status["unreadable"] = len(self._unreadable)
        return status

    # Private

    def _numbers(self) -> "tuple[int, int, int]":
        return self.arrival, self._clock.last, self.own_seq

    def _roll_back(self, before: "tuple[int, int, int]") -> None:
        """Take back the numbers of a commit that failed, unless they were saved meanwhile."""
        if self._saved_arrival <= before[0]:
            self.arrival, self._clock.last, self.own_seq = before

    def _current(self, waiting: "list[Puts]", collection: str, id: str) -> "Document | None":
        """Return the document as the commits in the making have it, else as the log has it."""
        for puts in waiting:
            if (collection, id) in puts:
                return documents.decode(puts[collection, id][1])
        body = self.log.get(collection, id)
        return None if body is None else self._read(collection, id, body)

    def _read(self, collection: str, id: str, body: bytes) -> "Document | None":
        """Decode what is stored; None, and counted, for bytes that are no document.

        The medium's own check has passed them, so they are damaged in a way that is
        not ours to guess. They stay, for whoever can read them, until somebody
        writes the document anew; nothing else may fail on their account.
        """
        try:
            return documents.decode(body)
        except FormatError:
            if len(self._unreadable) < UNREADABLE_COUNT_MAX:
                self._unreadable.add((collection, id))
            return None

    def _commit(self, puts: "Puts", relayed: "Iterable[int]" = ()) -> "list[Put]":
        """Make them durable, and return them as they are for `_tell`.

        relayed: the arrivals of those that are carried only for others.
        """
        items = [(key[0], key[1], arrival, body) for key, (arrival, body) in puts.items()]
        items.sort(key=lambda put: put[2])
        if self._fragments is not None:
            self._fragments.save()
        try:
            self.log.commit(items, relayed)
        except StoreFull:
            if not self._departure.loses:
                raise
            self.ask_again()  # what stayed at the first thinning can go at the next
            try:
                self.log.commit(items, relayed)
            finally:
                self.ask_again()
        if self._was_thinned:
            self._was_thinned = False
            self.ask_again()
        if self.arrival - self._saved_arrival >= self.checkpoint_arrivals:
            try:
                self.save()
            except StorageError:
                pass  # the documents are durable; the next commit tries again
        return items

    def _is_relayed(self, collection: str, id: str, document: "Document") -> bool:
        """Return whether a document is here only for others."""
        return (
            self.is_wanted is not None
            and all([cell.author != self.author for cell in document.values()])
            and not self.is_wanted(collection, id, document)
        )

    def _tell(self, items: "list[Put]") -> None:
        gone = list(self._gone)
        self._gone.clear()
        if gone:  # a document may go in the commit that writes it, before or after it was written
            gone = [key for key in gone if self.log.get(key[0], key[1]) is None]
            items = [put for put in items if put[:2] not in gone]
        if not items and not gone:
            return
        for listener in list(self._listeners):
            listener(items, gone)

    def _may_evict(self, collection: str, id: str, body: bytes, may_lose: bool) -> bool:
        if self.keeps_all:
            return False
        if collection in HIDDEN:
            return self.attachments.may_go(collection, id)
        try:
            document = documents.outline(body)
        except FormatError:
            return self._read(collection, id, body) is not None  # counts it, and keeps it
        return self._departure.may_go(collection, id, document, may_lose)

    def _puts_before_erase(self) -> "list[Put]":
        self.learn_evicted(self._departure.take())
        self._saved_arrival = self.arrival
        self._was_thinned = self._departure.thins
        return [self._state_put()]

    def _state_put(self) -> "Put":
        state = states.State(
            self._incarnation,
            self.epoch,
            self.arrival,
            self.own_seq,
            self._clock.last,
            self._departure.lost_count,
            self._departure.counter_floor,
            (self.knowledge, self.evicted, self.durable),
            self.cursors,
        )
        return (META, STATE_ID, self.arrival, states.encode(state))

    def _load(self, device_id: bytes, entropy: "Callable[[int], bytes]") -> None:
        data = self.log.get(META, STATE_ID)
        if data is None:
            self._incarnation = entropy(states.INCARNATION_SIZE)
        else:
            state = states.decode(data)
            self._incarnation = state.incarnation
            self.epoch = state.epoch
            self.arrival = state.arrival
            self.own_seq = state.own_seq
            self._clock.last = state.stamp
            self._departure.lost_count = state.lost_count
            self._departure.counter_floor = state.counter_floor
            self.knowledge, self.evicted, self.durable = state.vectors
            self.cursors = state.cursors
        self.author = author_of(device_id, self._incarnation)
        self._replay()
        # What we told of K before a restart may be more than the checkpoint has.
        self.epoch += 1
        self.save()

    def _replay(self) -> None:
        """Read what was committed after the checkpoint."""
        while True:
            puts = self.log.since(self.arrival, CHECKPOINT_ARRIVALS)
            for collection, id, arrival, body in puts:
                self.arrival = arrival
                try:
                    dots = documents.dots_of(body)
                except FormatError:
                    self._read(collection, id, body)  # counts it
                    continue
                for stamp, author, seq in dots:
                    is_near = self._clock.observe(stamp)
                    if author == self.author:
                        self.own_seq = max(self.own_seq, seq)
                        if not is_near and id == automatic_id(stamp, author):
                            # Or the id may be given again.
                            self._clock.last = max(self._clock.last, stamp)
            if len(puts) < CHECKPOINT_ARRIVALS:
                break
        self.arrival = max(self.arrival, self.log.arrival_max)
