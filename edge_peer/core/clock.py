"""
Hybrid logical clock: stamps that order writes even where no clock is right.

A stamp is one integer of 48 bits (SPEC.md, "Stamps"):

    2 ms ticks since 2020-01-01 UTC, 40 bits (69 years) | counter, 8 bits

It never runs backwards and never repeats, needs no real-time clock (then it is
the highest stamp seen, plus one), and follows the wall clock where there is one.
Its first stamp is 2: INITIAL_STAMP, 1, is below every other write.

Source: Kulkarni, Demirbas et al., "Logical Physical Clocks", OPODIS 2014.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_S = 1_577_836_800  # 2020-01-01T00:00:00Z in Unix time
TICK_MS = 2
INITIAL_STAMP = 1  # of INSERT … INITIAL, so that it is the same on every device, and never wins
STAMP_MAX = 0xFEFF_FFFF_FFFF  # in 2089; what is above is refused
AHEAD_MS_MAX = 24 * 3600 * 1000  # a stamp further ahead than this never moves our clock
_AHEAD = AHEAD_MS_MAX // TICK_MS << 8
# The clock ends here, a day before the last stamp: so it has a successor for every
# stamp that it follows, whatever a peer sends or a broken real-time clock says.
_CLOCK_MAX = STAMP_MAX - _AHEAD


class HybridClock:
    """`wall_ms()` returns Unix time in milliseconds, or None while it is unknown."""

    def __init__(self, wall_ms: "Callable[[], int | None]", last: int = 0) -> None:
        self._wall_ms = wall_ms
        self.last = last

    def next(self) -> int:
        """Return a stamp for a new write, above every stamp seen so far."""
        self.last = max(self.last, INITIAL_STAMP, self._wall() - 1) + 1
        return self.last

    def observe(self, stamp: int) -> bool:
        """Learn a stamp from elsewhere; return False if it is too far ahead to follow."""
        wall = self._wall() or STAMP_MAX
        if stamp > min(wall + _AHEAD, _CLOCK_MAX):
            return False
        self.last = max(self.last, stamp)
        return True

    def _wall(self) -> int:
        """Return the stamp of now; 0 while it is unknown, or cannot be true."""
        wall_ms = self._wall_ms()
        stamp = 0 if wall_ms is None else stamp_of(wall_ms)
        return stamp if stamp <= _CLOCK_MAX else 0


def stamp_of(unix_ms: int) -> int:
    """Return the first stamp of that moment; 0 for any before 2020."""
    return max(0, unix_ms - EPOCH_S * 1000) // TICK_MS << 8


def unix_ms_of(stamp: int) -> int:
    """Return the Unix time of a stamp in milliseconds."""
    return (stamp >> 8) * TICK_MS + EPOCH_S * 1000
