"""What a relay asks for on behalf of its neighbours, and for how long."""

from helpers import raises
from memory import open_log

from edge_peer.core import codec
from edge_peer.core.errors import RemoteProtocolError
from edge_peer.core.store.store import Store
from edge_peer.core.sync.messages import HOPS_MAX, SUBSCRIPTION_COUNT_MAX
from edge_peer.downstream import (
    CHANGE_MS,
    CHANGES_MAX,
    NEIGHBOUR_COUNT_MAX,
    REFETCH_MS_FIRST,
    Downstream,
)

ONE, TWO = b"child-01", b"child-02"
A = ("SELECT * FROM settings WHERE site = :s", codec.pack({"s": "a"}))
B = ("SELECT * FROM settings", b"\x80")
C = ("SELECT * FROM `the plan` WHERE day = 1", b"\x80")
OWN = ("SELECT * FROM own", b"\x80")


def new_store():
    return Store(open_log, b"relay", lambda: 0, lambda count: bytes(count))


def test_what_neighbours_want_is_wanted_with_one_relay_more_on_its_way():
    downstream = Downstream(new_store(), codec)
    assert downstream.scope((OWN,)) == {OWN: 0}
    assert downstream.heard(ONE, (A + (0,), B + (2,)))
    assert downstream.heard(TWO, (B + (0,),))
    assert downstream.scope((OWN,)) == {OWN: 0, A: 1, B: 1}
    assert not downstream.heard(TWO, (B + (0,),))  # nothing new
    assert downstream.covers(ONE, downstream.scope(()))
    assert downstream.heard(TWO, ())
    assert downstream.scope(()) == {A: 1, B: 3}
    assert downstream.heard(ONE, (B + (2,),))
    assert downstream.scope(()) == {B: 3}


def test_who_changes_its_mind_again_and_again_is_refused_and_may_come_back():
    downstream = Downstream(new_store(), codec)
    for _ in range(CHANGES_MAX):
        downstream.pay(ONE, 5_000)
    with raises(RemoteProtocolError, "again and again"):
        downstream.pay(ONE, 5_000)
    downstream.pay(TWO, 5_000)
    downstream.pay(ONE, 5_000 + CHANGE_MS)


def test_what_nobody_wants_any_more_dies_out_between_two_relays():
    one, two = Downstream(new_store(), codec), Downstream(new_store(), codec)
    one.heard(b"a board!", (A + (0,),))
    rounds = 0
    is_cancelled = False
    while rounds < 99:
        said = tuple([wanted + (hops,) for wanted, hops in one.scope(()).items()])
        changed = two.heard(b"relay--1", said)
        said = tuple([wanted + (hops,) for wanted, hops in two.scope(()).items()])
        changed = one.heard(b"relay--2", said) or changed
        if not changed and is_cancelled:
            break
        if not is_cancelled:
            assert one.scope(()) == {A: 1} and two.scope(()) == {A: 2}
            is_cancelled = one.heard(b"a board!", ())
        rounds += 1
    assert one.scope(()) == two.scope(()) == {} and rounds <= HOPS_MAX


def test_what_came_through_the_most_relays_goes_no_further_and_is_not_covered():
    downstream = Downstream(new_store(), codec)
    downstream.heard(ONE, (A + (HOPS_MAX,),))
    assert downstream.scope(()) == {} and not downstream.covers(ONE, {})


def test_too_many_are_widened_to_their_collections():
    downstream = Downstream(new_store(), codec)
    many = tuple([("SELECT * FROM settings WHERE n = %d" % n, b"\x80", 0) for n in range(8)])
    downstream.heard(ONE, many)
    assert len(downstream.scope(())) == SUBSCRIPTION_COUNT_MAX
    downstream.heard(TWO, (C + (0,),))
    scope = downstream.scope(())
    assert scope == {("SELECT * FROM `settings`", b""): 1, ("SELECT * FROM `the plan`", b""): 1}
    assert downstream.covers(ONE, scope) and downstream.covers(TWO, scope)
    collections = tuple([("SELECT * FROM c%d" % n, b"\x80", 0) for n in range(8)])
    downstream.heard(b"child-03", collections)
    scope = downstream.scope(())
    assert len(scope) == SUBSCRIPTION_COUNT_MAX
    assert downstream.covers(b"child-03", scope) and not downstream.covers(TWO, scope)


def test_who_is_away_is_remembered_over_a_restart_and_not_for_ever():
    store = new_store()
    downstream = Downstream(store, codec)
    downstream.heard(ONE, (A + (0,),))
    downstream = Downstream(store, codec)
    assert downstream.scope(()) == {A: 1}
    for n in range(NEIGHBOUR_COUNT_MAX):
        downstream.heard(b"other-%02d" % n, (B + (0,),))
    assert downstream.scope(()) == Downstream(store, codec).scope(()) == {B: 1}


def test_who_has_been_here_all_the_time_is_not_forgotten_for_want_of_room_on_flash():
    store = new_store()
    downstream = Downstream(store, codec)
    downstream.heard(ONE, (A + (0,),))
    for n in range(8):
        wanted = "SELECT * FROM settings WHERE site = '%s'" % ("x" * 400), b"\x80", 0
        downstream.heard(b"other-%02d" % n, (wanted,))
    assert A in downstream.scope(()) or downstream.covers(ONE, downstream.scope(()))
    assert A not in Downstream(store, codec).scope(())


def test_what_is_evicted_is_fetched_again_less_and_less_often():
    downstream = Downstream(new_store(), codec)
    times = [
        now_ms
        for now_ms in range(0, 20 * REFETCH_MS_FIRST, REFETCH_MS_FIRST // 2)
        if downstream.may_refetch(now_ms)
    ]
    assert times == [REFETCH_MS_FIRST * one for one in (0, 1, 3, 7, 15)]
