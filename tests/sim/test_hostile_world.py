"""A hostile device among honest peers (hostile.py): they hold, and say what they refuse."""

import pytest

from edge_peer.core.sync.presence import VERSION_MAX
from sim.hostile import ATTACKS
from sim.plans import big, board, make, relay, wire
from sim.world import World

# What others say when they drop it. What is not here they bear, and nothing comes of it.
REFUSED = {
    "junk": "is not known here",
    "out of order": "while waiting",
    "endless fragments": "message above",
    "subscription of 10 MB": "message above",
    "subscriptions that cost": "nested deeper",
    "forged authors": "a collection that is no neighbour's",
    "a role it does not have": "a role that its certificate does not have",
    "subscriptions that change": "subscriptions that change again",
    "no acknowledgement": "no answer taken",
    "what they said": "Same while started",
    "attachments": "count",
    "lists and refusals": "no revocation list",
    "a mesh that is not": "presence, for a peer that does not hear of it",
}
HONEST_WIRES = 3
GROWTH_MAX = 1.5  # of what the links of others carry
# A relay reads its neighbours anew for each change, until it drops who changes so often.
COSTS_OTHERS = ("subscriptions that change",)
DELAY_MS_MAX = 1_000  # more until the last write of others has arrived


def plan_with(attacks, length_ms=30_000):
    """A Big Peer, a relay, two boards; linked to the first three a hostile device, if any."""
    nodes = [big(), relay("r1"), board("b2", wants=[0, 1]), board("b3", wants=[0, 1, 2])]
    wires = [wire("mqtt", 1, 0), wire("serial", 2, 1), wire("serial", 3, 1)]
    if attacks:
        nodes.append({"name": "x", "role": "hostile", "attacks": attacks})
        wires += [wire("lan", 4, 0), wire("serial", 4, 1), wire("mqtt", 4, 2)]
    script = [
        [3_000 + 900 * n, "write", 1 + n % 3, "k%d" % (n % 5), n % 3, ["a"]] for n in range(28)
    ]
    return {"seed": 1, "nodes": nodes, "wires": wires, "script": script, "length_ms": length_ms}


def run(attacks):
    """Return the world, bytes on the wires of others, and when the last write had arrived."""
    notes = []
    world = World(plan_with(attacks), notes).run()
    arrived_ms = [note[0] for note in notes if note[1] == "document" and note[2] == 0]
    carried = sum([sum(wire.bytes) for wire in world.wires[:HONEST_WIRES]])
    return world, carried, max(arrived_ms, default=0)


@pytest.fixture(scope="module")
def peace():
    return run([])


@pytest.mark.parametrize("name", ATTACKS)
def test_others_hold_against(name, peace):
    world, carried, arrived_ms = run([name])
    assert world.failures == []
    assert (
        any([REFUSED.get(name, "") in reason for reason in world.refusals]) or name not in REFUSED
    )
    counted = sum([node.links.refused_count for node in world.honest])
    assert counted == sum(world.refusals.values())
    assert arrived_ms < peace[2] + DELAY_MS_MAX
    if name not in COSTS_OTHERS:
        assert carried < GROWTH_MAX * peace[1]


def test_a_device_does_not_make_a_relay_forget_its_own_presence():
    """It says of the relay what nobody could go on above."""
    world = World(plan_with(["a mesh that is not"])).run()
    relays = world.nodes[1].links._presence
    assert relays._entries[world.nodes[1].store.author].version < VERSION_MAX


def test_all_attacks_at_once_in_a_world_with_faults():
    world = World(make("hostile", 1, "chain", 5, 3)).run()
    assert world.failures == []
    assert len([fault for fault in world.faults if fault.startswith("attack")]) == len(ATTACKS)


def test_a_lie_that_is_believed_is_found(monkeypatch):
    """If devices were believed like relays, what they say is durable would be it."""
    from edge_peer.security.gate import Gate

    monkeypatch.setattr(Gate, "is_believed", property(lambda self: True))
    world = World(plan_with(["lies about knowledge"])).run()
    assert "not durable" in [name for name, _ in world.failures]
