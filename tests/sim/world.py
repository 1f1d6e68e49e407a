"""
A world: peers, wires and one queue of events, under virtual time.

    plan   seed       of every random choice while it runs
           nodes      see nodes.py
           wires      see wires.py
           script     what happens to them and when (operations.py)
           numbers    of the script's lines, where some have been left out: 1, 2, … if missing
           length_ms  then every fault ends, and it runs on until nothing moves

`World(plan).run()` returns the world. What went wrong is in `failures`, [(name, text)],
and running on after the first one is rarely worth it, so it stops there. The same plan
gives the same `trace`, a checksum over every frame and its time, on CPython and on
MicroPython. No tasks, no threads, no clock but this one.
"""

import heapq
from binascii import crc32

from edge_peer.core import document as documents
from edge_peer.core.limits import AUTHORS
from edge_peer.core.query.view import fields_of
from edge_peer.core.sync.link import DATA, MORE
from sim.chance import Chance
from sim.checks import GRACE_MS, Checks
from sim.nodes import COUNTER, RANGE, Node, codec
from sim.operations import OPERATIONS
from sim.oracle import Oracle
from sim.wires import Wire

STEP_MS = 5_000  # how often what is expensive to check is checked
QUIET_MS = 25_000  # without a document or an answer to one: above every retry and back-off
SETTLE_MS_MAX = 600_000
CACHE_COUNT_MAX = 5_000
WRITES = ("write", "update", "unset", "add")  # what is no fault
BOOT_RETRY_MS = 1_000
OFF_MS = 3_000


class World:
    def __init__(self, plan, recording=None):
        """recording: a list that is told what happens, for picture.py."""
        self.plan = plan
        self.features = plan.get("features", {})
        self.now_ms = 0
        self.failures = []
        self.faults = {}  # kind -> how often
        self.peaks = {}  # bound -> the highest seen
        self.trace = 0
        self.write_count = 0
        self.event_count = 0
        self.frame_count = 0
        self.wire_bytes = 0
        self.document_bytes = 0  # of frames that carry messages
        self.error = None
        self.grace_until = {}
        self.quiet_after_ms = None
        self._queue = []
        self._pushed = 0
        self._recording = recording
        self._active_ms = 0
        self._fields = {}
        self._receiving = None
        self.oracle = Oracle(self.features.get("clocks_right", False))
        self.hostile_authors = []
        self.refusals = {}  # why hostile peers were dropped -> how often
        self.nodes = [_node(self, i, spec) for i, spec in enumerate(plan["nodes"])]
        self.honest = [node for node in self.nodes if not node.is_hostile()]
        bigs = [node for node in self.nodes if node.is_big()]
        self.big = bigs[0] if bigs else None
        self.checks = Checks(self)
        self.wires = []
        for number, spec in enumerate(plan["wires"]):
            wire = Wire(self, number, spec, [self.nodes[i] for i in spec["ends"]])
            self.wires.append(wire)
            for side in (0, 1):
                wire.nodes[side].wires.append((wire, side))

    def chance(self, stream):
        return Chance(self.plan["seed"], stream)

    # Running

    def run(self):
        for node in self.nodes:
            self.push(node.index * 37, self.boot, node)
        script = self.plan["script"]
        numbers = self.plan.get("numbers") or range(1, len(script) + 1)
        for number, operation in zip(numbers, script):
            self.push(operation[0], self._operate, (number, operation))
        self.push(STEP_MS, self._step, None)
        self._run_until(self.plan["length_ms"])
        self._heal()
        end_ms = self.now_ms + SETTLE_MS_MAX
        while not self.failures and self.now_ms - self._active_ms < QUIET_MS:
            if self.now_ms > end_ms:
                self.fail("not quiet", "messages still move ten minutes after the last fault")
            self._run_until(self.now_ms + 1_000)
        self.quiet_after_ms = max(0, self._active_ms - self.plan["length_ms"])
        if not self.failures:
            self.checks.step()
            self.checks.quiet()
        for node in self.honest:
            if node.is_up():
                dump = node.dump()
                for key in sorted(dump):
                    self._hash(dump[key])
        return self

    def _run_until(self, end_ms):
        queue = self._queue
        while queue and queue[0][0] <= end_ms and not self.failures:
            at_ms, _, action, argument = heapq.heappop(queue)
            self.now_ms = at_ms
            self.event_count += 1
            try:
                action(argument)
            except Exception as error:  # ours: what is nobody's mistake was handled below
                self.error = error
                self.fail("error", "%s: %s" % (type(error).__name__, error))
        self.now_ms = max(self.now_ms, end_ms) if not self.failures else self.now_ms

    def push(self, at_ms, action, argument):
        self._pushed += 1
        heapq.heappush(self._queue, (at_ms, self._pushed, action, argument))

    def _operate(self, numbered):
        number, operation = numbered
        _, name, target = operation[:3]
        action, is_wire, needs_power = OPERATIONS[name]
        self.note("operation", operation)
        if name not in WRITES:
            self.count(name)
        if is_wire:
            action(self, self.wires[target], number, *operation[3:])
        elif self.nodes[target].is_up() or not needs_power:
            node = self.nodes[target]
            node.guard(action, self, node, number, *operation[3:])

    def _step(self, _):
        self.checks.step()
        self.push(self.now_ms + STEP_MS, self._step, None)

    def _heal(self):
        """End every fault; what is unreliable by nature stays so."""
        for wire in self.wires:
            wire.deaf = None
            wire.loss = min(wire.loss, wire.usual_loss)
            wire.set_up(True)
        for node in self.nodes:
            node.mend()
            if node.is_hostile():
                node.retire()
            else:
                self.boot(node)
        self._active_ms = self.now_ms

    # Power

    def boot(self, node):
        node.boot()
        self.note("boot", node.index)
        if not node.is_up() and not node.is_retired:
            self.push(self.now_ms + BOOT_RETRY_MS, self.boot, node)

    def booted(self, node):
        if node.is_hostile():
            self.hostile_authors.append(node.store.author)
        else:
            self.checks.booted(node)

    def power_failed(self, node):
        if node.is_up():
            self.count("power lost")
            node.power_off()
            self.push(self.now_ms + getattr(node, "off_ms", OFF_MS), self.boot, node)

    # What others tell

    def fail(self, name, text):
        self.failures.append((name, "%.3f s: %s" % (self.now_ms / 1000, text)))
        self.note("failure", name, text)

    def count(self, fault):
        self.faults[fault] = self.faults.get(fault, 0) + 1

    def dropped(self, session):
        """A hostile peer's link was closed at the other side."""
        if session.was_refused:
            reason = "".join(["#" if one in "0123456789" else one for one in session.close_reason])
            self.refusals[reason] = self.refusals.get(reason, 0) + 1

    def note(self, *what):
        if self._recording is not None:
            self._recording.append((self.now_ms,) + what)

    def grace(self, node):
        """What this peer wanted until now may still be on its way."""
        self.grace_until[node.index] = self.now_ms + GRACE_MS

    def carried(self, wire, side, frame, size):
        """A frame of `size` bytes with everything around it has gone onto a wire."""
        self.frame_count += 1
        self.wire_bytes += size
        wire.bytes[side] += size
        if frame[0] & ~MORE == DATA:
            self._active_ms = self.now_ms
            self.document_bytes += size
        self._hash(frame)
        if self._recording is not None:
            self.note("frame", wire.number, side, frame[0], size)

    def receiving_from(self, node):
        """Return the author whose message is being handled, or b""."""
        for end in node.links.pumps:
            if end.is_taking:
                return end.session.neighbour
        return b""

    def is_relay(self, author):
        index = self._index_of(author)
        return index >= 0 and self.nodes[index].role == "relay"

    def epoch_of(self, author):
        index = self._index_of(author)
        return self.nodes[index].store.epoch if index >= 0 else 0

    def _index_of(self, author):
        for node in self.nodes:
            if author and node.is_up() and node.store.author == author:
                return node.index
        return -1

    def watches_messages(self):
        return self._recording is not None

    def committed(self, node, puts):
        puts = [put for put in puts if put[0] != AUTHORS]
        if node.is_hostile():
            return
        self.checks.committed(node, puts)
        if self._recording is not None:
            for collection, id, _, body in puts:
                sender = self._index_of(self.receiving_from(node))
                self.note("document", node.index, (collection, id), self.fields_of(body), sender)

    def gone(self, node, keys):
        keys = [key for key in keys if key[0] != AUTHORS]
        if node.is_hostile():
            return
        self.count("evicted")
        self.checks.gone(node, keys)
        self.note("evicted", node.index, keys)

    def wrote(self, node, number, key, fields, seen, certain, life="", empties=False):
        """An application wrote; see Oracle.wrote."""
        self.oracle.wrote(
            number, self.now_ms, node.index, key, fields, seen, certain, life, empties
        )
        self.write_count += certain
        self.note("write", node.index, key, number, life)

    # Reading documents

    def fields_of(self, body):
        """Return a document's fields as SELECT has them; none if it is deleted."""
        fields = self._fields.get(body)
        if fields is None:
            if len(self._fields) >= CACHE_COUNT_MAX:
                self._fields = {}
            fields = fields_of(body, codec.unpack) or {}
            self._fields[body] = fields
        return fields

    def numbers_of(self, body):
        return self.numbers_in(self.fields_of(body))

    def numbers_in(self, fields):
        """Return field -> the number of the write that its value comes from."""
        return {field: fields[field] % RANGE for field in fields if field not in ("_id", COUNTER)}

    def was_evicted(self, node, body):
        """Return whether a store says of all writes of a document that it let them go."""
        evicted = node.store.evicted
        cells = documents.decode(body).values()
        return all([cell.seq <= evicted.get(cell.author, 0) for cell in cells])

    def zone_of(self, body):
        return self.fields_of(body).get("zone", -1) // RANGE

    def _hash(self, data):
        self.trace = crc32(data, (self.trace + self.now_ms) & 0xFFFFFFFF) & 0xFFFFFFFF

    # Figures

    def figures(self):
        return {
            "trace": "%08x" % self.trace,
            "simulated_s": self.now_ms // 1000,
            "events": self.event_count,
            "frames": self.frame_count,
            "wire_bytes": self.wire_bytes,
            "message_bytes": self.document_bytes,
            "writes": self.write_count,
            "quiet_after_s": (self.quiet_after_ms or 0) // 1000,
        }


def _node(world, index, spec):
    if spec["role"] != "hostile":
        return Node(world, index, spec)
    from sim.hostile import HostileNode  # what few worlds have

    return HostileNode(world, index, spec)
