"""The simulator itself: what is broken on purpose is found, shrunk, and found again."""

import json
from pathlib import Path

from edge_peer.core.store.store import Store
from sim.mutations import without
from sim.oracle import Oracle
from sim.picture import draw
from sim.plans import big, board, wire
from sim.run import dump
from sim.shrink import shrink
from sim.world import World

KEY = ("things", "k")


def small_world(script, length_ms=60_000):
    nodes = [big(), board("b1"), board("b2", wants=[0, 1])]
    wires = [wire("lan", 1, 0), wire("serial", 2, 0)]
    return {"seed": 1, "nodes": nodes, "wires": wires, "script": script, "length_ms": length_ms}


def writes(count):
    return [[1_000 + 500 * i, "write", 1 + i % 2, "k%d" % (i % 4), 0, ["a"]] for i in range(count)]


def test_a_store_that_forgets_a_write_is_found_and_shrunk(monkeypatch):
    """A merge that drops every document called k3 is a loss."""
    merge = Store.merge
    monkeypatch.setattr(
        Store, "merge", lambda self, records, _: merge(self, [r for r in records if r[1] != "k3"])
    )
    plan = small_world(writes(40))
    assert World(plan).run().failures[0][0] == "lost"
    small = shrink(plan)
    assert len(small["script"]) == 1
    assert small["script"][0][3] == "k3"
    again = json.loads(dump(small))
    assert World(again).run().failures == World(small).run().failures != []
    monkeypatch.undo()
    assert not World(again).run().failures


def test_an_acknowledged_write_that_power_takes_is_found(monkeypatch):
    """A store that opens empty after a power cut has lost what it had acknowledged."""
    plan = small_world([[5_000, "cut", 0, 40_000], *writes(20), [15_000, "restart", 1, 500]])
    plan["script"].sort()
    assert not World(plan).run().failures
    from sim import nodes

    power_off = nodes.Node.power_off

    def forget(self):
        power_off(self)
        self.new_medium()

    monkeypatch.setattr(nodes.Node, "power_off", forget)
    assert World(plan).run().failures[0][0] == "lost"


def test_every_frame_that_is_sent_changes_the_trace():
    plan = small_world(writes(10))
    longer = small_world(writes(11))
    assert World(plan).run().trace == World(plan).run().trace != World(longer).run().trace


def test_the_oracle_lets_a_later_write_win_only_over_what_its_writer_saw():
    oracle = Oracle()
    oracle.wrote(1, 0, "p", KEY, ["a"], {}, True)
    oracle.wrote(2, 10, "p", KEY, ["a"], {"a": 1}, True)
    oracle.wrote(3, 20, "q", KEY, ["a"], {}, True)
    assert oracle.allowed(KEY, "a") == ([2, 3], False)
    oracle.wrote(4, 30, "q", KEY, ["a"], {"a": 2}, True)
    assert oracle.allowed(KEY, "a") == ([3, 4], False)


def test_the_oracle_does_not_count_on_what_was_never_acknowledged():
    oracle = Oracle()
    oracle.wrote(1, 0, "p", KEY, ["a"], {}, True)
    oracle.wrote(2, 10, "p", KEY, ["a"], {"a": 1}, False)
    assert oracle.allowed(KEY, "a") == ([1, 2], False)
    oracle.wiped("p")
    assert oracle.allowed(KEY, "a") == ([1, 2], True)


def test_the_oracle_believes_clocks_that_are_right():
    oracle = Oracle(clocks_right=True)
    oracle.wrote(1, 0, "p", KEY, ["a"], {}, True)
    oracle.wrote(2, 10_000, "q", KEY, ["a"], {}, True)
    assert oracle.allowed(KEY, "a") == ([2], False)


def test_the_picture_marks_who_failed_and_picks_out_the_document():
    plan = json.loads((Path(__file__).with_name("regressions") / "f11.json").read_text())
    with without("f11"):
        world, text = draw(plan)
    name, what = world.failures[0]
    assert json.dumps([world.now_ms, name, what, world.big.index]) in text
    assert '"suspect": "things/k0"' in text
    assert '"suspect": ""' in draw(plan)[1]
