"""
What can happen in a world: a table from an operation's name to what it does.

A script is a list of [at ms, name, target, *arguments], plain JSON, everything decided
when it is made (plans.py), so that a line can be left out and the rest stays what it was.
A value that is written is RANGE * zone + the operation's own number, or just that number:
where it turns up, it tells where it comes from (oracle.py).

To add one: a function here, its line in OPERATIONS, a weight and its arguments in plans.py.
"""

from nor_flash import PowerCut

from edge_peer.core.errors import StorageError, StoreFull

UPSERT = "INSERT INTO %s DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"


def write(world, node, number, id, zone, fields):
    """Insert a reading (id None), or set fields of a thing, and create it where it is missing."""
    collection = "readings" if id is None else "things"
    shown = None if id is None else node.fields(collection, id)
    values = {field: number for field in fields}
    if shown is None or "zone" in fields:
        values["zone"] = zone * world.range + number
    document = dict(values)
    if id is not None:
        document["_id"] = id
    seen = {field: world.number_of(shown[field]) for field in shown or {} if field != "_id"}

    def tell(id, certain):
        key = (collection, id)
        world.oracle.wrote(number, world.now_ms, node.index, key, sorted(values), seen, certain)
        world.note("write", node.index, collection, id, number)

    node.writing = True
    try:
        ids = node.executor.execute(UPSERT % collection, {"d": document}).ids
        tell(ids[0], True)
        world.write_count += 1
    except PowerCut:
        if id is not None:
            tell(id, False)  # of a reading nobody was told the id
        else:
            world.unnamed[number] = node.index
        raise
    except StoreFull:
        world.count("store full")
    except StorageError:
        world.count("storage error")
        if id is not None:
            tell(id, False)
    finally:
        node.writing = False


def want(world, node, number, zones):
    """Subscribe to these zones and to no others."""
    world.grace(node)
    try:
        node.set_wants(zones)
    except StorageError:
        world.count("storage error")
        node.wants = zones
        world.power_failed(node)  # as an application would that nobody looks after


def power(world, node, number, count, tear, off_ms):
    """Let the power fail in one of the next writes to flash, and come back."""
    node.off_ms = off_ms
    node.cut_power_at(count, tear)


def restart(world, node, number, off_ms):
    node.off_ms = off_ms
    world.power_failed(node)


def wipe(world, node, number, off_ms):
    """Take its flash away: it comes back as another author."""
    node.power_off()
    node.new_medium()
    world.oracle.wiped(node.index)
    world.checks.wiped(node)
    world.push(world.now_ms + off_ms, world.boot, node)


def fail_flash(world, node, number, count):
    """Let one of the next writes to flash fail with an error."""
    node.fail_flash_at(count)


def clock(world, node, number, skew_ms):
    """Set its wall clock; None: it does not know the time any more."""
    node.skew_ms = skew_ms


def cut(world, wire, number, for_ms):
    wire.set_up(False)
    world.push(world.now_ms + for_ms, _mend, wire)


def noise(world, wire, number, per_mille, for_ms):
    usual = wire.loss
    wire.loss = per_mille
    world.push(world.now_ms + for_ms, _calm, (wire, usual))


def deafen(world, wire, number, side, for_ms):
    """One direction carries nothing."""
    wire.deaf = side
    world.push(world.now_ms + for_ms, _hear, wire)


def _mend(wire):
    wire.set_up(True)


def _calm(wire_and_loss):
    wire_and_loss[0].loss = wire_and_loss[1]


def _hear(wire):
    wire.deaf = None


# name -> (function, whether its target is a wire, whether it needs the peer to be up)
OPERATIONS = {
    "write": (write, False, True),
    "want": (want, False, True),
    "power": (power, False, True),
    "restart": (restart, False, True),
    "wipe": (wipe, False, False),
    "fail flash": (fail_flash, False, True),
    "clock": (clock, False, False),
    "cut": (cut, True, False),
    "noise": (noise, True, False),
    "deafen": (deafen, True, False),
}
