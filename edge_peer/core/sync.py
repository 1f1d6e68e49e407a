"""
Sync with one neighbour over one open link: what to say, what to make of the answer.

Both sides do both halves at once. As the *receiver* a peer says what it wants
and how far it has read (KNOW, HELLO); as the *sender* it walks its log from
there (DURABLE first, then DELTA, and DONE at the end) and goes on as new
documents arrive. No I/O and no clock here: messages go in through `receive`, and
come out of `next_message` when the link can take one.

Two cursors. `resume` moves with every record, so that a broken link goes on in
the middle; `base` only with DONE, when nothing before it is missing. A sender
with another epoch than the one that the cursors belong to has rolled back, and is
read again from `base`. Nothing is sent that the receiver's K covers or that it
wrote itself. K is learned on DONE, and only from a sender whose log holds
all that we want (core/store.py says what K, E and D are).

Each HELLO is answered by an empty DURABLE; documents that arrive before it are for
an earlier HELLO, and are passed over: they would move the cursors past what the later
one asks for.

Messages are acknowledged by the link, after `receive` has made them durable.
A receiver without room says nothing, reads on over what it must refuse, and
says HELLO again when there is room: the sender starts again at `resume`.
"""

from edge_peer.core import document as documents
from edge_peer.core.errors import QueryError, RemoteProtocolError
from edge_peer.core.messages import (
    DURABLE,
    KNOW,
    RECORD_COUNT_MAX,
    RECORD_OVERHEAD_MAX,
    RELAYS,
    ROOM_FACTOR,
    VECTOR_PART_MAX,
    WANTS_ALL,
    WANTS_UNDURABLE,
    Decoder,
    Delta,
    Done,
    Durable,
    Encoder,
    Hello,
    Know,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.log import Put
    from edge_peer.core.receiver import Receiver
    from edge_peer.core.select import Matcher
    from edge_peer.core.store import Store

    Subscription = tuple[str, bytes]

SCAN_COUNT = 32  # documents read from the log at a time
LINGER_COUNT_MAX = 16  # as many share a message well: no reason to wait for more
DURABLE_INTERVAL_MS = 1_000
ROOM_RETRY_MS = 1_000  # a full receiver tries again this often
HEARD_COUNT_MAX = 1_024  # dots remembered until our cursor has passed them; beyond it we echo
ID_OVERHEAD = 3  # MessagePack before an id
MESSAGES_BYTES_SPARE = 16  # HELLO and DONE are small; a DELTA leaves them this much

# The whole protocol: state -> message kinds that the neighbour may send.
WAITING = "waiting"  # for its first HELLO
STARTED = "started"
ACCEPTS = {WAITING: (Know, Hello), STARTED: (Know, Hello, Durable, Delta, Done)}


class Sync:
    """
    flags: what this side wants (messages.WANTS_…); subscriptions: [(statement, packed
    arguments)]; matcher(subscriptions) -> matches(collection, id, document) -> bool;
    linger_ms: how long a document may wait for others to share a message with;
    message_size_max: bytes of the largest message that this side takes.
    """

    def __init__(
        self,
        store: "Store",
        neighbour: bytes,
        flags: int,
        matcher: "Callable[[Iterable[Subscription]], Matcher]",
        now_ms: int,
        linger_ms: int,
        message_size_max: int,
    ) -> None:
        self.state = WAITING
        self.sent_count = 0
        self.skipped_count = 0  # documents too large for this link
        self._store = store
        self._neighbour = neighbour
        self._flags = flags
        self._matcher = matcher
        self._linger_ms = linger_ms
        self._encoder = Encoder(store.author)
        self._decoder = Decoder(neighbour, ROOM_FACTOR * message_size_max)
        # As the receiver
        self._subscriptions: tuple[Subscription, ...] = ()
        self._hello_due_ms: int | None = now_ms
        self._unanswered_count = 0  # of our HELLOs
        self._knowledge_to_tell: list[tuple[bytes, int]] | None = None
        self._receiver: Receiver | None = None
        # As the sender
        self._their_flags = 0
        self._their_epoch = 0
        self._wanted: tuple[Subscription, ...] = ()
        self._matches: Matcher | None = None
        self._their_knowledge: dict[bytes, int] = {}
        self._heard: set[tuple[bytes, int]] = set()  # dots that came from it, ahead of our cursor
        self._their_authors = {neighbour}  # whose durability matters there
        self._hello_complete = False
        self._answer_count = 0  # HELLOs to answer
        self._cursor = 0  # of our log, what it has been offered
        self._cursor_told = 0  # and how far it knows that
        self._base = 0
        self._done_told = -1  # arrival number that the last DONE was about
        self._told: dict[bytes, int] = {}  # K, as far as DONE has told it
        self._durable_told: dict[bytes, int] = {}
        self._durable_due_ms = now_ms
        self._linger_until_ms: int | None = None

    def subscribe(self, subscriptions: "tuple[Subscription, ...]", now_ms: int) -> None:
        """Say what this side wants beside its flags; a change says HELLO again."""
        self._subscriptions = subscriptions
        self._hello_due_ms = now_ms
        self._restart_receiver()

    def receive(self, message: bytes, now_ms: int) -> None:
        """Handle one link message, durably; raise RemoteProtocolError if it is not legal."""
        for part in self._decoder.messages(message):
            if type(part) not in ACCEPTS[self.state]:
                raise RemoteProtocolError("%s while %s" % (type(part).__name__, self.state))
            _HANDLERS[type(part)](self, part, now_ms)

    def next_message(self, size_max: int, now_ms: int) -> bytes:
        """Return the next message to send, at most `size_max` bytes, or b""."""
        if self._hello_due_ms is not None and now_ms >= self._hello_due_ms:
            return self._next_hello()
        if self.state == WAITING:
            return b""
        answer = b""
        if self._answer_count:
            self._answer_count -= 1
            answer = self._encoder.vector(DURABLE, {})
        news = self._next_durable(now_ms)
        return answer + (news or self._next_documents(size_max - len(answer), now_ms))

    def received_count(self) -> int:
        """Return how many documents arrived and were stored."""
        return 0 if self._receiver is None else self._receiver.received_count

    def refused_count(self) -> int:
        """Return how many arrived and found no room; they will be sent again."""
        return 0 if self._receiver is None else self._receiver.refused_count

    def deadline_ms(self) -> "int | None":
        """Return when next_message may have something without anything else happening."""
        due = [t for t in (self._hello_due_ms, self._linger_until_ms) if t is not None]
        if self.state == STARTED and self._durable_news():
            due.append(self._durable_due_ms)
        return min(due) if due else None

    # As the receiver

    def _next_hello(self) -> bytes:
        """KNOW in parts, then HELLO."""
        if self._knowledge_to_tell is None:
            knowledge = dict(self._store.knowledge)
            knowledge[self._store.author] = self._store.own_seq
            self._knowledge_to_tell = sorted(knowledge.items())
        part = self._knowledge_to_tell[:VECTOR_PART_MAX]
        self._knowledge_to_tell = self._knowledge_to_tell[VECTOR_PART_MAX:]
        message = self._encoder.vector(KNOW, dict(part))
        if self._knowledge_to_tell:
            return message
        self._knowledge_to_tell = None
        self._hello_due_ms = None
        self._unanswered_count += 1
        resume, base, sender_epoch = self._store.cursors.get(self._neighbour, (0, 0, 0))
        self._restart_receiver()
        return message + self._encoder.hello(
            Hello(self._flags, self._store.epoch, resume, base, sender_epoch, self._subscriptions)
        )

    def _restart_receiver(self) -> None:
        """Take nothing for what follows; what does, says where it goes on from."""
        if self._receiver is not None:
            self._receiver.expected = None

    def _handle_durable(self, durable: Durable, now_ms: int) -> None:
        if not durable.vector:  # an answer
            if not self._unanswered_count:
                raise RemoteProtocolError("an answer to no HELLO")
            self._unanswered_count -= 1
        self._store.learn_durable(durable.vector)
        for author, seq in durable.vector.items():  # it knows that, no need to tell it
            if author in self._their_authors:
                self._durable_told[author] = max(self._durable_told.get(author, 0), seq)

    def _handle_documents(self, part: "Delta | Done", now_ms: int) -> None:
        if not self._flags and not self._subscriptions:
            raise RemoteProtocolError("documents that nobody asked for")
        if self._hello_due_ms is not None or self._unanswered_count:
            return  # for what we wanted before: it would move the cursor past what we want now
        if self._receiver is None:
            from edge_peer.core.receiver import Receiver

            self._receiver = Receiver(self._store, self._neighbour)
        if isinstance(part, Done):
            covers_us, passes_on = self._covers_us(), self._passes_on()
            self._receiver.handle_done(part, self._their_epoch, covers_us, passes_on)
            self._note_knowledge([entry[:2] for entry in part.entries])
        elif not self._receiver.handle_delta(part, self._their_epoch):
            self._hello_due_ms = now_ms + ROOM_RETRY_MS
        elif self._wants_documents():
            self._note_heard(part)

    def _covers_us(self) -> bool:
        """Return whether the neighbour's log holds everything that we want of any author."""
        if self._their_flags & WANTS_ALL:
            return True
        if self._passes_on():
            return bool(self._their_flags & RELAYS)  # what a relay skips, the Big Peer has
        return not self._flags and self._wanted == self._subscriptions

    def _passes_on(self) -> bool:
        """Return whether this side wants nothing that the Big Peer has: it is one, or a relay."""
        return self._store.keeps_all or bool(
            self._flags & WANTS_UNDURABLE and not self._subscriptions
        )

    # As the sender

    def _handle_know(self, know: Know, now_ms: int) -> None:
        if self._hello_complete:
            self._hello_complete = False
            self._their_knowledge = {}
        self._note_knowledge(know.vector.items())

    def _note_knowledge(self, entries: "Iterable[tuple[bytes, int]]") -> None:
        """Also of authors that we do not know yet: their writes may reach us at any time."""
        known = self._their_knowledge
        room = self._store.log.authors_max - len(known)
        for author, seq in entries:
            if author not in known:
                room -= 1
            if room >= 0 or author in known or self._store.known(author):
                known[author] = max(seq, known.get(author, 0))
                self._their_authors.add(author)

    def _note_heard(self, delta: Delta) -> None:
        for _, _, document in delta.records:
            for cell in document.values():
                if len(self._heard) < HEARD_COUNT_MAX:
                    self._heard.add((cell.author, cell.seq))

    def _handle_hello(self, hello: Hello, now_ms: int) -> None:
        try:
            self._matches = self._matcher(hello.subscriptions)
        except QueryError as error:
            raise RemoteProtocolError("subscription: %s" % error)
        self._their_flags = hello.flags
        self._their_epoch = hello.epoch
        self._wanted = hello.subscriptions
        self._hello_complete = True
        ours = hello.sender_epoch == self._store.epoch
        self._base = min(hello.base, self._store.arrival)
        self._cursor = min(hello.resume if ours else hello.base, self._store.arrival)
        self._cursor_told = self._cursor
        self._done_told = -1
        self._told = {}
        self._durable_due_ms = now_ms
        self._linger_until_ms = None
        self._answer_count += 1
        self.state = STARTED

    def _next_durable(self, now_ms: int) -> bytes:
        news = self._durable_news() if now_ms >= self._durable_due_ms else {}
        if not news:
            return b""
        self._durable_due_ms = now_ms + DURABLE_INTERVAL_MS
        part = dict(sorted(news.items())[:VECTOR_PART_MAX])
        if len(part) < len(news):
            self._durable_due_ms = now_ms
        self._durable_told.update(part)
        return self._encoder.vector(DURABLE, part)

    def _durable_news(self) -> "dict[bytes, int]":
        news = {}
        for author in self._their_authors:
            seq = self._store.durable_seq(author)
            if seq > self._durable_told.get(author, 0):
                news[author] = seq
        return news

    def _wants_documents(self) -> bool:
        return bool(self._their_flags & (WANTS_ALL | WANTS_UNDURABLE) or self._wanted)

    def _next_documents(self, size_max: int, now_ms: int) -> bytes:
        """DELTA, DONE, or both in one message."""
        if not self._wants_documents() or self._is_lingering(now_ms):
            return b""
        message = b""
        if self._cursor < self._store.arrival:
            message = self._next_delta(size_max)
        if self._cursor >= self._store.arrival and self._heard:
            self._heard = set()
        if self._cursor >= self._store.arrival and len(message) + size_max // 4 < size_max:
            message += self._next_done()
        return message

    def _is_lingering(self, now_ms: int) -> bool:
        """Let a first new document wait for others, `linger_ms` at most."""
        waiting_count = self._store.arrival - self._cursor
        if self._done_told < 0 or not 0 < waiting_count < LINGER_COUNT_MAX:
            self._linger_until_ms = None
        elif self._linger_until_ms is None:
            self._linger_until_ms = now_ms + self._linger_ms
        return self._linger_until_ms is not None and now_ms < self._linger_until_ms

    def _next_delta(self, size_max: int) -> bytes:
        """Return a DELTA, as full as the link allows, or b"" if nothing is needed there."""
        size_max -= MESSAGES_BYTES_SPARE
        puts, bodies = self._gather(size_max)
        while puts:
            message = self._encoder.delta(self._cursor_told, puts, bodies, size_max)
            if message:
                self.sent_count += len(puts)
                self._cursor_told = puts[-1][2]
                return message
            if len(puts) == 1:
                self.skipped_count += 1
            half = len(puts) // 2  # not as compact as thought: the rest goes into the next one
            puts, bodies = puts[:half], bodies[:half]
            if puts:
                self._cursor = puts[-1][2]
        return b""

    def _gather(self, size_max: int) -> "tuple[list[Put], list[Document]]":
        """Move the cursor over what one message may hold; return the puts and cells to send."""
        puts: list[Put] = []
        bodies: list[Document] = []
        room = ROOM_FACTOR * size_max
        while self._cursor < self._store.arrival and len(puts) < RECORD_COUNT_MAX and room > 0:
            batch = self._store.log.since(self._cursor, SCAN_COUNT)
            if not batch:
                self._cursor = self._store.arrival
            for put in batch:
                needed = self._needed(put)
                size = len(put[3]) + len(put[1]) + ID_OVERHEAD
                if needed and size + RECORD_OVERHEAD_MAX > size_max:
                    self.skipped_count += 1
                    needed = {}
                if needed and (size > room or len(puts) == RECORD_COUNT_MAX):
                    room = 0
                    break
                self._cursor = put[2]
                if needed:
                    room -= size
                    puts.append(put)
                    bodies.append(needed)
                    self._their_authors.update([cell.author for cell in needed.values()])
        return puts, bodies

    def _needed(self, put: "Put") -> "Document":
        """Return the cells of a document that the neighbour wants and may lack.

        Only a Big Peer is sent parts of a document, since it alone surely holds the rest.
        """
        document = documents.decode(put[3])
        if not self._is_wanted(put[0], put[1], document):
            return {}
        lacks = {
            path: cell
            for path, cell in document.items()
            if cell.author != self._neighbour
            and cell.seq > self._their_knowledge.get(cell.author, 0)
            and (cell.author != self._store.author or cell.seq > self._base)
            and (cell.author, cell.seq) not in self._heard
        }
        return lacks if not lacks or self._their_flags & WANTS_ALL else document

    def _is_wanted(self, collection: str, id: str, document: "Document") -> bool:
        if self._their_flags & WANTS_ALL:
            return True
        if self._their_flags & WANTS_UNDURABLE and not self._store.is_durable(document):
            return True
        return self._matches is not None and self._matches(collection, id, document)

    def _next_done(self) -> bytes:
        store = self._store
        if self.skipped_count:
            return b""  # it would claim, and pass on, that nothing is missing
        news = [
            (author, seq, store.evicted.get(author, 0))
            for author, seq in sorted(store.knowledge.items())
            if self._told.get(author, 0) < seq and author != self._neighbour
        ][:VECTOR_PART_MAX]
        if self._done_told == store.arrival and not news:
            return b""
        self._done_told = store.arrival
        for author, seq, _ in news:
            self._told[author] = seq
        previous, self._cursor_told = self._cursor_told, store.arrival
        return self._encoder.done(Done(previous, store.arrival, store.own_seq, news))


_HANDLERS: "dict[type, Callable[[Sync, Any, int], None]]" = {
    Know: Sync._handle_know,
    Hello: Sync._handle_hello,
    Durable: Sync._handle_durable,
    Delta: Sync._handle_documents,
    Done: Sync._handle_documents,
}
