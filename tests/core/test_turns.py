"""Who is visited next: fair to all, patient with the flaky."""

from helpers import Random

from edge_peer.transport.pump import about
from edge_peer.transport.turns import (
    BACKOFF_MS_MAX,
    GONE_MS,
    NEIGHBOUR_COUNT_MAX,
    REVISIT_MS_MAX,
    REVISIT_MS_MIN,
    Turns,
)


def turns(patience_ms=0):
    return Turns(Random(1).bytes, patience_ms)


def test_who_has_news_is_visited_at_once_and_then_left_alone():
    one = turns()
    one.hear("a", 7, 0)
    assert one.begin(0, 0) == "a"
    assert one.begin(0, 0) is None
    one.end("a", True, True, 100)
    assert one.begin(0, 200) is None and one.deadline_ms(0) is None
    one.hear("a", 8, 300)
    assert one.begin(0, 300) == "a"


def test_what_is_new_on_our_side_brings_a_visit_too_but_not_at_once():
    one = turns()
    one.hear("a", 7, 0)
    one.begin(1, 0)
    one.end("a", True, True, 100)
    assert one.begin(2, 200) is None
    assert one.deadline_ms(2) == 100 + REVISIT_MS_MIN
    assert one.begin(2, 100 + REVISIT_MS_MIN) == "a"


def test_visits_that_bring_nothing_become_rare():
    one, now_ms, waits = turns(), 0, []
    for ours in range(12):
        one.hear("a", 7, now_ms)
        due_ms = one.deadline_ms(ours)
        waits.append(due_ms - now_ms)
        now_ms = due_ms
        one.hear("a", 7, now_ms)
        assert one.begin(ours, now_ms) == "a"
        one.end("a", True, False, now_ms)
    assert waits[1] == 2 * REVISIT_MS_MIN and waits[-1] == REVISIT_MS_MAX


def test_the_one_that_waited_longest_comes_first():
    one, order = turns(), []
    for now_ms in range(0, 30_000, 1_000):
        for name in "abc":
            one.hear(name, now_ms, now_ms)  # all have news, all the time
        name = one.begin(0, now_ms)
        order.append(name)
        one.end(name, True, True, now_ms + 500)
    assert [order.count(name) for name in "abc"] == [10, 10, 10]
    assert set(order[:3]) == set("abc")


def test_a_flaky_one_waits_longer_each_time_and_nobody_waits_for_it():
    one, now_ms, tries, others = turns(), 0, [], 0
    while now_ms < 300_000:
        one.hear("flaky", now_ms, now_ms)
        one.hear("good", now_ms, now_ms)
        name = one.begin(0, now_ms)
        if name == "flaky":
            tries.append(now_ms)
        elif name == "good":
            others += 1
        if name is not None:
            one.end(name, name == "good", True, now_ms)
        now_ms += 100
    waits = [after - before for before, after in zip(tries, tries[1:])]
    assert len(tries) < 15 and BACKOFF_MS_MAX // 2 <= waits[-1] <= BACKOFF_MS_MAX + 100
    assert others > 2_000


def test_who_is_not_heard_any_more_is_not_called():
    one = turns()
    one.hear("a", 7, 0)
    assert one.begin(0, GONE_MS) is None
    one.hear("a", 7, GONE_MS)
    assert one.begin(0, GONE_MS) == "a"


def test_two_that_hear_each_other_do_not_call_at_once_each_time():
    first = [Turns(Random(seed).bytes, 1_000) for seed in (1, 2)]
    for one in first:
        one.hear("other", 7, 0)
    assert first[0].deadline_ms(0) != first[1].deadline_ms(0)


def test_a_crowd_is_bounded_and_the_longest_silent_make_room():
    one = turns()
    for number in range(3 * NEIGHBOUR_COUNT_MAX):
        one.hear(number, 1, number)
    found = set()
    while True:
        name = one.begin(0, 200)
        if name is None:
            break
        found.add(name)
    assert found == set(range(2 * NEIGHBOUR_COUNT_MAX, 3 * NEIGHBOUR_COUNT_MAX))


def test_who_was_lost_together_does_not_come_back_together():
    waits = [about(1_000, Random(seed).bytes) for seed in range(50)]
    assert min(waits) > 500 and max(waits) <= 1_000
    assert len(set(waits)) > 25


def test_a_neighbour_whose_radio_has_a_new_name_is_not_waited_for_under_the_old_one():
    one = turns()
    for name, now_ms in (("old", 0), ("new", 1_000)):
        one.hear(name, 1, now_ms)
        assert one.begin(0, now_ms) == name
        one.end(name, True, True, now_ms + 100, b"author")
    assert one.begin(1, 20_000) == "new"
    assert one.begin(1, 20_000) is None
