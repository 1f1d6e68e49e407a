"""
The traps of sync by name, each in a world that has once fallen into it.

F1 to F25 are those of two earlier simulations; what each one is about is said by its
test. Every plan holds, and fails where the mechanism that answers it is taken out
(mutations.py). Those without a plan:

    F2         K suppresses; without it more is sent, and all is right in the end: that costs
               ("evicted, and sent again" in `make sim`), and fails nothing
    F3         two mechanisms answer it, and either alone suffices: what does not go on at the
               cursor is passed over, and nothing counts between our HELLO and its answer ("hello")
    F14, F15   there are no marks of where a field came from
    F16        arrivals lie in the log with their documents, and never go back
    F18, F19, F21, F24, F25    fragments; here a part of a document is asked about, not hidden,
                               and the Big Peer's answer is all that counts
    F8         stamps are not rewritten: who has seen one writes above it
               (tests/core/test_store.py)
    F13, F17   proxying
    F20, F22, F23   how messages are built leaves no room for them: D goes ahead of documents, a
               Big Peer knows only what is on its disk, and DONE names the last own dot
"""

import json
from pathlib import Path

import pytest

from sim.mutations import without
from sim.world import World

PLANS = Path(__file__).with_name("regressions")


def outcome(name, mutation=""):
    plan = json.loads((PLANS / f"{name}.json").read_text())
    with without(mutation):
        return [failure for failure, _ in World(plan).run().failures]


def needs(name):
    assert outcome(name) == []
    assert outcome(name, name) != []


def test_f01_what_is_not_durable_is_not_evicted_once_it_was_passed_on():
    needs("f01")


def test_f04_what_is_durable_is_known_two_hops_away():
    needs("f04")


def test_f05_a_part_of_a_document_is_completed():
    needs("f05")


def test_f06_a_session_that_was_cut_off_loses_no_update():
    needs("f06")


def test_f07_a_peer_that_lost_its_flash_uses_no_dot_again():
    needs("f07")


def test_f09_a_scope_that_widens_gets_the_older_documents():
    needs("f09")


def test_f10_a_document_that_moves_out_of_scope_does_not_stay_visible():
    needs("f10")


def test_f11_a_delete_stays_until_the_big_peer_has_it():
    needs("f11")


def test_f12_a_counter_that_was_evicted_is_not_gone_on_with_from_an_old_copy():
    needs("f12")


def test_who_moves_a_document_into_its_scope_gets_the_rest_of_it():
    needs("moved_in")


def test_who_asks_for_the_whole_of_a_document_has_said_its_part_before():
    needs("fetched_last")


def test_who_tells_of_a_part_of_a_write_is_sent_the_rest_of_it():
    needs("heard")


def test_a_spare_link_sends_nothing_that_came_over_the_other():
    needs("failover")


def test_own_writes_that_were_evicted_come_back_when_more_is_wanted():
    needs("own_evicted")


@pytest.mark.parametrize("name", ["replaced_relay", "busy_loop", "busy_relay", "hello", "presence"])
def test_what_was_mended_stays_mended(name):
    assert outcome(name) == []


def test_who_has_lost_what_it_knew_is_sent_what_it_lacks():
    needs("strangers")
