"""
What a relay asks for on behalf of its neighbours. Loaded by relays.

A neighbour's subscriptions become the relay's own, so that the documents come to it,
lie in its share for relayed ones, and go on to that neighbour by the ordinary rules.
All neighbours are asked for the same: what K says is about all that a store wants, so
it may only be learned from those who were asked for all of it. A subscription says
through how many relays it has come, and none goes further than HOPS_MAX: so what is
cancelled dies out in a loop of relays, as routes do in RIP (RFC 2453, 3.4).

What a neighbour wanted last is remembered while it is away, across restarts. To forget
it and to learn of it anew would read every other neighbour from the start each time.

Too many subscriptions for one HELLO are widened, collection by collection, to all of
the collection; where even that is too much, some collections are not asked for.
"""

from collections import namedtuple

from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.query.parser import parse
from edge_peer.core.sync.messages import HOPS_MAX, SUBSCRIPTION_COUNT_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.query.execute import Codec
    from edge_peer.core.store.store import Store

    Wanted = tuple[str, bytes]  # statement, packed arguments
    Hops = dict[Wanted, int]

NEIGHBOUR_COUNT_MAX = 16  # as many links as a peer may have; of more the ones heard first go
REMEMBERED_BYTES_MAX = 2_048  # of an entry beside a board's documents, of 3 kB for them all
HELLO_BYTES_MAX = 640  # of subscriptions, in the smallest message of 1,024 bytes
# Between two readings of all neighbours for what was evicted here; twice as long each time:
# there may be nobody who has it.
REFETCH_MS_FIRST = 60_000
# A device may change what it wants so often at once, and then once in that time: each change
# may have all neighbours read again. Who does it more often is dropped, and may come back.
CHANGES_MAX = 16
CHANGE_MS = 10_000
_ENTRY_ID = "downstream"

# number: when it was heard, since ever; hops: of what the neighbour asked for
Asked = namedtuple("Asked", ("number", "hops"))


class Downstream:
    def __init__(self, store: "Store", codec: "Codec") -> None:
        self._store = store
        self._codec = codec
        self._asked: dict[bytes, Asked] = {}
        self._count = 0
        self._refetch_due_ms = 0
        self._refetch_ms = REFETCH_MS_FIRST
        self._changes: dict[bytes, int] = {}  # device -> until when its changes are paid
        remembered = store.entry(_ENTRY_ID)
        entries: Any = [] if remembered is None else codec.unpack(remembered)
        for neighbour, subscriptions in entries:
            self._hear(neighbour, subscriptions)

    def heard(self, neighbour: bytes, subscriptions: "tuple[tuple[str, bytes, int], ...]") -> bool:
        """Take what a neighbour wants now; return whether that is something else than before."""
        is_news = self.is_news(neighbour, subscriptions)
        self._hear(neighbour, subscriptions)
        if not is_news:
            return False
        # Only of the entry: who was heard first may be who has been here all the time.
        numbers = sorted([asked.number for asked in self._asked.values()])
        raw = self._remembered(numbers.pop(0))
        while len(raw) > REMEMBERED_BYTES_MAX and numbers:
            raw = self._remembered(numbers.pop(0))
        if len(raw) <= REMEMBERED_BYTES_MAX:
            self._store.keep_entry(_ENTRY_ID, raw)
        return True

    def pay(self, device: bytes, now_ms: int) -> None:
        """Call for a change of what a device wants; raise RemoteProtocolError above the limit."""
        paid_ms = max(now_ms, self._changes.get(device, 0)) + CHANGE_MS
        if paid_ms > now_ms + CHANGES_MAX * CHANGE_MS:
            raise RemoteProtocolError("subscriptions that change again and again")
        if device not in self._changes and len(self._changes) >= NEIGHBOUR_COUNT_MAX:
            del self._changes[min([(due_ms, one) for one, due_ms in self._changes.items()])[1]]
        self._changes[device] = paid_ms

    def is_news(
        self, neighbour: bytes, subscriptions: "tuple[tuple[str, bytes, int], ...]"
    ) -> bool:
        """Return whether a neighbour wants something else than before."""
        return self._hops_of(neighbour) != {(one[0], one[1]): one[2] for one in subscriptions}

    def scope(self, own: "tuple[Wanted, ...]") -> "Hops":
        """Return all that this relay wants: what its application asks for, and for others."""
        joined: Hops = {}
        for asked in self._asked.values():
            for wanted, hops in asked.hops.items():
                if hops < HOPS_MAX:
                    joined[wanted] = min(joined.get(wanted, HOPS_MAX), hops + 1)
        for wanted in own:
            joined[wanted] = 0
        return joined if _fits(joined) else _widened(joined)

    def covers(self, neighbour: bytes, scope: "Hops") -> bool:
        """Return whether this neighbour asked for something, and our scope holds all of it."""
        asked = self._hops_of(neighbour)
        return bool(asked) and all([one in scope or _whole(one) in scope for one in asked])

    def may_refetch(self, now_ms: int) -> bool:
        """Return whether it is time to read all neighbours again for what was evicted."""
        if now_ms < self._refetch_due_ms:
            return False
        self._refetch_due_ms = now_ms + self._refetch_ms
        self._refetch_ms *= 2
        return True

    def _hear(self, neighbour: bytes, subscriptions: "Any") -> None:
        self._count += 1
        hops = {(one[0], one[1]): one[2] for one in subscriptions}
        self._asked[neighbour] = Asked(self._count, hops)
        if len(self._asked) > NEIGHBOUR_COUNT_MAX:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = min([(asked.number, one) for one, asked in self._asked.items()])[1]
        del self._asked[oldest]

    def _hops_of(self, neighbour: bytes) -> "Hops":
        asked = self._asked.get(neighbour)
        return asked.hops if asked is not None else {}

    def _remembered(self, first: int) -> bytes:
        """Return an entry of those that were heard from this number on."""
        entries = sorted([(a.number, one) for one, a in self._asked.items() if a.number >= first])
        return self._codec.pack([[one, self._requests_of(one)] for _, one in entries])

    def _requests_of(self, neighbour: bytes) -> "list[list[object]]":
        hops = self._asked[neighbour].hops
        return [[wanted[0], wanted[1], hops[wanted]] for wanted in sorted(hops)]


def _fits(wanted: "Hops") -> bool:
    size = sum([len(text.encode()) + len(arguments) + 5 for text, arguments in wanted])
    return len(wanted) <= SUBSCRIPTION_COUNT_MAX and size <= HELLO_BYTES_MAX


def _widened(joined: "Hops") -> "Hops":
    """Return all of each collection, the nearest first, as far as they fit."""
    whole: Hops = {}
    for wanted, hops in joined.items():
        one = _whole(wanted)
        whole[one] = min(whole.get(one, HOPS_MAX), hops)
    left: Hops = {}
    for hops, one in sorted([(hops, one) for one, hops in whole.items()]):
        left[one] = hops
        if not _fits(left):
            del left[one]
    return left


def _whole(wanted: "Wanted") -> "Wanted":
    """Return the subscription to all of its collection; its text was parsed before."""
    collection: str = parse(wanted[0]).collection
    return "SELECT * FROM `" + collection + "`", b""
