"""
Telling each other which documents the other one has, where nothing says so.

Who lacks a cursor and K for a neighbour would be sent all that it wants, and has. In its
HELLO such a *reader* names the subscriptions of which it holds documents (flags from RECONCILES
on); both sides then compute symbols (core/sync/symbols.py) of what they have of these. The
neighbour asks for symbols until the difference is known:

    MORE     18 | count                               so many symbols more
    SYMBOLS  19 | documents in the set | count | symbol 8 *     without any: no more of this
    FOUND    1a | 0, nothing, or 1 + count | the first 3 bytes of keys *    what only the reader has

All that comes of it is that both pass over, in the walk through their logs that follows, what
the other one has exactly so: cursors, K and DONE are as ever. While the difference is not known
they send no documents; where it turns out too large the walk is the plain one. Nothing of it
lasts: who is cut off begins again, and a walk that is cut off goes on behind it.

Not in the sets: what the reader has written itself, what core/limits.py calls PROOFS, and what
it may not read.
"""

from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.core.limits import PROOFS
from edge_peer.core.packing import put_varint
from edge_peer.core.store.store import SAMPLE_COUNT
from edge_peer.core.sync.messages import FOUND, MORE, SYMBOLS, Compared
from edge_peer.core.sync.symbols import KEY_SIZE, SYMBOL_SIZE, Difference, Symbols, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from edge_peer.core.document import Document
    from edge_peer.core.packing import Reader
    from edge_peer.core.query.select import Matcher, Subscriptions
    from edge_peer.core.store.log import Put
    from edge_peer.core.store.store import Store

    Steps = Generator[None, None, None]
    Members = Callable[[Put, Document], bool]

ASKED_FIRST = 20  # symbols: enough for some ten differences
ASKED_MIN, ASKED_MAX = 8, 56  # and at a time; so many fit half a message of a serial line
SYMBOL_COUNT_MIN = 64
SYMBOL_COUNT_MAX = 4_096  # of a host; 32 KiB
SYMBOL_SHARE = 4  # bytes of a link's largest message for each: 256 on a board, 2 KiB
PREFIX_SIZE = 3  # who sends one document in 16 million too much does no harm
SET_SIZE_MIN = SAMPLE_COUNT  # fewer are sent
RUNS_MAX = 4  # on one link
SCAN_COUNT_MAX = 32  # documents between two breaths
SCAN_SHARE = 128  # bytes of a link's largest message for each


def take_message(kind: int, reader: "Reader") -> Compared:
    if kind == MORE:
        return Compared(MORE, reader.count(ASKED_MAX), None)
    if kind == SYMBOLS:
        size = reader.varint()
        raw = [reader.take(SYMBOL_SIZE) for _ in range(reader.count(ASKED_MAX))]
        return Compared(SYMBOLS, size, [int.from_bytes(one, "big") for one in raw])
    count = reader.count(SYMBOL_COUNT_MAX + 1)
    prefixes = [reader.take(PREFIX_SIZE) for _ in range(count - 1)]
    return Compared(FOUND, count, prefixes if count else None)


class Held:
    """Which documents of ours the other side has exactly so."""

    def __init__(
        self, members: "Members", salt: bytes, arrival: int, lacking: "Iterable[bytes]", size: int
    ) -> None:
        """Of what was a member up to `arrival` all but the `lacking` keys, of `size` bytes."""
        self._members = members
        self._salt = salt
        self._arrival = arrival
        self._lacking = set(lacking)
        self._size = size

    def has(self, put: "Put", document: "Document") -> bool:
        if put[2] > self._arrival or not self._members(put, document):
            return False
        return key_of(self._salt, put)[: self._size] not in self._lacking


class Side:
    """What the reader and its neighbour have in common."""

    def __init__(self, store: "Store", salt: bytes, message_size_max: int, reader: bytes) -> None:
        self._store = store
        self._salt = salt
        self.is_waiting = False  # the difference is not known yet; nothing is sent until then
        self.held: Held | None = None  # the outcome
        self._count_max = min(max(message_size_max // SYMBOL_SHARE, 1), SYMBOL_COUNT_MAX)
        self._scan_count = min(max(message_size_max // SCAN_SHARE, 1), SCAN_COUNT_MAX)
        self._reader = reader
        self._of: object = None
        self._arrival = 0
        self._members: Members = _nobody

    def next_message(self, size_max: int) -> bytes:
        raise NotImplementedError

    def _begin(self, named: "Subscriptions", matches: "Matcher", epoch: int) -> None:
        """An outcome stays as long as the reader's epoch, and what it names."""
        if (named, epoch) != self._of:
            self._of = named, epoch
            self.held = None
        reader = self._reader

        def members(put: "Put", document: "Document") -> bool:
            return (
                put[0] not in PROOFS
                and any([cell.author != reader for cell in document.values()])
                and matches(put[0], put[1], document)
            )

        self._members = members
        self.is_waiting = bool(named)

    def _symbol_count(self) -> int:
        """More than one for two documents cost more than they save."""
        documents = sum([self._store.log.totals(one)[0] for one in self._store.log.collections()])
        return min(self._count_max, max(SYMBOL_COUNT_MIN, documents // 2))

    def _sum_up(self, symbols: Symbols) -> "Steps":
        """Compute the symbols of all that is in the set now."""
        cursor, self._arrival = 0, self._store.arrival
        while cursor < self._arrival:
            puts = self._store.log.since(cursor, self._scan_count)
            if not puts:
                return
            for put in puts:
                try:
                    document = documents.decode(put[3])
                except FormatError:
                    continue
                if put[2] <= self._arrival and self._members(put, document):
                    symbols.add(key_of(self._salt, put))
            cursor = puts[-1][2]
            yield


class Offering(Side):
    """The reader: says what it has."""

    def __init__(self, store: "Store", salt: bytes, message_size_max: int) -> None:
        Side.__init__(self, store, salt, message_size_max, store.author)
        self._symbols: Symbols | None = None
        self._told_count = 0
        self._asked_count = 0

    def begin(self, named: "Subscriptions", matches: "Matcher", epoch: int) -> None:
        """Call when HELLO has been said, which named these, or none; matches: one of them."""
        self._begin(named, matches, epoch)
        self._symbols = None
        self._told_count = self._asked_count = 0

    def take(self, part: Compared) -> "Steps":
        if part.kind == FOUND:
            self._take_found(part)
            return
        if not self.is_waiting or self._asked_count or not part.number:
            raise RemoteProtocolError("it asks for symbols that nobody offers")
        if self._symbols is None:
            symbols = Symbols(self._salt, self._symbol_count())
            yield from self._sum_up(symbols)
            self._symbols = symbols
        self._asked_count = part.number

    def _take_found(self, part: Compared) -> None:
        if not self.is_waiting:
            raise RemoteProtocolError("it has found what nobody was looking for")
        self._end()
        if part.items is not None:
            self.held = Held(self._members, self._salt, self._arrival, part.items, PREFIX_SIZE)

    def next_message(self, size_max: int) -> bytes:
        if not self._asked_count or self._symbols is None:
            return b""
        rows = self._symbols.rows[self._told_count : self._told_count + self._asked_count]
        self._asked_count = 0
        self._told_count += len(rows)
        out = bytearray([SYMBOLS])
        put_varint(out, self._symbols.size)
        if self._symbols.size < SET_SIZE_MIN or not rows:
            out.append(0)
            self._end()
            return bytes(out)
        put_varint(out, len(rows))
        for row in rows:
            out += row.to_bytes(SYMBOL_SIZE, "big")
        return bytes(out)

    def _end(self) -> None:
        self.is_waiting = False
        self._symbols = None


class Finding(Side):
    """The neighbour: finds out what the reader lacks, and what only the reader has."""

    def __init__(self, store: "Store", salt: bytes, message_size_max: int, reader: bytes) -> None:
        Side.__init__(self, store, salt, message_size_max, reader)
        self._difference: Difference | None = None
        self._runs = 0
        self._asked_count = 0
        self._untold = b""

    def begin(self, named: "Subscriptions", matches: "Matcher", epoch: int, lag: int) -> None:
        """Call when the reader's HELLO has come; lag: of our arrivals how many it has not read."""
        self._begin(named, matches, epoch)
        self._difference = None
        self._untold = b""
        if not named:
            return
        if self.held is not None or self._runs >= RUNS_MAX or lag < SET_SIZE_MIN:
            self._end(None)
        else:
            self._runs += 1
            self._ask(ASKED_FIRST)

    def take(self, part: Compared) -> "Steps":
        if not self.is_waiting or len(part.items) > self._asked_count:
            raise RemoteProtocolError("symbols that nobody has asked for")
        if not part.items:
            self.is_waiting = False
            self._difference = None
            return
        if self._difference is None:
            difference = Difference(self._salt, self._symbol_count())
            yield from self._sum_up(difference)
            self._difference = difference
        difference = self._difference
        left_count = len(difference.rows) - difference.taken_count
        is_known = difference.take(part.items[:left_count])
        yield
        left_count = len(difference.rows) - difference.taken_count
        if is_known:
            self.held = Held(self._members, self._salt, self._arrival, difference.ours, KEY_SIZE)
            self._end(difference.theirs)
        elif abs(difference.size - part.number) < left_count:
            self._ask(min(max(difference.taken_count // 2, ASKED_MIN), ASKED_MAX, left_count))
        else:
            self._end(None)

    def next_message(self, size_max: int) -> bytes:
        if len(self._untold) > size_max:
            return b""  # it needs a message of its own
        message, self._untold = self._untold, b""
        return message

    def _ask(self, count: int) -> None:
        self._asked_count = count
        self._untold = bytes([MORE, count])

    def _end(self, theirs: "list[bytes] | None") -> None:
        self.is_waiting = False
        self._difference = None
        out = bytearray([FOUND])
        put_varint(out, 0 if theirs is None else len(theirs) + 1)
        for key in theirs or ():
            out += key[:PREFIX_SIZE]
        self._untold = bytes(out)


def _nobody(put: "Put", document: "Document") -> bool:
    return False
