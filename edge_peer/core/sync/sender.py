"""
The sender's half of sync: walk our log from where the neighbour has read it.

core/sync/sync.py says what the cursors, K and D are for, and tells this half what it hears.
Three times the neighbour's K bounds what is sent: HELLO says it of us; DONE, when the
neighbour sends too, of others; of any other author we ask before we send.
"""

from edge_peer.core import document as documents
from edge_peer.core.document import CELL_COUNT_MAX, SEAL, SEPARATOR
from edge_peer.core.ids import automatic_id
from edge_peer.core.limits import PROOFS
from edge_peer.core.store.knowledge import check_of
from edge_peer.core.sync.messages import (
    ALL_DURABLE,
    DELTA,
    DIGEST,
    DONE_ENTRY_BYTES_MAX,
    DURABLE,
    GAP,
    HOLDS_NOTHING,
    LACKS_OWN,
    MOVED,
    RECONCILES,
    RECORD_COUNT_MAX,
    RECORD_OVERHEAD_MAX,
    RELAYS,
    ROOM_FACTOR,
    VECTOR_PART_MAX,
    VECTOR_TOLD_MAX,
    WANTS_ALL,
    WANTS_UNDURABLE,
    Done,
    Hello,
    Partly,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.query.select import Matcher, Subscriptions
    from edge_peer.core.store.knowledge import Vector
    from edge_peer.core.store.log import Put
    from edge_peer.core.store.store import Store
    from edge_peer.core.sync.messages import Delta, Encoder, Moved
    from edge_peer.core.sync.reconcile import Side

SCAN_COUNT = 32  # documents read from the log at a time
RECORD_SHARE = (
    128  # bytes of a message for each document in it: on a board they are in RAM together
)
LINGER_COUNT_MAX = 16  # as many share a message well: no reason to wait for more
DURABLE_INTERVAL_MS = 1_000
HEARD_COUNT_MIN = 256  # writes remembered until our cursor has passed them; beyond it we echo
HEARD_BYTES = 32  # of the largest message, for each more
ID_OVERHEAD = 3  # MessagePack before an id
PARTLY_COUNT_MAX = 8  # entries in a message; 23 bytes each at most
MESSAGES_BYTES_SPARE = 16  # a DELTA leaves so much for a DONE without entries


class Sender:
    """`teaches`: whether the neighbour learns K from us; see Sync for the rest."""

    def __init__(
        self,
        store: "Store",
        neighbour: bytes,
        encoder: "Encoder",
        now_ms: int,
        linger_ms: int,
        message_size_max: int,
        gate: "Any" = None,
    ) -> None:
        self.sent_count = 0
        self.skipped_count = 0  # documents too large for this link
        self.their_flags = 0
        self.wanted: Subscriptions = ()
        self.teaches = False
        self.linger_until_ms: int | None = None
        self.reconciled: list[Side] = []  # what finds out what it has, where nothing says so
        self._store = store
        self._neighbour = neighbour
        self._gate = gate
        self._notary: Any = None if gate is None else gate.notary()  # signs what is ours
        self._is_signing = False  # what was gathered last: it is ours, and to be signed
        # Puts and bodies of what was signed last, where others have written to it, too
        self._shared: tuple[list[Put], list[Document]] = [], []
        self._vouched: dict[bytes, str] = {}  # authors, and which documents went ahead for them
        self._encoder = encoder
        self._linger_ms = linger_ms
        self._matches: Matcher | None = None
        self._filters: dict[str, list[str]] = {}  # paths, of each collection that is wanted
        self._moves_after = 0  # our arrival, from where on documents may move out of it
        self._moves = False  # what was gathered last is what moved out
        self._known_max = max(store.log.authors_max, CELL_COUNT_MAX)
        self._their_knowledge: Vector = {}
        self._strangers: list[bytes] = []  # whose K stands between us and the next document
        self._asked: list[bytes] = []  # what we have asked about
        # (author, seq) -> the paths that came from it, ahead of our cursor. Of what has moved
        # out of what it wants it has a part of a write.
        self._heard: dict[tuple[bytes, int], set[str]] = {}
        self._their_recent: dict[tuple[bytes, int], int] = {}  # write -> check, above its K
        self._heard_max = max(HEARD_COUNT_MIN, message_size_max // HEARD_BYTES)
        self._cursor = 0  # of our log, what it has been offered
        self._cursor_told = 0  # and how far it knows that
        self._base = 0
        self._hello: Hello | None = None  # the last
        self._expected = (0, 0, 0, 0)  # resume, base, our epoch, our K in the next; see `expected`
        self._is_live = False  # the cursor has been at the end of the log
        self._done_told = -1  # arrival number that the last DONE was about
        self._own_told = 0  # our own write up to which it knows or was sent what it wants
        self._told: Vector = {}  # K, as far as it has that, or DONE has told it
        self._told_count = -1  # what Store.learned_count was then
        self._told_partly: Vector = {}
        self._their_authors = {neighbour}  # whose durability matters there
        self._durable_told: Vector = {}
        self._durable_mark = -1  # what there was to tell of D when nothing of it was new
        self._durable_due_ms = now_ms

    def begin(
        self,
        hello: "Hello",
        matches: "Matcher",
        now_ms: int,
        filters: "dict[str, list[str]] | None" = None,
    ) -> None:
        """Start where the neighbour's HELLO says, whatever was said before.

        filters: from core/query/select.py, where it is to hear what moves out of what it wants.
        """
        store = self._store
        self._their_recent = {}
        if self._hello is not None and self._hello.epoch != hello.epoch:
            self._heard = {}  # it starts over, and may have let that go
        self._filters = filters or {}
        self._moves_after = store.arrival if hello.flags & HOLDS_NOTHING else 0
        self._hello = hello
        self._told_partly = {}
        self._expected = (hello.resume, hello.base, hello.sender_epoch, hello.known)
        self._matches = matches
        self.their_flags = hello.flags
        self.wanted = tuple([one[:2] for one in hello.subscriptions])
        self._their_knowledge = {store.author: hello.known}
        self._own_told = hello.known
        self._strangers = []
        self._asked = []
        self._vouched = {}
        if self._notary is not None:
            self._notary.drop()
            self._shared = [], []
        ours = hello.sender_epoch == store.epoch
        self._base = min(hello.base, store.arrival)
        self._cursor = min(hello.resume if ours else hello.base, store.arrival)
        self._cursor_told = self._cursor
        self._is_live = False
        self.linger_until_ms = None
        has_all = ours and hello.base == store.arrival and hello.known == store.own_seq
        self._done_told = store.arrival if has_all else -1
        is_same = bool(hello.flags & DIGEST) and hello.digest == store.digest()
        self._told = {
            author: seq
            for author, seq in store.knowledge.items()
            if is_same or store.learned_at.get(author, store.opened_at) < hello.base
        }
        self._told_count = store.learned_count if is_same else -1
        if hello.flags & LACKS_OWN:
            self._told.pop(self._neighbour, None)
            self._told_count = -1
        self._durable_due_ms = now_ms
        all_durable = hello.flags & ALL_DURABLE
        durable = store.durable_seq(self._neighbour) if all_durable else hello.durable
        self.note_durable({self._neighbour: durable})

    def expected(self) -> "Hello | None":
        """Return the HELLO that it says next time, if all that was sent has arrived."""
        last = self._hello
        if last is None:
            return None
        flags = last.flags & RECONCILES - 1 & ~(GAP | LACKS_OWN | HOLDS_NOTHING)
        numbers = (flags, last.epoch) + self._expected
        return Hello(*(numbers + (last.digest, last.durable, last.subscriptions)))

    # What the neighbour knows

    def take_knowledge(self, vector: "Vector") -> None:
        """Take the answer to what we asked; anything else in it is of no use to us."""
        for author, seq in vector.items():
            if author in self._asked:
                self._asked.remove(author)
                self._their_knowledge[author] = seq

    def take_recent(self, writes: "list[tuple[bytes, int, int]]") -> None:
        for author, seq, check in writes:
            if len(self._their_recent) < self._heard_max:
                self._their_recent[author, seq] = check

    def note_knowledge(self, entries: "list[tuple[bytes, int, int]]") -> None:
        """Take what a DONE says."""
        for author, seq, _ in entries:
            old = self._their_knowledge.get(author, -1)
            if old >= 0 or len(self._their_knowledge) < self._known_max:
                self._their_knowledge[author] = max(seq, old)
        self.note_authors([entry[0] for entry in entries])

    def note_heard(self, delta: "Delta | Moved") -> None:
        """Remember what came from the neighbour, so that it does not go back."""
        is_sender = self._wants_documents()
        for _, _, document in delta.records:
            for path, cell in document.items():
                dot = cell.author, cell.seq
                if is_sender and (dot in self._heard or len(self._heard) < self._heard_max):
                    self._heard.setdefault(dot, set()).add(path)
            self.note_authors([cell.author for cell in document.values()])

    def _next_ask(self) -> bytes:
        self._asked, self._strangers = self._strangers, []
        if len(self._their_knowledge) + len(self._asked) > self._known_max:
            own = self._store.author
            self._their_knowledge = {own: self._their_knowledge[own]}
        return self._encoder.ask(self._asked)

    # What is durable

    def note_authors(self, authors: "Iterable[bytes]") -> None:
        """The neighbour holds, or has asked about, documents of these."""
        for author in authors:
            if author not in self._their_authors and (
                len(self._their_authors) < self._known_max or self._store.known(author)
            ):
                self._their_authors.add(author)

    def note_durable(self, vector: "Vector") -> None:
        """The neighbour has told its D of these authors: no need to tell as much, but more."""
        self.note_authors(vector)
        for author, seq in vector.items():
            if author in self._their_authors:
                self._durable_told[author] = max(self._durable_told.get(author, 0), seq)

    def next_durable(self, now_ms: int) -> bytes:
        news = self._durable_news() if now_ms >= self._durable_due_ms else {}
        if not news:
            return b""
        self._durable_due_ms = now_ms + DURABLE_INTERVAL_MS
        part = dict(sorted(news.items())[:VECTOR_TOLD_MAX])
        if len(part) < len(news):
            self._durable_due_ms = now_ms
        self._durable_told.update(part)
        return self._encoder.vector(DURABLE, part)

    def durable_deadline_ms(self) -> "int | None":
        return self._durable_due_ms if self._durable_news() else None

    def _durable_news(self) -> "Vector":
        news: Vector = {}
        if self.their_flags & WANTS_ALL:
            return news  # what a Big Peer knows is what is durable
        mark = self._store.durable_mark() + len(self._their_authors)  # either only rises
        if mark == self._durable_mark:
            return news
        for author in self._their_authors:
            seq = self._store.durable_seq(author)
            if self._done_says_it(author):
                continue
            if seq > self._durable_told.get(author, 0):
                news[author] = seq
        if not news:
            self._durable_mark = mark
        return news

    def _done_says_it(self, author: bytes) -> bool:
        """Return whether this is a Big Peer, and DONE tells of its own writes (`Sync`)."""
        is_own = self._store.keeps_all and author == self._store.author
        return is_own and self._wants_documents() and not self.skipped_count

    # Documents out of their order, for core/sync/repair.py

    def gather_whole(
        self, key: "tuple[str, str]", body: bytes, puts: "list[Put]", bodies: "list[Document]"
    ) -> None:
        """Add this document, and what vouches for it, if the neighbour wants it."""
        document = documents.decode(body)
        if self._is_wanted(key[0], key[1], document, document):
            if self._gate is not None:
                self._vouch(self._cursor_told, document, puts, bodies)
            puts.append((key[0], key[1], self._cursor_told, b""))
            bodies.append(self._sealed(puts[-1], document))

    def put_aside(
        self, puts: "list[Put]", bodies: "list[Document]", size_max: int
    ) -> "bytes | None":
        """Return a DELTA that leaves the cursor where it is; None if it does not fit."""
        message = self._encoder.delta(self._cursor_told, puts, bodies, size_max)
        if not message:
            self._vouched = {}
            return None
        self.sent_count += len(puts)
        for body in bodies:
            self.note_authors([cell.author for cell in body.values()])
        return message

    def is_apart(self) -> bool:
        """Return whether nothing is begun that has to go ahead of other documents."""
        return not self._is_busy() and not self._shared[0]

    # Documents

    def next_documents(self, size_max: int, now_ms: int) -> bytes:
        """Return DELTA, DONE, or both in one message; or ASK, before there can be more."""
        if self._asked or any([side.is_waiting for side in self.reconciled]):
            self.linger_until_ms = None  # we wait for more than time
            return b""
        if self._is_busy():
            return self._next_signed(size_max - MESSAGES_BYTES_SPARE, now_ms)
        if not self._wants_documents() or self._is_lingering(now_ms):
            return b""
        message = b""
        if self._cursor < self._store.arrival or self._shared[0]:
            message = self._next_delta(size_max, now_ms)
        if self._is_busy() or self._shared[0]:
            return message
        if self._strangers:
            return message or self._next_ask()
        if self._cursor < self._store.arrival:
            return message
        self._is_live = True
        if self._heard:
            self._heard = {}
        if len(message) + size_max // 4 < size_max:
            message += self._next_done(size_max - len(message))
            if self._store.partly and len(message) + size_max // 4 < size_max:
                message += self._next_partly()
        return message

    def lag(self) -> int:
        """Return how many of our arrivals the neighbour has not read."""
        return self._store.arrival - self._cursor

    def _wants_documents(self) -> bool:
        return bool(self.their_flags & (WANTS_ALL | WANTS_UNDURABLE) or self.wanted)

    def _is_lingering(self, now_ms: int) -> bool:
        """Let a first new document wait for others, `linger_ms` at most, or for its signer."""
        waiting_count = self._store.arrival - self._cursor
        rests_until_ms = 0 if self._notary is None else self._notary.due_ms(waiting_count)
        if waiting_count and now_ms < rests_until_ms:
            self.linger_until_ms = rests_until_ms
        elif not self._is_live or not 0 < waiting_count < LINGER_COUNT_MAX:
            self.linger_until_ms = None
        elif self.linger_until_ms is None:
            self.linger_until_ms = now_ms + self._linger_ms
        return self.linger_until_ms is not None and now_ms < self.linger_until_ms

    def _next_delta(self, size_max: int, now_ms: int) -> bytes:
        """Return a DELTA, as full as the link allows, or b"" if nothing is needed there."""
        size_max -= MESSAGES_BYTES_SPARE
        puts, bodies = self._shared
        self._shared = [], []
        if not puts:
            puts, bodies = self._gather(size_max)
            if puts and self._is_signing:
                count = self._notary.begin(puts, bodies, now_ms)
                self._cursor = puts[count - 1][2]
                self._share(puts[:count], bodies[:count])
                return self._next_signed(size_max, now_ms)
        while puts:
            kind = MOVED if self._moves else DELTA
            message = self._encoder.delta(self._cursor_told, puts, bodies, size_max, kind)
            if message:
                self.sent_count += len(puts)
                self._cursor_told = puts[-1][2]
                _, base, _, known = self._expected
                self._expected = (self._cursor_told, base, self._store.epoch, known)
                return message
            if len(puts) == 1:
                self.skipped_count += 1
            half = len(puts) // 2  # not as compact as thought: the rest goes into the next one
            for put in puts[half:]:
                self._vouched = {a: id for a, id in self._vouched.items() if id != put[1]}
            puts, bodies = puts[:half], bodies[:half]
            self._strangers = []
            if puts:
                self._cursor = puts[-1][2]
        return b""

    def _next_signed(self, size_max: int, now_ms: int) -> bytes:
        """Return a DELTA with the batch that is being signed, once it is."""
        batch = self._notary.step(now_ms)
        if batch is None:
            self.linger_until_ms = now_ms + 1
            return b""
        self.linger_until_ms = None
        # The cursor is told with the last that belongs to it: without that all is said again.
        cursor = self._cursor_told if self._shared[0] else self._cursor
        put = batch[0], batch[1], cursor, b""
        message = self._encoder.delta(self._cursor_told, [put], [batch[2]], size_max)
        if not message:
            self.skipped_count += 1
            return b""
        self.sent_count += self._notary.count
        self._cursor_told = cursor
        return message

    def _share(self, puts: "list[Put]", bodies: "list[Document]") -> None:
        """Let what others have written to these documents follow the batch: it lacks their word."""
        own = self._store.author
        found: list[Put] = []
        theirs: list[Document] = []
        for i in range(len(puts)):
            if any([c.author != own and self._lacks(path, c) for path, c in bodies[i].items()]):
                self._vouch(puts[i][2] - 1, bodies[i], found, theirs)
                found.append(puts[i])
                theirs.append(bodies[i])
        self._strangers = []
        self._shared = found, theirs

    def _is_busy(self) -> bool:
        return self._notary is not None and self._notary.is_busy

    def _gather(self, size_max: int) -> "tuple[list[Put], list[Document]]":
        """Move the cursor over what one message may hold; return the puts and cells to send.

        Of what our neighbour takes as it is, or what has to be signed first (`_is_signing`).
        """
        puts: list[Put] = []
        bodies: list[Document] = []
        room = ROOM_FACTOR * size_max
        count_max = min(RECORD_COUNT_MAX, size_max // RECORD_SHARE)
        while self._cursor < self._store.arrival and len(puts) < count_max and room > 0:
            batch = self._store.log.since(self._cursor, min(SCAN_COUNT, count_max))
            if not batch:
                self._cursor = self._store.arrival
            for put in batch:
                needed, moves = self._needed(put), False
                if not needed and put[0] in self._filters:
                    needed = self._moved_out(put)
                    moves = bool(needed)
                if self._strangers:
                    room = 0
                    continue  # who else is in this batch?
                size = len(put[3]) + len(put[1]) + ID_OVERHEAD
                if needed and size + RECORD_OVERHEAD_MAX > size_max:
                    self.skipped_count += 1
                    needed = {}
                if needed and puts and moves != self._moves:
                    room = 0
                    break
                if needed:
                    self._moves = moves
                if needed and self._gate is not None:
                    signs = not moves and self._must_sign(put[0], needed)
                    if not puts:
                        self._is_signing = signs
                        if signs:
                            count_max, room = self._notary.count_max, self._notary.bytes_max
                    elif signs != self._is_signing:
                        room = 0
                        break
                if needed and (size > room and puts or len(puts) == count_max):
                    room = 0
                    break
                if needed and self._gate is not None and not self._is_signing:
                    self._vouch(put[2] - 1, needed, puts, bodies)
                self._cursor = put[2]
                if needed:
                    room -= size
                    puts.append(put)
                    bodies.append(needed)
                    self._their_authors.update([cell.author for cell in needed.values()])
        return puts, bodies

    def _vouch(
        self, arrival: int, needed: "Document", puts: "list[Put]", bodies: "list[Document]"
    ) -> None:
        """Let the certificates of a document's authors go ahead of it."""
        for author in sorted(set([cell.author for cell in needed.values()])):
            if author in self._vouched:
                continue
            if len(self._vouched) >= self._known_max:
                self._vouched = {}
            record = self._gate.voucher(author)
            if record is not None and self._gate.wants(record[0]) and self._has(record[2]):
                record = None
            self._vouched[author] = "" if record is None else record[1]
            if record is not None:
                puts.append((record[0], record[1], arrival, b""))
                bodies.append(record[2])

    def _has(self, document: "Document") -> bool:
        """Say whether the neighbour, who is sent all such documents, surely has this one."""
        known = self._their_knowledge
        for cell in document.values():
            seq = known.get(cell.author, 0)
            if cell.author == self._store.author:
                seq = max(seq, self._base)
            if cell.author != self._neighbour and cell.seq > seq:
                return False
        return True

    def _must_sign(self, collection: str, needed: "Document") -> bool:
        """Say whether this has writes of ours that the neighbour takes only if we sign them."""
        if self._notary is None or collection in PROOFS:
            return False
        own = self._store.author
        return any([c.author == own and self._lacks(path, c) for path, c in needed.items()])

    def _needed(self, put: "Put") -> "Document":
        """Return the cells of a document that the neighbour wants and may lack.

        Only a Big Peer is sent parts of a document, since it alone surely holds the rest.
        Authors whose K decides, and is not known yet, are added to the strangers.
        """
        document = documents.decode(put[3])
        told = document if self._gate is None else self._gate.told(put[0], document)
        if not self._is_wanted(put[0], put[1], document, told):
            return {}
        for side in self.reconciled:
            if side.held is not None and side.held.has(put, document):
                self.note_authors([cell.author for cell in document.values()])
                return {}
        is_big = self.their_flags & WANTS_ALL
        cells = told if is_big else document
        lacks = {path: cell for path, cell in cells.items() if self._lacks(path, cell)}
        if lacks and self._their_recent:
            lacks = self._without_recent(lacks, document)
        if is_big or not lacks and not self._was_moved_in(put, document):
            return lacks
        return self._sealed(put, document)

    def _without_recent(self, lacks: "Document", document: "Document") -> "Document":
        """Return what is left without writes of which it has as much as there is here."""
        paths: dict[tuple[bytes, int], list[str]] = {}
        for path, cell in document.items():
            if (cell.author, cell.seq) in self._their_recent:
                paths.setdefault((cell.author, cell.seq), []).append(path)
        has = [dot for dot in paths if check_of(paths[dot]) == self._their_recent[dot]]
        return {path: cell for path, cell in lacks.items() if (cell.author, cell.seq) not in has}

    def _was_moved_in(self, put: "Put", document: "Document") -> bool:
        """Return whether the neighbour's last write made this what it wants: it may lack the rest.

        Not of a relay, nor of the first values of what it gave an automatic id.
        """
        paths = self._filters.get(put[0], ())
        if not paths or self.their_flags & RELAYS:
            return False
        its = {p: cell for p, cell in document.items() if cell.author == self._neighbour}
        if not its or len(its) == len(document):
            return False
        last = max([cell.seq for cell in its.values()])
        return any(
            [
                cell.seq == last
                and put[1] != automatic_id(cell.stamp, cell.author)
                and any([_overlap(path, one) for one in paths])
                for path, cell in its.items()
            ]
        )

    def _moved_out(self, put: "Put") -> "Document":
        """Return what may have taken a document out of what the neighbour wants.

        The first value of a field takes nothing out, and of a document with an automatic
        id it is known which one that was. Of others nobody knows: their author may have
        lacked what there was before. A relay gets all of it, as it passes on what it has.
        """
        document = documents.decode(put[3])
        if put[2] <= self._moves_after or self._matches is None:
            return {}
        if self._matches(put[0], put[1], document):
            return {}  # it has that
        if self._gate is not None and not self._gate.may_read(put[0], put[1], document):
            return {}
        moved = {
            path: cell
            for path, cell in document.items()
            if any([_overlap(path, one) for one in self._filters[put[0]]])
            and put[1] != automatic_id(cell.stamp, cell.author)
            and self._lacks(path, cell)
        }
        if moved and self.their_flags & RELAYS:
            return self._sealed(put, document)
        if moved and SEAL in document:
            moved[SEAL] = document[SEAL]
        return moved

    def _sealed(self, put: "Put", document: "Document") -> "Document":
        return document if self._gate is None else self._gate.sealed(put[0], put[1], document)

    def _lacks(self, path: str, cell: "documents.Cell") -> bool:
        author = cell.author
        if author == self._neighbour:
            return bool(self.their_flags & LACKS_OWN)
        if path in self._heard.get((author, cell.seq), ()):
            return False
        known = self._their_knowledge.get(author, -1)
        if known < 0:
            if author not in self._strangers and len(self._strangers) < VECTOR_PART_MAX:
                self._strangers.append(author)
            return True
        if author == self._store.author:
            known = max(known, self._base)
        return bool(cell.seq > known)

    def _is_wanted(self, collection: str, id: str, document: "Document", told: "Document") -> bool:
        """told: the cells of it for which the neighbour has to take our word, and does."""
        if self._gate is not None:
            if self._gate.wants(collection):
                return True
            if not self._gate.may_read(collection, id, document):
                return False
        if self.their_flags & WANTS_ALL:
            return True
        if self.their_flags & WANTS_UNDURABLE and not self._store.is_durable(told):
            return True
        return self._matches is not None and self._matches(collection, id, document)

    def _next_done(self, size_max: int) -> bytes:
        store = self._store
        count_max = min(VECTOR_PART_MAX, max(1, size_max // DONE_ENTRY_BYTES_MAX - 2))
        if self.skipped_count:
            return b""  # it would claim, and pass on, that nothing is missing
        news = ([] if self.their_flags & WANTS_ALL else self._own_news()) + (
            self._knowledge_news(count_max) if self.teaches else []
        )
        if self._done_told == store.arrival and not news:
            return b""
        self._done_told = store.arrival
        self._own_told = store.own_seq
        for author, seq, _ in news:
            self._told[author] = seq
            if store.keeps_all and author not in self._their_authors:  # it is durable, too
                self._durable_told[author] = seq
        previous, self._cursor_told = self._cursor_told, store.arrival
        self._expected = (store.arrival, store.arrival, store.epoch, store.own_seq)
        return self._encoder.done(Done(previous, store.arrival, store.own_seq, news))

    def _next_partly(self) -> bytes:
        """Tell what we should know of others but for what they had evicted, of those who know less.

        It is true of what the last DONE was about.
        """
        store = self._store
        is_due = self._done_told == self._cursor_told == store.arrival and self.teaches
        if not is_due or not self.their_flags & (WANTS_ALL | WANTS_UNDURABLE):
            return b""
        news = [
            (author, seq, max(evicted, store.evicted.get(author, 0)))
            for author, (seq, evicted) in sorted(store.partly.items())
            if self._told_partly.get(author, 0) < seq and author != self._neighbour
        ][:PARTLY_COUNT_MAX]
        for author, seq, _ in news:
            self._told_partly[author] = seq
        return self._encoder.partly(Partly(news)) if news else b""

    def _own_news(self) -> "list[tuple[bytes, int, int]]":
        """Tell that some of our own writes, which it may lack, are not here any more."""
        store = self._store
        evicted = store.own_evicted()
        if evicted <= self._own_told:
            return []
        return [(store.author, store.own_seq, evicted)]

    def _knowledge_news(self, count_max: int) -> "list[tuple[bytes, int, int]]":
        """Return (author, K, E) of at most so many authors."""
        store = self._store
        if self._told_count == store.learned_count:
            return []
        news = [
            (author, seq, store.evicted.get(author, 0))
            for author, seq in sorted(store.knowledge.items())
            if self._told.get(author, 0) < seq
            and (author != self._neighbour or self.their_flags & LACKS_OWN)
        ]
        if len(news) <= count_max:
            self._told_count = store.learned_count
        return news[:count_max]


def _overlap(path: str, other: str) -> bool:
    """Return whether one of two paths is the other or leads to it."""
    one, two = path + SEPARATOR, other + SEPARATOR
    return one.startswith(two) or two.startswith(one)
