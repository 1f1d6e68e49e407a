"""
How much one may ask, and how often one may be wrong.

A bucket holds `burst` tokens and gets `rate` new ones a second. It is kept as one
number, the time at which it will be full again (GCRA, ITU-T I.371), so a bucket that
is full needs no memory, and one that rests forgets itself.

The table is bounded. When it is full the bucket that was used least recently goes: with
addresses enough to push others out, one has as many full buckets anyway. Of an IPv6
address the first 64 bits count, which is what one customer gets.
"""

from collections import OrderedDict
from collections.abc import Callable

from edge_peer.bigpeer.refusal import Refusal
from edge_peer.host.doorstep import address_of as address_of

BUCKET_COUNT_MAX = 10_000
# Wrong keys, passwords and set-up addresses, of one address.
WRONG_BURST, WRONG_RATE = 10, 0.1
# Requests of one key: far above what a program needs, below what would starve the others.
ASKED_BURST, ASKED_RATE = 2_000, 1_000.0
# Full handshakes with one address: a site whose devices have all lost their tickets has them back
# in a minute, and who has stolen a network key takes a twentieth of a core.
MET_BURST, MET_RATE = 500, 50.0


class Buckets:
    def __init__(
        self,
        burst: float,
        rate_per_s: float,
        now_ms: Callable[[], float],
        count_max: int = BUCKET_COUNT_MAX,
    ) -> None:
        self._ms_each = 1000 / rate_per_s
        self._span_ms = burst * self._ms_each
        self._now_ms = now_ms
        self._count_max = count_max
        self._full_at_ms: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at_ms)

    def take(self, name: str) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        wait_s = self.wait_s(name)
        if not wait_s:
            now_ms = self._now_ms()
            self._full_at_ms[name] = max(now_ms, self._full_at_ms.get(name, 0)) + self._ms_each
            self._full_at_ms.move_to_end(name)
            if len(self._full_at_ms) > self._count_max:
                self._full_at_ms.popitem(last=False)
        return wait_s

    def wait_s(self, name: str) -> float:
        """Return the seconds until there is a token; 0 if there is one."""
        now_ms, full_at_ms = self._now_ms(), self._full_at_ms.get(name)
        if full_at_ms is None:
            return 0
        if full_at_ms <= now_ms:
            del self._full_at_ms[name]
            return 0
        return max(0, full_at_ms + self._ms_each - self._span_ms - now_ms) / 1000


class Limits:
    """The Big Peer's own."""

    def __init__(self, now_ms: Callable[[], float]) -> None:
        self.wrong = Buckets(WRONG_BURST, WRONG_RATE, now_ms)
        self.asked = Buckets(ASKED_BURST, ASKED_RATE, now_ms)

    def ask(self, key_id: str) -> None:
        """Count a request of a key. Raises Refusal (429) for one too many."""
        if wait_s := self.asked.take(key_id):
            raise too_many("this key asks too often", wait_s)

    def check_wrong(self, address: str) -> None:
        """Raise Refusal (429) for an address that was wrong too often, before it tries again."""
        if wait_s := self.wrong.wait_s(address):
            raise too_many("too many wrong keys or passwords from this address", wait_s)

    def was_wrong(self, address: str) -> None:
        """Count a wrong key or password. Raises Refusal (429) for one too many."""
        self.check_wrong(address)
        self.wrong.take(address)


def too_many(text: str, wait_s: float) -> Refusal:
    seconds = int(-(-wait_s // 1))
    return Refusal(429, "rate", f"{text}; try again in {seconds} s", retry_after_s=seconds)
