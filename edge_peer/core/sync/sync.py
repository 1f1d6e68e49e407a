"""
Sync with one neighbour over one open link: what to say, what to make of the answer.

Both sides do both halves at once. As the *receiver* a peer says in HELLO what it
wants and how far it has read, and takes what comes (core/sync/receiver.py). As the *sender*
it walks its log from there (core/sync/sender.py) and goes on as new documents arrive.
No I/O and no clock here: messages go in through `receive`, and come out of
`next_message` when the link can take one.

Two cursors. `resume` moves with every record, so that a broken link goes on in
the middle; `base` only with DONE, when nothing before it is missing. A sender
with another epoch than the one that the cursors belong to has rolled back, and is
read again from `base`. Nothing is sent that the receiver's K covers or that it
wrote itself: of each author that it is about to send something of, a sender asks
for K once (ASK, KNOW). K is learned on DONE, and only from a sender whose log holds
all that we want (core/store/store.py says what K, E and D are).

Nothing is said that is not news. A HELLO that the other side can expect, as nothing has
changed since the link before, is SAME, its checksum; who expects another one, or has forgotten,
says AGAIN, and what it wants itself, and takes nothing until it has HELLO. HELLO has a
digest of K: a sender whose K is the same has none to teach. D is told of authors whose
documents are not known to be durable there; who holds such documents says so, by telling
its own D of their authors.

Messages are acknowledged by the link, after `receive` has made them durable.
A receiver without room says nothing, reads on over what it must refuse, and
says HELLO again when there is room: the sender starts again at `resume`. Every HELLO
but the first of a link is answered, by an empty DURABLE: what comes before the answer
was sent before that HELLO was heard.
"""

from edge_peer.core.errors import QueryError, RemoteProtocolError
from edge_peer.core.limits import ATTACHMENTS
from edge_peer.core.sync.messages import (
    AGAIN,
    ALL_DURABLE,
    ATTACHES,
    COVERS,
    DEFLATED,
    DIGEST,
    DURABLE,
    GAP,
    HEARS,
    HOLDS_NOTHING,
    INFLATES,
    KNOW,
    LACKS_OWN,
    RECENT_PART_MAX,
    RECONCILES,
    RELAYS,
    ROOM_FACTOR,
    SYMBOLS,
    VECTOR_TOLD_MAX,
    WANTS_ALL,
    WANTS_UNDURABLE,
    Again,
    Ask,
    Attached,
    Compared,
    Decoder,
    Delta,
    Done,
    Durable,
    Encoder,
    Fetch,
    Fetched,
    Hello,
    Know,
    Moved,
    Partly,
    Present,
    Recent,
    Same,
    Told,
)
from edge_peer.core.sync.sender import Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.query.select import Matcher, Subscription, Subscriptions
    from edge_peer.core.store.knowledge import Vector
    from edge_peer.core.store.store import Store
    from edge_peer.core.sync.exchange import Exchange
    from edge_peer.core.sync.presence import Presence, Telling
    from edge_peer.core.sync.receiver import Receiver
    from edge_peer.core.sync.reconcile import Finding, Offering, Side
    from edge_peer.core.sync.repair import Repair

    Steps = Generator[None, None, None]
    Requests = tuple[tuple[str, bytes, int], ...]  # and the relays that each has come through
    # told when a neighbour has said what it wants; has_gap: it lacks what we evicted
    Asked = Callable[["Requests", bool], None]

DEFLATE_BYTES_MIN = 100  # what is shorter gains little
ANSWERS_OWED_MAX = 256  # HELLOs that may wait for their answer: honest peers say one a second
ROOM_RETRY_MS = 1_000  # a full receiver tries again this often
GAP_RETRY_MS = 60_000  # and one that lacks what a relay has evicted

# The whole protocol: state -> message kinds that the neighbour may send.
WAITING = "waiting"  # for its first HELLO
UNSURE = "unsure"  # what its SAME stands for; what it said behind that, it will say again
STARTED = "started"
ACCEPTS = {
    WAITING: (Hello, Same, Again, Told),
    UNSURE: (Hello, Durable, Again, Present, Told),
    STARTED: (Hello, Again, Ask, Know, Recent, Durable, Delta, Moved, Done, Attached, Compared)
    + (Present, Told, Fetch, Fetched, Partly),
}
PASSED_OVER = {
    UNSURE: (Ask, Know, Recent, Delta, Moved, Done, Attached, Compared, Fetch, Fetched, Partly)
}


class Sync:
    """
    flags: what this side wants (messages.WANTS_…); subscriptions: [(statement, packed
    arguments)]; matcher(subscriptions) -> matches(collection, id, document) -> bool;
    linger_ms: how long a document may wait for others to share a message with;
    message_size_max: bytes of the largest message that this side takes; deflate: a
    Deflate (host/deflate.py) where this side can; gate: what says who the neighbour is and
    what it may (security/gate.py), None where everybody on the wire is trusted; roles: of
    WANTS_ALL and RELAYS what the neighbour's certificate lets it say.
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
        deflate: "Any" = None,
        gate: "Any" = None,
        roles: int = WANTS_ALL | RELAYS,
        salt: bytes = b"",
    ) -> None:
        self.state = WAITING
        self.gate = gate
        self._roles = roles
        self._deflate = deflate
        self._message_size_max = message_size_max
        self._store = store
        self._neighbour = neighbour
        self._flags = flags
        self._matcher = matcher
        self._encoder = Encoder(store.author)
        self._decoder = Decoder(neighbour, ROOM_FACTOR * message_size_max)
        self._sender = Sender(
            store, neighbour, self._encoder, now_ms, linger_ms, message_size_max, gate
        )
        self._salt = salt
        self._finding: Finding | None = None  # what the neighbour lacks
        self._answer_count = 0  # of theirs, to be answered
        self._asked: tuple[bytes, ...] = ()  # authors whose K it waits for
        # As the receiver
        self.on_asked: Asked | None = None  # told of HELLOs, and if one says that it has a gap
        self._subscriptions: Subscriptions = ()
        self._requests: Requests = ()
        self._covers_them = False
        self._gap_due_ms: int | None = None  # when we may say that we have one
        self._said_epoch = -1  # the store's when we last said HELLO
        self._hello_due_ms: int | None = now_ms
        self._unanswered_count = -1  # of our HELLOs; the first gets no answer
        self._says_same = True  # if it can, and it has not been told to say it again
        self._has_said_same = False
        self._says_again = False
        self._undurable: list[bytes] = []  # authors, to be told that we care for their D
        self._their_epoch = 0
        self._their_base = 0
        self._receiver: Receiver | None = None
        self._work: Steps | None = None  # what is left to do with the last message
        self._offering: Offering | None = None  # what we have
        self._exchange: Exchange | None = None
        self._repair: Repair | None = None
        self._presence: Presence | None = None
        self._telling: Telling | None = None
        self._on_presence: Callable[[], None] | None = None

    def close(self) -> None:
        """Call when the link is closed."""
        if self.gate is not None:
            self.gate.close()
        expected = self._sender.expected()
        if self.state == STARTED and expected is not None and not self._fetches_own():
            check = self._encoder.check(self._hello(False))
            self._store.note_greeting(self._neighbour, expected, check)
        if self._exchange is not None:
            self._exchange.close()
        if self._repair is not None:
            self._repair.begin()
        if self._store.upstream == self._neighbour:
            self._store.upstream = b""

    def subscribe(self, requests: "Requests", now_ms: int, covers_them: bool = False) -> None:
        """Say what this side wants beside its flags; a change says HELLO again.

        covers_them: of a relay, whether its log will hold all that the neighbour wants.
        """
        is_same = self._requests == requests and self._covers_them == covers_them
        if is_same and self._said_epoch == self._store.epoch:
            return
        self._requests, self._covers_them = requests, covers_them
        self._subscriptions = tuple([one[:2] for one in requests])
        self._hello_due_ms = now_ms
        self._restart_receiver()

    def watch(self, presence: "Presence", on_news: "Callable[[], None]", now_ms: int) -> None:
        """Hear of the mesh, and tell what is known of it; on_news() when there is more to tell."""
        if self._telling is None:
            from edge_peer.core.sync.presence import Telling

            self._presence, self._on_presence = presence, on_news
            self._telling = Telling(presence, self._neighbour)
            self._hello_due_ms = now_ms
            self._restart_receiver()

    def say_again(self) -> None:
        """Another link has worked in between: what was said of cursors on this one is old."""
        if self._unanswered_count >= 0:
            self._hello_due_ms = 0
            self._restart_receiver()

    def hears(self) -> bool:
        """Return whether the neighbour wants to know of the mesh."""
        return bool(self._sender.their_flags & HEARS)

    def relays(self) -> bool:
        """Return whether the neighbour passes on what others say."""
        return bool(self._sender.their_flags & (RELAYS | WANTS_ALL))

    def receive(self, message: bytes, now_ms: int) -> None:
        """Handle one link message, durably; raise RemoteProtocolError if it is not legal.

        Where signatures have to be checked, it is handled when `step` has returned False.
        """
        if message and message[0] == DEFLATED:
            if self._deflate is None:
                raise RemoteProtocolError("deflated, for a peer that does not inflate")
            message = self._deflate.inflate(message[1:], self._message_size_max)
        if self.gate is not None:
            self.gate.check()
        self._work = self._handle(message, now_ms)
        self.step()

    @property
    def is_busy(self) -> bool:
        """Whether the last message is not handled yet; no other one may come until then."""
        return self._work is not None

    def step(self) -> bool:
        """Go on with the last message for a few ms; return whether there is more of it."""
        if self._work is None:
            return False
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        except Exception:
            self._work = None
            raise
        return self._work is not None

    def _handle(self, message: bytes, now_ms: int) -> "Steps":
        for part in self._decoder.messages(message):
            if type(part) in PASSED_OVER.get(self.state, ()):
                continue
            if type(part) not in ACCEPTS[self.state]:
                raise RemoteProtocolError("%s while %s" % (type(part).__name__, self.state))
            if self.gate is not None and isinstance(part, (Delta, Moved)):
                yield from self.gate.prove(part.records)
            if isinstance(part, Told):
                yield from self._handle_told(part)
            elif isinstance(part, Compared):
                yield from self._handle_compared(part)
            else:
                _HANDLERS[type(part)](self, part, now_ms)

    def next_message(self, size_max: int, now_ms: int) -> bytes:
        """Return the next message to send, at most `size_max` bytes, or b""."""
        if self._deflate is None or not self._sender.their_flags & INFLATES:
            return self._next_messages(size_max, now_ms)
        message = self._next_messages(size_max - size_max // 1_000 - 16, now_ms)  # it may grow
        if len(message) < DEFLATE_BYTES_MIN:
            return message
        return bytes([DEFLATED]) + bytes(self._deflate.deflate(message))

    def _next_messages(self, size_max: int, now_ms: int) -> bytes:
        if self.gate is not None:
            message: bytes = self.gate.next_message(size_max)
            if message:
                return message
        if self._says_again:
            self._says_again = False
            return bytes([AGAIN])
        if self.state != STARTED and self._flags & WANTS_ALL:
            return b""  # its HELLO comes, and ours can answer it in one frame with the ACK
        if self._hello_due_ms is not None and now_ms >= self._hello_due_ms:
            message = self._next_hello(now_ms)
            message += self._encoder.recent(self._recent((self._neighbour,)))
            if self._finding is not None and not self._answer_count:
                message += self._finding.next_message(size_max - len(message))
            return message
        if self.state != STARTED:
            return b""
        if self._receiver is not None:
            self._receiver.learn_refused()
        message = self._next_answers()
        if len(message) > size_max // 4:
            return message
        message += self._sender.next_durable(now_ms)
        if self._store.has_fragments and self._sender.is_apart():
            message += self._repairs().next_answer(size_max - len(message))
        if size_max - len(message) < size_max // 2:
            return message
        for side in (self._finding, self._offering):
            if side is not None:
                message += side.next_message(size_max - len(message))
        self._sender.teaches = self._teaches()
        message += self._sender.next_documents(size_max - len(message), now_ms)
        if not message and self._store.has_fragments:
            message = self._next_fetch(size_max)
        if not message and self._telling is not None and self.hears():
            message = self._telling.next_message(size_max, now_ms)
        if message or not self._store.has_attachments:
            return message
        if not self._sender.their_flags & ATTACHES:
            return message
        return self._attachments().next_message(size_max, now_ms)

    def sent_count(self) -> int:
        return self._sender.sent_count

    def skipped_count(self) -> int:
        """Return how many documents were too large for this link."""
        return self._sender.skipped_count

    def received_count(self) -> int:
        """Return how many documents arrived and were stored."""
        return 0 if self._receiver is None else self._receiver.received_count

    def refused_count(self) -> int:
        """Return how many arrived and found no room; they will be sent again."""
        return 0 if self._receiver is None else self._receiver.refused_count

    def deadline_ms(self) -> "int | None":
        """Return when next_message may have something without anything else happening."""
        if self.state != STARTED and self._flags & WANTS_ALL:
            return None
        due = [t for t in (self._hello_due_ms, self._sender.linger_until_ms) if t is not None]
        if self.state == STARTED:
            due_ms = self._sender.durable_deadline_ms()
            if due_ms is not None:
                due.append(due_ms)
            if self._telling is not None and self.hears():
                due_ms = self._telling.deadline_ms()
                if due_ms is not None:
                    due.append(due_ms)
            due_ms = None if self._exchange is None else self._exchange.deadline_ms()
            if due_ms is not None:
                due.append(due_ms)
        return min(due) if due else None

    def _next_answers(self) -> bytes:
        """What the neighbour waits for."""
        message = b""
        while self._answer_count:  # of all: what follows is for the last HELLO
            self._answer_count -= 1
            message += self._encoder.vector(DURABLE, {})
        if len(message) > VECTOR_TOLD_MAX:
            return message
        if self._undurable:
            part, self._undurable = (
                self._undurable[:VECTOR_TOLD_MAX],
                self._undurable[VECTOR_TOLD_MAX:],
            )
            vector = {author: self._store.durable_seq(author) for author in part}
            message += self._encoder.vector(DURABLE, vector)
        elif self._asked:
            asked, self._asked = self._asked[:VECTOR_TOLD_MAX], self._asked[VECTOR_TOLD_MAX:]
            vector = {author: self._store.known(author) for author in asked}
            message += self._encoder.recent(self._recent(asked))
            message += self._encoder.vector(KNOW, vector)
        return message

    # As the receiver

    def _next_hello(self, now_ms: int) -> bytes:
        store = self._store
        self._hello_due_ms = None
        self._said_epoch = store.epoch
        self._unanswered_count += 1
        has_gap = self._has_gap()
        self._restart_receiver()
        if self._repair is not None:
            self._repair.restart()
        if has_gap:
            self._gap_due_ms = now_ms + GAP_RETRY_MS
        if not store.keeps_all:
            self._undurable = [
                author
                for author, seq in sorted(store.knowledge.items())
                if seq > store.durable_seq(author)
            ]
        hello = self._hello(has_gap)
        self._offer(hello)
        if self._unanswered_count or not self._says_same:
            return self._encoder.hello(hello)
        check = self._encoder.check(hello)
        self._has_said_same = store.greetings.get(self._neighbour, (None, -1))[1] == check
        return self._encoder.same(check) if self._has_said_same else self._encoder.hello(hello)

    def _hello(self, has_gap: bool) -> Hello:
        store = self._store
        flags, digest, durable = self._flags, 0, store.durable_seq(store.author)
        may_learn = bool(flags or self._subscriptions)
        if flags & WANTS_ALL:
            may_learn = bool(self._sender.their_flags & RELAYS)
        if may_learn:
            flags, digest = flags | DIGEST, store.digest()
        if self._deflate is not None:
            flags |= INFLATES
        if store.log.limits[ATTACHMENTS][0] != 0:
            flags |= ATTACHES
        if self._covers_them:
            flags |= COVERS
        if self._telling is not None:
            flags |= HEARS
        if self._subscriptions and not self._store.holds_documents():
            flags |= HOLDS_NOTHING
        if self._fetches_own():
            flags |= LACKS_OWN
        if has_gap:
            flags |= GAP
        if not store.unsynced_count():
            flags, durable = flags | ALL_DURABLE, 0
        resume, base, sender_epoch = store.cursors.get(self._neighbour, (0, 0, 0))
        known = store.known(self._neighbour)
        flags |= self._offered() * RECONCILES
        numbers = (flags, store.epoch, resume, base, sender_epoch, known, digest, durable)
        return Hello(*(numbers + (self._requests,)))

    # Where nothing says what the other side has (core/sync/reconcile.py)

    def _offered(self) -> int:
        """Return of which subscriptions we have documents, one bit each, that K does not claim."""
        store = self._store
        resume, base, _ = store.cursors.get(self._neighbour, (0, 0, 0))
        is_read = base or (resume and self._neighbour not in store.reconciled)
        if is_read or not self._subscriptions or not store.holds_unclaimed():
            return 0
        bits = 0
        for i, one in enumerate(self._subscriptions):
            if store.wanted_before is None or one in store.wanted_before:
                bits |= 1 << i
        return bits

    def _offer(self, hello: Hello) -> None:
        """Begin with what our HELLO names, and end what another one has named."""
        named = _named(hello)
        if named and self._offering is None:
            from edge_peer.core.sync.reconcile import Offering

            self._offering = Offering(self._store, self._salt, self._message_size_max)
        if self._offering is not None:
            self._offering.begin(named, self._matcher(named), hello.epoch)
            self._set_reconciled()

    def _find(self, hello: Hello) -> None:
        """Find out what the neighbour lacks of what its HELLO names."""
        named = _named(hello)
        if named and self._finding is None:
            from edge_peer.core.sync.reconcile import Finding

            self._finding = Finding(
                self._store, self._salt, self._message_size_max, self._neighbour
            )
        if self._finding is not None:
            matches, gate = self._matcher(named), self.gate

            def may_have(collection: str, id: str, document: "Document") -> bool:
                return matches(collection, id, document) and (
                    gate is None or bool(gate.may_read(collection, id, document))
                )

            self._finding.begin(named, may_have, hello.epoch, self._sender.lag())
            self._set_reconciled()

    def _set_reconciled(self) -> None:
        """Tell the sender who finds out what the neighbour has."""
        sides: list[Side] = [] if self._finding is None else [self._finding]
        if self._offering is not None and not self._their_base:
            sides.append(self._offering)
        self._sender.reconciled = sides

    def _handle_compared(self, part: Compared) -> "Steps":
        if part.kind == SYMBOLS:
            if self._finding is None:
                raise RemoteProtocolError("symbols that nobody has asked for")
            yield from self._finding.take(part)
        elif self._hello_due_ms is None and not self._unanswered_count:
            if self._offering is None:
                raise RemoteProtocolError("it asks for symbols that nobody offers")
            yield from self._offering.take(part)
            if self._offering.held is not None:
                self._store.note_reconciled(self._neighbour)

    def _restart_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.restart()

    def _handle_durable(self, durable: Durable, now_ms: int) -> None:
        if not durable.vector:  # an answer
            if not self._unanswered_count:
                raise RemoteProtocolError("an answer to no HELLO")
            self._unanswered_count -= 1
        if self._is_believed():
            self._learn(durable.vector)
            if self._receiver is not None:
                self._receiver.drop_moved()
        self._sender.note_durable(durable.vector)

    def _handle_documents(self, part: "Delta | Moved | Done", now_ms: int) -> None:
        if not self._flags and not self._subscriptions:
            raise RemoteProtocolError("documents that nobody asked for")
        if self._hello_due_ms is not None or self._unanswered_count:
            return  # for what we wanted before: it would move the cursor past what we want now
        if self._receiver is None:
            from edge_peer.core.sync.receiver import Receiver

            self._receiver = Receiver(self._store, self._neighbour, self.gate)
        if isinstance(part, Done):
            covers_us = self._is_believed() and self._covers_us()
            passes_on = self._passes_on()
            is_taken = self._receiver.handle_done(part, self._their_epoch, covers_us, passes_on)
            if is_taken and self._flags & RELAYS:
                self._receiver.tell_refused()
            if is_taken and self._fetches_own() and self._receiver.has_own:
                self._store.fetched_own()
            if self._has_gap() and (self._gap_due_ms is None or now_ms >= self._gap_due_ms):
                self._hello_due_ms = now_ms
            self._sender.note_knowledge(part.entries)
            if self._is_from_big():
                self._learn_durable(part)
            self._receiver.drop_moved()
        elif not self._receiver.handle_delta(
            part, self._their_epoch, self._is_from_big(), self._own_matcher(part)
        ):
            self._hello_due_ms = now_ms + ROOM_RETRY_MS
        else:
            self._sender.note_heard(part)

    def _handle_partly(self, part: Partly, now_ms: int) -> None:
        if self._receiver is None or self._hello_due_ms is not None or self._unanswered_count:
            return
        if self._is_believed() and self._covers_us():
            self._receiver.take_partly(part.entries, self._passes_on())

    def _is_from_big(self) -> bool:
        return bool(self._sender.their_flags & WANTS_ALL)

    def _own_matcher(self, part: "Delta | Moved") -> "Matcher | None":
        """Return what says whether a document stays here; None: a relay keeps what moves."""
        if isinstance(part, Delta) or self._flags:
            return None
        return self._matcher(self._subscriptions)

    def _learn_durable(self, done: Done) -> None:
        """What a Big Peer knows is durable."""
        store = self._store
        entries = {author: seq for author, seq, _ in done.entries if store.known(author)}
        entries[self._neighbour] = done.own_seq
        if len(store.durable) + len(entries) <= store.log.authors_max:
            self._learn(entries)

    def _learn(self, vector: "Vector") -> None:
        """Learn D."""
        if self._store.learn_durable(vector):
            self._store.upstream = self._neighbour
            if self.gate is not None:
                self.gate.note_durable()

    def _is_believed(self) -> bool:
        """Return whether what the neighbour says of others' writes counts."""
        return self.gate is None or bool(self.gate.is_believed)

    def _fetches_own(self) -> bool:
        """Return whether this neighbour is to send us our own writes again."""
        return self._store.lacks_own and self._covers_us()

    def _has_gap(self) -> bool:
        """Return whether a relay that holds what we want has evicted some of it."""
        return self._receiver is not None and self._receiver.has_gap() and self._covers_us()

    def _covers_us(self) -> bool:
        """Return whether the neighbour's log holds everything that we want of any author."""
        sender = self._sender
        return _covers(sender.their_flags, sender.wanted, self._flags, self._subscriptions)

    def _teaches(self) -> bool:
        """Return whether the neighbour learns from us what we know of others."""
        sender = self._sender
        flags = self._flags | (COVERS if self._covers_them else 0)
        return _covers(flags, self._subscriptions, sender.their_flags, sender.wanted)

    def _passes_on(self) -> bool:
        """Return whether this side wants nothing that the Big Peer has: it is one, or a relay."""
        return _passes_on(self._flags, self._subscriptions)

    # As the sender

    def _handle_hello(self, hello: Hello, now_ms: int) -> None:
        if hello.flags & (WANTS_ALL | RELAYS) & ~self._roles:
            raise RemoteProtocolError("a role that its certificate does not have")
        if self.gate is not None:
            self.gate.check_flags(hello.flags)
        try:
            matches = self._matcher([one[:2] for one in hello.subscriptions])
        except QueryError as error:
            raise RemoteProtocolError("subscription: %s" % error)
        is_reading = self._receiver is not None and self._receiver.expected is not None
        if self.state == STARTED and hello.epoch != self._their_epoch and not is_reading:
            self._hello_due_ms = now_ms  # ours named a cursor of the epoch before
        self._their_epoch = hello.epoch
        filters: dict[str, list[str]] = {}
        if self._flags & (WANTS_ALL | RELAYS) and hello.subscriptions:
            from edge_peer.core.query.select import filters as filters_of

            filters = filters_of([one[:2] for one in hello.subscriptions])
        self._sender.begin(hello, matches, now_ms, filters)
        self._their_base = hello.base
        self._find(hello)
        if self._repair is not None:
            self._repair.begin()
        if self._fetches_own() and self.state != STARTED:
            self._hello_due_ms = now_ms  # what we said first did not say so
        self._answer_count += self.state != WAITING
        if self._answer_count > ANSWERS_OWED_MAX:
            raise RemoteProtocolError("HELLO again and again, and no answer taken")
        self.state = STARTED
        if self.on_asked is not None:
            self.on_asked(hello.subscriptions, bool(hello.flags & GAP))

    def _handle_same(self, same: Same, now_ms: int) -> None:
        """Take it for the HELLO that we expect, as far as we know what changes by itself."""
        last = self._store.greetings.get(self._neighbour, (None, 0))[0]
        for hello in () if last is None else _variants(last, self._store):
            if self._encoder.check(hello) == same.check:
                self._handle_hello(hello, now_ms)
                return
        self.state = UNSURE
        self._says_again, self._says_same = True, False
        self._hello_due_ms = now_ms

    def _handle_again(self, again: Again, now_ms: int) -> None:
        if not self._has_said_same:
            raise RemoteProtocolError("it wants to hear again what was said in full")
        self._has_said_same = self._says_same = False
        self._hello_due_ms = now_ms

    def _handle_ask(self, ask: Ask, now_ms: int) -> None:
        self._asked = ask.authors
        self._sender.note_authors(ask.authors)

    # Whole documents again

    def _repairs(self) -> "Repair":
        if self._repair is None:
            from edge_peer.core.sync.repair import Repair

            self._repair = Repair(self._store, self._sender, self._neighbour)
        return self._repair

    def _next_fetch(self, size_max: int) -> bytes:
        if self._hello_due_ms is not None or self._unanswered_count:
            return b""  # it would take this back
        if self._sender.lag() or not self._sender.is_apart():
            return b""  # whether the whole is wanted may hang on what we have written to it
        return self._repairs().next_fetch(size_max)

    def _handle_fetch(self, fetch: Fetch, now_ms: int) -> None:
        if not self._flags & (RELAYS | WANTS_ALL):
            raise RemoteProtocolError("it fetches from a peer that passes nothing on")
        self._repairs().take_fetch(fetch)

    def _handle_fetched(self, fetched: Fetched, now_ms: int) -> None:
        if self._hello_due_ms is None and not self._unanswered_count:
            self._repairs().take_fetched(fetched)

    # Attachments

    def _attachments(self) -> "Exchange":
        if self._exchange is None:
            from edge_peer.core.sync.exchange import Exchange

            self._exchange = Exchange(
                self._store.attachments, self._sender, self._flags, self._message_size_max
            )
        return self._exchange

    def _handle_attached(self, part: Attached, now_ms: int) -> None:
        if self._store.log.limits[ATTACHMENTS][0] == 0:
            raise RemoteProtocolError("attachments, for a peer that has no room for any")
        if self.gate is not None and not self.gate.may_exchange(part.kind):
            return
        self._attachments().take(part, now_ms)

    # Who they are

    def _handle_present(self, present: Present, now_ms: int) -> None:
        if self._presence is None or self._on_presence is None or self._telling is None:
            raise RemoteProtocolError("presence, for a peer that does not hear of it")
        is_news = self._presence.take(present.entries, self._neighbour, self._is_believed())
        self._telling.owe(self._presence.owed)
        if is_news:
            self._on_presence()

    def _handle_told(self, told: Told) -> "Steps":
        if self.gate is None:
            raise RemoteProtocolError("it asks who we are, and here nobody is anybody")
        yield from self.gate.receive(told)

    def _recent(self, authors: "tuple[bytes, ...]") -> "list[tuple[bytes, int, int]]":
        return self._store.recent(authors)[-RECENT_PART_MAX:]

    def _handle_recent(self, recent: Recent, now_ms: int) -> None:
        self._sender.take_recent(recent.writes)

    def _handle_know(self, know: Know, now_ms: int) -> None:
        self._sender.take_knowledge(know.vector)


def _variants(last: Hello, store: "Store") -> "list[Hello]":
    """What it may have learned by the end of the link before, beside what it was sent."""
    digests = (last.digest, store.digest()) if last.flags & DIGEST else (0,)
    durables = ((last.flags, last.durable), (last.flags | ALL_DURABLE, 0))
    return [
        Hello(*((flags,) + tuple(last[1:6]) + (digest, durable, last.subscriptions)))
        for digest in digests
        for flags, durable in durables
    ]


def _named(hello: Hello) -> "Subscriptions":
    """Return the subscriptions of which it says that it has documents."""
    bits = hello.flags // RECONCILES
    return tuple([one[:2] for i, one in enumerate(hello.subscriptions) if bits >> i & 1])


def _covers(flags: int, has: "Subscriptions", their_flags: int, want: "Subscriptions") -> bool:
    """Return whether a log kept for `flags` and `has` holds all that the other side wants."""
    if flags & (WANTS_ALL | COVERS):
        return True
    if _passes_on(their_flags, want):
        return bool(flags & RELAYS)  # what a relay skips, the Big Peer has
    return not their_flags & WANTS_UNDURABLE and has == want


def _passes_on(flags: int, subscriptions: "Subscriptions") -> bool:
    return bool(flags & WANTS_ALL or (flags & WANTS_UNDURABLE and not subscriptions))


_HANDLERS: "dict[type, Callable[[Sync, Any, int], None]]" = {
    Attached: Sync._handle_attached,
    Know: Sync._handle_know,
    Recent: Sync._handle_recent,
    Hello: Sync._handle_hello,
    Ask: Sync._handle_ask,
    Same: Sync._handle_same,
    Again: Sync._handle_again,
    Partly: Sync._handle_partly,
    Present: Sync._handle_present,
    Durable: Sync._handle_durable,
    Fetch: Sync._handle_fetch,
    Fetched: Sync._handle_fetched,
    Delta: Sync._handle_documents,
    Moved: Sync._handle_documents,
    Done: Sync._handle_documents,
}
