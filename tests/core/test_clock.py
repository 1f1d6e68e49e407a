"""Stamps rise, whatever the clocks say and whoever sends them."""

from helpers import Random

from edge_peer.core.clock import (
    AHEAD_MS_MAX,
    EPOCH_S,
    STAMP_MAX,
    TICK_MS,
    HybridClock,
    stamp_of,
    unix_ms_of,
)

NOW_MS = 1_750_000_000_000  # June 2025


class Wall:
    """A wall clock that a test sets."""

    def __init__(self, now_ms=None):
        self.now_ms = now_ms

    def __call__(self):
        return self.now_ms


def test_a_stamp_says_its_time():
    assert stamp_of(EPOCH_S * 1000) == 0
    assert stamp_of(EPOCH_S * 1000 + 7 * TICK_MS) == 7 << 8
    for ms in (NOW_MS, NOW_MS + 1, EPOCH_S * 1000, 3_700_000_000_000):
        assert 0 <= ms - unix_ms_of(stamp_of(ms)) < TICK_MS
        assert unix_ms_of(stamp_of(ms) | 255) == unix_ms_of(stamp_of(ms))


def test_no_time_before_2020_has_a_stamp_of_its_own():
    for ms in (0, -1, 946_684_800_000, EPOCH_S * 1000 - 1):  # 2000-01-01: an RTC after power-up
        assert stamp_of(ms) == 0


def test_a_clock_without_time_counts():
    clock = HybridClock(Wall())
    assert [clock.next() for _ in range(3)] == [2, 3, 4]  # 1 is for initial documents
    clock.observe(1000)
    assert clock.next() == 1001


def test_a_clock_follows_the_wall():
    wall = Wall(NOW_MS)
    clock = HybridClock(wall)
    assert clock.next() == stamp_of(NOW_MS)
    assert clock.next() == stamp_of(NOW_MS) + 1
    wall.now_ms += 1000
    assert clock.next() == stamp_of(NOW_MS + 1000)


def test_a_clock_that_is_opened_again_goes_on_above_its_last_stamp():
    last = HybridClock(Wall(NOW_MS)).next()
    assert HybridClock(Wall(), last).next() == last + 1
    assert HybridClock(Wall(NOW_MS - 5000), last).next() == last + 1


def test_a_stamp_far_ahead_of_the_wall_is_not_followed():
    clock = HybridClock(Wall(NOW_MS))
    assert clock.observe(stamp_of(NOW_MS + AHEAD_MS_MAX))
    assert clock.last == stamp_of(NOW_MS + AHEAD_MS_MAX)
    assert not clock.observe(stamp_of(NOW_MS + AHEAD_MS_MAX + TICK_MS))
    assert clock.last == stamp_of(NOW_MS + AHEAD_MS_MAX)


def test_an_older_stamp_changes_nothing():
    clock = HybridClock(Wall(NOW_MS))
    clock.next()
    last = clock.last
    assert clock.observe(last - 1)
    assert clock.observe(1)
    assert clock.last == last


def test_no_stamp_from_elsewhere_takes_the_last_ones_away():
    for wall in (Wall(), Wall(0), Wall(NOW_MS), Wall(unix_ms_of(STAMP_MAX))):
        clock = HybridClock(wall)
        for stamp in (STAMP_MAX, STAMP_MAX - 1, STAMP_MAX - 1000):
            assert not clock.observe(stamp)
        for _ in range(300):
            assert clock.next() < STAMP_MAX


def test_a_wall_clock_that_cannot_be_true_is_none():
    for ms in (0, 5_000_000_000_000, unix_ms_of(STAMP_MAX), 1 << 62):  # 2128; 2089
        clock = HybridClock(Wall(ms), 41)
        assert clock.next() == 42, ms
        assert clock.observe(1000), ms
        assert clock.next() == 1001, ms


def test_stamps_never_repeat_or_fall_whatever_happens():
    for seed in range(100):
        random = Random(seed)
        wall = Wall()
        clock = HybridClock(wall)
        highest = 0
        for _ in range(200):
            event = random.below(6)
            if event == 0:
                wall.now_ms = NOW_MS + random.below(1 << 30) - (1 << 29)
            elif event == 1:
                wall.now_ms = random.choice((None, 0, 1 << 50))
            elif event == 2:
                clock.observe(random.below(1 << 30) << random.below(19))
            elif event == 3:
                clock = HybridClock(wall, clock.last)
            else:
                stamp = clock.next()
                assert highest < stamp <= STAMP_MAX, "seed %d" % seed
                highest = stamp
