"""
Who is visited next, of all the neighbours that a radio hears. Sans I/O.

A radio holds few connections, so neighbours take turns: connect, say what there is to say,
make room. Of those that are due, the one whose last turn is longest ago comes first, so a busy
neighbour cannot starve the others.

 1. News: its number has changed since its last good turn. Due at once.
 2. Ours: what we have stored has changed since. Due REVISIT_MS_MIN after its last turn, twice
    as long after each turn in which nothing was said, REVISIT_MS_MAX at most.
 3. A turn that failed puts it off by BACKOFF_MS_MIN, twice as long each time, whatever it says.
 4. Not heard for GONE_MS: it is not there.
 5. Two that want to visit each other would both be deaf at once, again and again: waits are
    between half and all of what they may be, by chance, and news may wait `patience_ms`.

A neighbour's name here is whatever its radio calls it. A radio may change it (privacy): the turn
under the new one says who it is, and the old one is forgotten.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NEIGHBOUR_COUNT_MAX = 64  # known at a time; the one heard longest ago makes room
GONE_MS = 30_000
REVISIT_MS_MIN = 5_000
REVISIT_MS_MAX = 60_000
BACKOFF_MS_MIN = 1_000
BACKOFF_MS_MAX = 60_000
_NEVER = 1 << 62


class _Neighbour:
    def __init__(self) -> None:
        self.heard_ms = 0
        self.news = -1
        self.told_news = -2  # its number when its last good turn began
        self.told_ours = -1  # our number then
        self.last_ms = -1  # the end of its last turn; never had one
        self.revisit_ms = REVISIT_MS_MIN
        self.backoff_ms = BACKOFF_MS_MIN
        self.not_before_ms = 0
        self.has_turn = False
        self.who = b""  # unknown yet


class Turns:
    def __init__(self, entropy: "Callable[[int], bytes]", patience_ms: int = 0) -> None:
        self._entropy = entropy
        self._patience_ms = patience_ms
        self._all: dict[object, _Neighbour] = {}

    def hear(self, name: object, news: int, now_ms: int) -> None:
        """Call for each advertisement."""
        one = self._all.get(name)
        if one is None:
            if len(self._all) >= NEIGHBOUR_COUNT_MAX and not self._forget_one():
                return
            one = self._all[name] = _Neighbour()
        if one.news != news and self._patience_ms:
            one.not_before_ms = max(one.not_before_ms, now_ms + self._about(self._patience_ms))
        one.heard_ms, one.news = now_ms, news

    def begin(self, ours: int, now_ms: int) -> object:
        """Give the next one its turn, and return its name; None if nobody is due.

        ours: the number of what we have stored last.
        """
        best = None
        for name, one in self._all.items():
            is_due = self._due_ms(one, ours) <= now_ms < one.heard_ms + GONE_MS
            if is_due and (best is None or one.last_ms < self._all[best].last_ms):
                best = name
        if best is not None:
            one = self._all[best]
            one.has_turn = True
            one.told_news, one.told_ours = one.news, ours
        return best

    def end(
        self, name: object, was_good: bool, was_useful: bool, now_ms: int, who: bytes = b""
    ) -> None:
        """The turn is over. was_good: the link was open; was_useful: something was said on it.

        who: the author at the other end, if it was.
        """
        one = self._all[name]
        if who:
            one.who = who
            for other in [other for other in self._all if self._all[other].who == who]:
                if other != name and not self._all[other].has_turn:
                    del self._all[other]
        one.has_turn = False
        one.last_ms = one.heard_ms = now_ms
        if not was_good:
            one.told_news = one.told_ours = -2
            one.not_before_ms = now_ms + self._about(one.backoff_ms)
            one.backoff_ms = min(2 * one.backoff_ms, BACKOFF_MS_MAX)
            return
        one.backoff_ms = BACKOFF_MS_MIN
        one.revisit_ms = REVISIT_MS_MIN if was_useful else min(2 * one.revisit_ms, REVISIT_MS_MAX)
        one.not_before_ms = now_ms

    def deadline_ms(self, ours: int) -> "int | None":
        """Return when the next one will be due, None if nobody is known to become so."""
        due = [self._due_ms(one, ours) for one in self._all.values()]
        due = [time for time in due if time < _NEVER]
        return min(due) if due else None

    def _about(self, wait_ms: int) -> int:
        """Return half to all of a time, by chance."""
        chance = int.from_bytes(self._entropy(2), "big")
        return wait_ms - wait_ms * chance // 131_072

    def _due_ms(self, one: _Neighbour, ours: int) -> int:
        if one.has_turn:
            return _NEVER
        if one.news != one.told_news:
            return one.not_before_ms
        if ours != one.told_ours:
            return max(one.not_before_ms, one.last_ms + one.revisit_ms)
        return _NEVER

    def _forget_one(self) -> bool:
        oldest = None
        for name, one in self._all.items():
            if not one.has_turn and (oldest is None or one.heard_ms < self._all[oldest].heard_ms):
                oldest = name
        if oldest is None:
            return False
        del self._all[oldest]
        return True
