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
from sim.nodes import COUNTER, RANGE
from sim.oracle import CREATES, DELETES, LIFE

UPSERT = "INSERT INTO %s DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"
WITH_ID = " WHERE _id = :id"


def write(world, node, number, id, zone, fields):
    """Insert a reading (id None), or set fields of a thing, and create it where it is missing.

    It says the zone each time, where another peer may delete the thing at the same moment.
    """
    collection = "readings" if id is None else "things"
    shown = None if id is None else node.fields(collection, id)
    values = {field: number for field in fields}
    if zone is not None:
        values["zone"] = zone * RANGE + number
    seen = world.numbers_in(shown or {})
    if node.knows_deleted(collection, id):
        seen[LIFE] = world.oracle.only_delete((collection, id))
    document = dict(values)
    if id is not None:
        document["_id"] = id

    def tell(certain, ids):
        if id is None and not ids:
            return  # the power failed: nobody was told the id
        key = (collection, id or ids[0])
        world.wrote(node, number, key, sorted(values), seen, certain, CREATES)

    _execute(world, node, UPSERT % collection, {"d": document}, tell)


def update(world, node, number, id, fields):
    """Set fields of a thing, if it is there."""
    shown = node.fields("things", id)
    if shown is None:
        return
    seen = world.numbers_in(shown)
    terms = ", ".join(["%s = :n" % field for field in fields])

    def tell(certain, ids):
        world.wrote(node, number, ("things", id), fields, seen, certain)

    _execute(world, node, "UPDATE things SET " + terms + WITH_ID, {"n": number, "id": id}, tell)


def unset(world, node, number, id, fields):
    """Remove those of these fields of a thing that are there."""
    seen = world.numbers_in(node.fields("things", id) or {})
    fields = [field for field in fields if field in seen]
    if not fields:
        return

    def tell(certain, ids):
        world.wrote(node, number, ("things", id), fields, seen, certain, empties=True)

    _execute(world, node, "UPDATE things UNSET " + ", ".join(fields) + WITH_ID, {"id": id}, tell)


def add(world, node, number, id, amount):
    """Count up in a thing, if it is there."""
    if node.fields("things", id) is None:
        return

    def tell(certain, ids):
        world.oracle.added(node.index, ("things", id), amount, certain)

    text = "UPDATE things APPLY %s INCREMENT BY :n" % COUNTER + WITH_ID
    _execute(world, node, text, {"n": amount, "id": id}, tell)


def delete(world, node, number, id):
    shown = node.fields("things", id)
    if shown is None:
        return
    seen = world.numbers_in(shown)

    def tell(certain, ids):
        world.wrote(node, number, ("things", id), [], seen, certain, DELETES)

    _execute(world, node, "DELETE FROM things" + WITH_ID, {"id": id}, tell)


def evict(world, node, number, collection, zone):
    """Let go of what the Big Peer has, on this peer alone."""
    text = "EVICT FROM %s WHERE zone >= :low AND zone < :high" % collection
    arguments = {"low": zone * RANGE, "high": (zone + 1) * RANGE}
    _execute(world, node, text, arguments, lambda certain, ids: None)


def _execute(world, node, text, arguments, tell):
    """Run one statement of the application; tell(certain, ids) unless it surely did nothing."""
    node.writing = True
    try:
        ids = node.executor.execute(text, arguments).ids
        tell(True, ids)
    except PowerCut:
        tell(False, [])
        raise
    except StoreFull:
        world.count("store full")
    except StorageError:
        world.count("storage error")
        tell(False, [])
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


def forget(world, node, number, what):
    """Lose the cursors, or all knowledge, and read every neighbour again."""
    try:
        node.forget(what)
    except StorageError:
        world.count("storage error")
        world.power_failed(node)


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
    "update": (update, False, True),
    "unset": (unset, False, True),
    "add": (add, False, True),
    "delete": (delete, False, True),
    "evict": (evict, False, True),
    "want": (want, False, True),
    "forget": (forget, False, True),
    "power": (power, False, True),
    "restart": (restart, False, True),
    "wipe": (wipe, False, False),
    "fail flash": (fail_flash, False, True),
    "clock": (clock, False, False),
    "cut": (cut, True, False),
    "noise": (noise, True, False),
    "deafen": (deafen, True, False),
}
