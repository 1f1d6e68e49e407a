"""
What two peers say to each other about documents, byte by byte.

A link message is one or more of these, one behind the other (SPEC.md, "Sync"):

    KNOW     1 | vector                                 K, as far as it was asked for
    HELLO    2 | flags | epoch | resume | resume - base, zigzag | sender's epoch | known |
               [digest u32] | [durable] | count |
               (statement text | arguments length | arguments | hops)*
    DURABLE  3 | vector                                 D
    DELTA    4 | previous cursor | cursor - previous | count | groups (core/sync/delta_writer.py)
    DONE     5 | previous cursor | cursor - previous | cursor - own seq |
               count | (author | seq | evicted)*
    DEFLATED 7 | the rest of the link message, deflated, from a host to a host that takes it
    ASK      6 | count | author*                        of whom the sender must know K
    8 to 11    attachments (core/sync/exchange.py)
    12 to 14 | length | bytes    between peers that know each other (security/gate.py)
    SAME    15 | CRC-32 u32                             of the HELLO that this stands for
    AGAIN   16                                          say it: SAME stands for none known here
    PRESENCE 17 | entries                               core/sync/presence.py
    MOVED   18 | as in DELTA     fields that took documents out of what the receiver wants
    PARTLY  21 | as the entries of DONE    K, but for what others had evicted before, up to there
    19, 20     whole documents again (core/sync/repair.py)
    RECENT  27 | count | (author | seq | check u16)*        writes above K that are here, too
    24 to 26   who lacks what, without a cursor (core/sync/reconcile.py)

    vector   count | (author | seq)*
    author   slot << 1, or slot << 1 | 1 | 8 bytes that the slot means from here on

All numbers are varints unless said otherwise. Authors are interned in slots that the
sender assigns; slot 0 is the sender itself. Both sides forget them with the link.
"""

from binascii import crc32
from collections import namedtuple

from edge_peer.core.document import AUTHOR_SIZE
from edge_peer.core.errors import FormatError
from edge_peer.core.ids import COLLECTION_BYTES_MAX
from edge_peer.core.packing import Reader, put_text, put_varint, put_zigzag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.store.knowledge import Vector
    from edge_peer.core.store.log import Put
    from edge_peer.core.sync.delta_reader import DeltaReader
    from edge_peer.core.sync.delta_writer import DeltaWriter

KNOW = 1
HELLO = 2
DURABLE = 3
DELTA = 4
DONE = 5
ASK = 6
WANT = 8
PIECES = 9
OFFER = 10
HAVE = 11
REVOKED = 12
REFUSED = 13
RENEWED = 14
SAME = 15
AGAIN = 16
PRESENCE = 17
MOVED = 18
FETCH = 19
FETCHED = 20
PARTLY = 21
MORE = 24
SYMBOLS = 25
FOUND = 26
RECENT = 27
DEFLATED = 7  # whole messages, raw deflate: between hosts (host/deflate.py)

# HELLO flags: what the receiver wants beside its subscriptions.
WANTS_ALL = 1  # every document: a Big Peer
WANTS_UNDURABLE = 2  # every document that the Big Peer may not have: a relay
RELAYS = 4  # and it is one: its log holds more than its own documents
# and what else it says of itself
ALL_DURABLE = 8  # it knows that all its own writes are durable
DIGEST = 16  # a digest of its K follows
INFLATES = 32  # it takes DEFLATED
ATTACHES = 64  # it takes messages about attachments
COVERS = 128  # it relays, and its log holds all that the other side has asked for
GAP = 256  # it lacks what the other side has evicted, and can get again
LACKS_OWN = 512  # it has evicted writes of its own that it needs for others
HEARS = 1_024  # it takes PRESENCE
HOLDS_NOTHING = 2_048  # so nothing of it can move out
RECONCILES = 1 << 16  # and up, one for each subscription: it has no cursor, but documents of that
_FLAGS = 4_095 | 0xFF * RECONCILES

AUTHOR_SLOTS = 32
DIGEST_SIZE = 4
CHECK_SIZE = 4
SHAPE_SLOTS = 16
VECTOR_PART_MAX = 64  # entries in one message; a longer vector takes several
RECENT_PART_MAX = 48  # writes in one message; more are sent again
CHECK_OF_SIZE = 2
VECTOR_TOLD_MAX = 40  # and so many are said: 17 bytes each at most, beside other messages
DONE_ENTRY_BYTES_MAX = 24  # slot, author, seq and E
RECORD_COUNT_MAX = 1_024
TOLD_BYTES_MAX = 1_010  # a revocation list, with its version; serial lines take 1,024 in all
ROOM_FACTOR = 2  # documents in a DELTA: so many times the largest message of the link
SUBSCRIPTION_COUNT_MAX = 8
STATEMENT_BYTES_MAX = 512
ARGUMENTS_BYTES_MAX = 512
HOPS_MAX = 6  # links that a subscription goes: bounds how long one in a loop lives on
RECORD_OVERHEAD_MAX = 64 + COLLECTION_BYTES_MAX  # beside the document's own encoding and the id

Know = namedtuple("Know", ("vector",))
Recent = namedtuple("Recent", ("writes",))  # writes: [(author, seq, check of its paths)]
# known: the receiver's K of the sender; digest: of all of K (Store.digest), 0 without DIGEST;
# durable: its D of its own writes, 0 with ALL_DURABLE; subscriptions: ((statement, packed
# arguments, relays that it has come through), …)
Hello = namedtuple(
    "Hello",
    (
        "flags",
        "epoch",
        "resume",
        "base",
        "sender_epoch",
        "known",
        "digest",
        "durable",
        "subscriptions",
    ),
)
Ask = namedtuple("Ask", ("authors",))
Durable = namedtuple("Durable", ("vector",))
Delta = namedtuple(
    "Delta", ("previous", "cursor", "records")
)  # records: [(collection, id, document)]
Moved = namedtuple("Moved", ("previous", "cursor", "records"))  # as Delta
Done = namedtuple(
    "Done", ("previous", "cursor", "own_seq", "entries")
)  # entries: [(author, seq, evicted)]

# number: the size of the blob, or that of the first piece; runs: [(first piece, count)]
Attached = namedtuple("Attached", ("kind", "id", "number", "runs", "data"))

# number: how many symbols are asked for, or documents in the set; items: symbols, or prefixes of
# keys, None where nothing was found out
Compared = namedtuple("Compared", ("kind", "number", "items"))

Same = namedtuple("Same", ("check",))  # of a HELLO, as `check` computes it
Again = namedtuple("Again", ())
Present = namedtuple("Present", ("entries",))  # of core/sync/presence.py

Partly = namedtuple("Partly", ("entries",))  # [(author, seq, evicted)]
Fetch = namedtuple("Fetch", ("asked",))  # [((collection, id), check)]
Fetched = namedtuple("Fetched", ("count",))

Told = namedtuple("Told", ("kind", "data"))  # what core/ leaves to security/gate.py

if TYPE_CHECKING:
    Message = (
        Know
        | Recent
        | Hello
        | Same
        | Again
        | Durable
        | Delta
        | Moved
        | Done
        | Ask
        | Attached
        | Compared
        | Fetch
        | Fetched
        | Partly
        | Present
        | Told
    )


class Interner:
    """The sender's side of a table of slots: the oldest gives way to the newest."""

    def __init__(self, size: int, pinned: "tuple[object, ...]" = ()) -> None:
        """`pinned` keys have the first slots, for ever."""
        self._size = size
        self._keys = list(pinned)
        self._slots = {key: slot for slot, key in enumerate(pinned)}
        self._pinned_count = self._next = len(pinned)

    def refer(self, out: bytearray, key: object) -> "tuple[int, bool]":
        """Write the reference; return (slot, whether the definition must follow)."""
        slot = self._slots.get(key)
        if slot is not None:
            put_varint(out, slot << 1)
            return slot, False
        slot = self._next
        self._next = slot + 1 if slot + 1 < self._size else self._pinned_count
        if slot < len(self._keys):
            del self._slots[self._keys[slot]]
            self._keys[slot] = key
        else:
            self._keys.append(key)
        self._slots[key] = slot
        put_varint(out, slot << 1 | 1)
        return slot, True

    def snapshot(self) -> "tuple[Any, ...]":
        return dict(self._slots), list(self._keys), self._next

    def restore(self, snapshot: "tuple[Any, ...]") -> None:
        self._slots, self._keys, self._next = snapshot


class Encoder:
    """One direction of one link. Every method returns the bytes of one message."""

    def __init__(self, own_author: bytes) -> None:
        self._authors = Interner(AUTHOR_SLOTS, (own_author,))
        self.seqs = {0: 0}  # slot -> the last seq said of its author
        self._delta_writer: DeltaWriter | None = None

    def vector(self, kind: int, vector: "Vector") -> bytes:
        """KNOW or DURABLE, of at most VECTOR_PART_MAX entries."""
        out = bytearray([kind])
        put_varint(out, len(vector))
        for author in sorted(vector):
            self.put_author(out, author)
            put_varint(out, vector[author])
        return bytes(out)

    def recent(self, writes: "list[tuple[bytes, int, int]]") -> bytes:
        """Of at most RECENT_PART_MAX writes; b"" of none."""
        if not writes:
            return b""
        out = bytearray([RECENT])
        put_varint(out, len(writes))
        for author, seq, check in writes:
            self.put_author(out, author)
            put_varint(out, seq)
            out += check.to_bytes(CHECK_OF_SIZE, "big")
        return bytes(out)

    def hello(self, hello: Hello) -> bytes:
        out = bytearray([HELLO])
        put_varint(out, hello.flags)
        put_varint(out, hello.epoch)
        put_varint(out, hello.resume)
        put_zigzag(out, hello.resume - hello.base)
        put_varint(out, hello.sender_epoch)
        put_varint(out, hello.known)
        if hello.flags & DIGEST:
            out += hello.digest.to_bytes(DIGEST_SIZE, "big")
        if not hello.flags & ALL_DURABLE:
            put_varint(out, hello.durable)
        put_varint(out, len(hello.subscriptions))
        for statement, arguments, hops in hello.subscriptions:
            put_text(out, statement)
            put_varint(out, len(arguments))
            out += arguments
            put_varint(out, hops)
        return bytes(out)

    def same(self, check: int) -> bytes:
        return bytes([SAME]) + check.to_bytes(CHECK_SIZE, "big")

    def check(self, hello: Hello) -> int:
        return crc32(self.hello(hello)) & 0xFFFFFFFF

    def ask(self, authors: "list[bytes]") -> bytes:
        """Of at most VECTOR_PART_MAX authors."""
        out = bytearray([ASK])
        put_varint(out, len(authors))
        for author in authors:
            self.put_author(out, author)
        return bytes(out)

    def delta(
        self,
        previous: int,
        puts: "list[Put]",
        bodies: "list[Document]",
        size_max: int,
        kind: int = DELTA,
    ) -> bytes:
        """`bodies`: the cells of each put that the receiver needs; kind: DELTA or MOVED.

        Returns b"", with nothing said, if that takes more than size_max bytes.
        """
        if self._delta_writer is None:
            from edge_peer.core.sync.delta_writer import DeltaWriter

            self._delta_writer = DeltaWriter(self)
        before = self._authors.snapshot(), dict(self.seqs), self._delta_writer.snapshot()
        message = self._delta_writer.write(previous, puts, bodies, kind)
        if len(message) <= size_max:
            return message
        self._authors.restore(before[0])
        self.seqs = before[1]
        self._delta_writer.restore(before[2])
        return b""

    def done(self, done: Done) -> bytes:
        out = bytearray([DONE])
        put_varint(out, done.previous)
        put_varint(out, done.cursor - done.previous)
        put_varint(out, done.cursor - done.own_seq)
        self._put_entries(out, done.entries)
        return bytes(out)

    def partly(self, partly: Partly) -> bytes:
        out = bytearray([PARTLY])
        self._put_entries(out, partly.entries)
        return bytes(out)

    def _put_entries(self, out: bytearray, entries: "list[tuple[bytes, int, int]]") -> None:
        put_varint(out, len(entries))
        for author, seq, evicted in entries:
            self.put_author(out, author)
            put_varint(out, seq)
            put_varint(out, evicted)

    def put_author(self, out: bytearray, author: bytes) -> int:
        slot, new = self._authors.refer(out, author)
        if new:
            out += author
            self.seqs[slot] = 0
        return slot


class Decoder:
    """The other direction: reads what the neighbour's Encoder wrote, or raises FormatError.

    The two messages that carry documents are read in core/sync/delta_reader.py, which a
    peer that receives none never loads.
    """

    def __init__(self, their_author: bytes, room: int) -> None:
        """room: bytes of documents that one DELTA may hold."""
        self.authors = {0: their_author}
        self.seqs = {0: 0}
        self.room = room
        self._delta_reader: DeltaReader | None = None

    def messages(self, data: bytes) -> "Iterator[Message]":
        """Yield the messages of one link message; each as soon as it is whole."""
        reader = Reader(data)
        while not reader.at_end():
            kind = reader.byte()
            if kind == HELLO:
                yield self._take_hello(reader)
            elif kind == KNOW:
                yield Know(self._take_vector(reader))
            elif kind == RECENT:
                yield Recent(self._take_recent(reader))
            elif kind == ASK:
                count = reader.count(VECTOR_PART_MAX)
                yield Ask(tuple([self.authors[self.take_author(reader)] for _ in range(count)]))
            elif kind == DURABLE:
                yield Durable(self._take_vector(reader))
            elif kind == DELTA or kind == DONE or kind == MOVED:
                if self._delta_reader is None:
                    from edge_peer.core.sync.delta_reader import DeltaReader

                    self._delta_reader = DeltaReader(self)
                yield self._delta_reader.take(kind, reader)
            elif WANT <= kind <= HAVE:
                from edge_peer.core.sync.exchange import take_message

                yield take_message(kind, reader)
            elif MORE <= kind <= FOUND:
                from edge_peer.core.sync.reconcile import take_message as take_compared

                yield take_compared(kind, reader)
            elif REVOKED <= kind <= RENEWED:
                yield Told(kind, reader.take(reader.count(TOLD_BYTES_MAX)))
            elif kind == SAME:
                yield Same(int.from_bytes(reader.take(CHECK_SIZE), "big"))
            elif kind == AGAIN:
                yield Again()
            elif kind == PRESENCE:
                from edge_peer.core.sync.presence import take_entries

                yield Present(take_entries(reader))
            elif kind == PARTLY:
                yield Partly(self.take_entries(reader))
            elif kind == FETCH or kind == FETCHED:
                from edge_peer.core.sync.repair import take_message as take_repair

                yield take_repair(kind, reader)
            else:
                raise FormatError("message kind %d is not known here" % kind)

    def take_author(self, reader: Reader) -> int:
        slot, new = take_reference(reader, AUTHOR_SLOTS)
        if new:
            self.authors[slot] = reader.take(AUTHOR_SIZE)
            self.seqs[slot] = 0
        elif slot not in self.authors:
            raise FormatError("author slot %d was never defined" % slot)
        return slot

    def take_entries(self, reader: Reader) -> "list[tuple[bytes, int, int]]":
        entries = []
        for _ in range(reader.count(VECTOR_PART_MAX)):
            slot = self.take_author(reader)
            entries.append((self.authors[slot], reader.varint(), reader.varint()))
        return entries

    def _take_vector(self, reader: Reader) -> "Vector":
        vector = {}
        for _ in range(reader.count(VECTOR_PART_MAX)):
            slot = self.take_author(reader)
            vector[self.authors[slot]] = reader.varint()
        return vector

    def _take_recent(self, reader: Reader) -> "list[tuple[bytes, int, int]]":
        writes = []
        for _ in range(reader.count(RECENT_PART_MAX)):
            author, seq = self.authors[self.take_author(reader)], reader.varint()
            writes.append((author, seq, int.from_bytes(reader.take(CHECK_OF_SIZE), "big")))
        return writes

    def _take_hello(self, reader: Reader) -> Hello:
        flags = reader.count(_FLAGS)
        if flags & ~_FLAGS:
            raise FormatError("flags that nobody knows")
        epoch, resume = reader.varint(), reader.varint()
        base = resume - reader.zigzag()
        sender_epoch, known = reader.varint(), reader.varint()
        digest = int.from_bytes(reader.take(DIGEST_SIZE), "big") if flags & DIGEST else 0
        durable = 0 if flags & ALL_DURABLE else reader.varint()
        if base < 0:
            raise FormatError("base below zero")
        subscriptions = []
        for _ in range(reader.count(SUBSCRIPTION_COUNT_MAX)):
            statement = reader.text(STATEMENT_BYTES_MAX)
            arguments = reader.take(reader.count(ARGUMENTS_BYTES_MAX))
            subscriptions.append((statement, arguments, reader.count(HOPS_MAX)))
        numbers = (flags, epoch, resume, base, sender_epoch, known, digest, durable)
        return Hello(*(numbers + (tuple(subscriptions),)))


def take_reference(reader: Reader, size: int) -> "tuple[int, bool]":
    reference = reader.count(2 * size - 1)
    return reference >> 1, bool(reference & 1)
