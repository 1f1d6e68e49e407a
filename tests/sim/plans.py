"""
Worlds to run: shapes of networks, and scripts of what happens in them.

`make(name, seed, size)` returns a plan for world.py. A world's line in WORLDS says what
may happen in it; "today" is what the core can do, each other one has something that
it cannot do yet (see the package's docstring).
"""

from sim.chance import Chance

MINUTE_MS = 60_000
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
ZONES = 3
KEYS = 8  # things that everybody writes to
TEARS = ("nothing", "half", "all but the last byte", "all", "some cells")


def board(name, **more):
    return dict({"name": name, "role": "board", "blocks": 12, "documents_max": 60}, **more)


def relay(name, **more):
    return dict({"name": name, "role": "relay", "blocks": 16, "documents_max": 120}, **more)


def big(name="big"):
    return {"name": name, "role": "big"}


def wire(kind, a, b, loss=0):
    return {"kind": kind, "ends": [a, b], "loss": loss}


def _device_wire(chance, a, b):
    kind = chance.choice(("serial", "serial", "radio", "mqtt", "lan"))
    return wire(kind, a, b, chance.choice((0, 0, 20, 80)) if kind != "lan" else 0)


# Shapes: (chance, count of peers) -> (nodes, wires). Boards subscribe, wherever they are.


def star(chance, count):
    nodes = [big()] + [board("b%d" % i) for i in range(1, count)]
    return nodes, [_device_wire(chance, i, 0) for i in range(1, count)]


def chain(chance, count):
    """Big Peer, gateway, relay, and the rest boards behind either."""
    nodes = [big(), relay("g1"), relay("r2")]
    wires = [wire(chance.choice(("lan", "mqtt")), 1, 0), _device_wire(chance, 2, 1)]
    for i in range(3, max(4, count)):
        nodes.append(board("b%d" % i))
        wires.append(_device_wire(chance, i, chance.between(1, 2)))
    return nodes, wires


def gateways(chance, count):
    """Two gateways, over TCP and MQTT to the Big Peer; every board is linked to both."""
    nodes = [big(), relay("g1"), relay("g2")]
    wires = [wire(kind, i, 0) for i in (1, 2) for kind in ("lan", "mqtt")]
    for i in range(3, max(4, count)):
        nodes.append(board("b%d" % i))
        wires += [_device_wire(chance, i, 1), _device_wire(chance, i, 2)]
    return nodes, wires


def mesh(chance, count):
    """Relays linked at random; two of them reach the Big Peer."""
    nodes = [big()] + [relay("m%d" % i) for i in range(1, count)]
    wires = [wire("lan", 1, 0), wire("mqtt", 2, 0)]
    linked = set()
    for i in range(2, count):
        linked.add((chance.between(1, i - 1), i))
    for _ in range(count // 2):
        a, b = chance.between(1, count - 1), chance.between(1, count - 1)
        if a != b:
            linked.add((min(a, b), max(a, b)))
    return nodes, wires + [_device_wire(chance, b, a) for a, b in sorted(linked)]


SHAPES = {"star": star, "chain": chain, "gateways": gateways, "mesh": mesh}


# Operations: (chance, plan so far) -> [name, target, arguments]


def _a_write(chance, plan):
    node = chance.below(len(plan["nodes"]))
    if plan["nodes"][node]["role"] == "big" or chance.below(2):
        node = chance.between(1, len(plan["nodes"]) - 1)
    if chance.below(2):
        return ["write", node, None, chance.below(ZONES), ["n"]]
    key = chance.below(KEYS)
    fields = chance.some(("a", "b", "c"))
    zone = key % ZONES
    if plan["features"]["move"] and chance.hits(300):
        zone = chance.below(ZONES)
        fields.append("zone")
    elif plan["features"]["repair"] and chance.below(2):
        zone = None
    return ["write", node, "k%d" % key, zone, fields]


def _a_change(chance, plan):
    """One that only some worlds allow."""
    features = plan["features"]
    kinds = ["update"]
    kinds += ["delete"] if features["deletes"] else []
    kinds += ["unset"] if features["unset"] else []
    kinds += ["add"] if features["counters"] else []
    kind = chance.choice(kinds)
    node, id = chance.between(1, len(plan["nodes"]) - 1), "k%d" % chance.below(KEYS)
    if kind == "add":
        return [kind, node, id, chance.between(1, 9)]
    if kind == "delete":
        return [kind, node, id]
    return [kind, node, id, chance.some(("a", "b", "c"))]


def _an_eviction(chance, plan):
    node = chance.between(1, len(plan["nodes"]) - 1)
    return ["evict", node, chance.choice(("readings", "things")), chance.below(ZONES)]


def _a_want(chance, plan):
    wanting = [i for i, node in enumerate(plan["nodes"]) if node.get("wants") is not None]
    if not wanting:
        return _a_cut(chance, plan)
    return ["want", chance.choice(wanting), _zones(chance)]


def _a_power(chance, plan):
    node = chance.below(len(plan["nodes"]))
    tear = chance.choice(TEARS)
    return ["power", node, chance.between(1, 6), tear, chance.between(200, 20_000)]


def _a_restart(chance, plan):
    return ["restart", chance.below(len(plan["nodes"])), chance.between(200, 60_000)]


def _a_wipe(chance, plan):
    return ["wipe", chance.between(1, len(plan["nodes"]) - 1), chance.between(500, 30_000)]


def _a_flash_failure(chance, plan):
    return ["fail flash", chance.between(1, len(plan["nodes"]) - 1), chance.between(1, 8)]


def _a_clock(chance, plan):
    if plan["features"]["clocks_right"]:
        return _a_cut(chance, plan)
    node = chance.between(1, len(plan["nodes"]) - 1)
    skews = [0, None, 5 * MINUTE_MS, -5 * MINUTE_MS, DAY_MS - MINUTE_MS]
    if plan["features"]["wild_clocks"]:
        skews += [DAY_MS, -DAY_MS, YEAR_MS]
    return ["clock", node, chance.choice(skews)]


def _a_cut(chance, plan):
    wire = chance.below(len(plan["wires"]))
    return ["cut", wire, chance.choice((300, 3_000, 30_000, 200_000))]


def _a_lapse(chance, plan):
    node = chance.between(1, len(plan["nodes"]) - 1)
    return ["forget", node, chance.choice(("cursors", "knowledge", "knowledge"))]


def _a_noise(chance, plan):
    wire = chance.below(len(plan["wires"]))
    return ["noise", wire, chance.choice((50, 200, 500)), chance.between(1_000, 60_000)]


def _deafness(chance, plan):
    wire = chance.below(len(plan["wires"]))
    return ["deafen", wire, chance.below(2), chance.between(1_000, 60_000)]


# name -> (how it is made, how often beside the others)
CHOICES = (
    (_a_write, 600),
    (_a_change, 200),
    (_an_eviction, 20),
    (_a_want, 30),
    (_a_power, 60),
    (_a_restart, 25),
    (_a_wipe, 12),
    (_a_flash_failure, 15),
    (_a_clock, 25),
    (_a_cut, 100),
    (_a_noise, 30),
    (_deafness, 20),
)

TODAY = {
    "unset": True,
    "counters": True,
    "deletes": False,
    "clocks_right": False,
    "move": False,
    "wild_clocks": False,
    "repair": False,
}
WORLDS = {
    "today": TODAY,
    "move": dict(TODAY, move=True),
    "clocks": dict(TODAY, wild_clocks=True),
    "deletes": dict(TODAY, deletes=True),
    "order": dict(TODAY, deletes=True, clocks_right=True),
    "repair": dict(TODAY, repair=True),
    "signed": dict(TODAY, signs=True),
    "strangers": dict(TODAY, forgets=True),
    "hostile": dict(TODAY, hostile=True),
    "full": dict({feature: True for feature in TODAY}, clocks_right=False),
}


def make(world, seed, shape="", count=0, minutes=0, per_minute=0):
    """Return a plan; what is not given follows from the seed."""
    chance = Chance(seed, "plan")
    drawn = chance.choice(("star", "chain", "gateways", "mesh")), chance.between(4, 7)
    minutes = minutes or chance.between(4, 10)
    nodes, wires = SHAPES[shape or drawn[0]](chance, count or drawn[1])
    plan = {"seed": seed, "world": world, "nodes": nodes, "wires": wires}
    plan["features"] = WORLDS[world]
    for node in nodes[1:]:
        if node["role"] == "board":
            node["wants"] = _zones(chance)
        node["signs"] = plan["features"].get("signs", False)
    plan["length_ms"] = minutes * MINUTE_MS
    count = minutes * (per_minute or chance.choice((10, 20, 40)))
    script = []
    for _ in range(count):
        at_ms = 1_000 + chance.below(plan["length_ms"] - 1_000)
        script.append([at_ms] + _choose(chance)(chance, plan))
    if plan["features"].get("forgets"):
        for at_ms in range(90_000, plan["length_ms"], 45_000):
            script.append([at_ms] + _a_lapse(chance, plan))
    plan["script"] = sorted(script, key=lambda operation: operation[0])
    if plan["features"].get("hostile"):
        _invade(chance, plan)
    return plan


def _invade(chance, plan):
    """Link a hostile device to some peers that are there."""
    stranger = len(plan["nodes"])
    for one in chance.some(list(range(stranger))):
        kind = chance.choice(("serial", "radio", "mqtt", "lan"))
        plan["wires"].append(wire(kind, stranger, one))
    plan["nodes"].append({"name": "x", "role": "hostile"})


def _choose(chance):
    weight = chance.below(sum([share for _, share in CHOICES]))
    for make_one, share in CHOICES:
        weight -= share
        if weight < 0:
            return make_one


def _zones(chance):
    return [zone for zone in range(ZONES) if chance.below(2)]
