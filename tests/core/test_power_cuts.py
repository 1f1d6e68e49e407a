"""
The power fails at every operation of the flash, and nothing that was acknowledged is lost.

A script of writes of every kind, batches, merges and evictions runs on a small ring.
For each device operation and each kind of tear there is one image, as a cut there
would leave it; it is opened, compared, written to and opened again. MicroPython
tries samples.
"""

import sys

from helpers import Random, raises, slow
from nor_flash import (
    ALL,
    ALL_BUT_ONE,
    ERASE,
    HALF,
    NOTHING,
    PROGRAM,
    SOME_CELLS,
    TEARS,
    Flash,
    PowerCut,
)

from edge_peer.core import document as documents
from edge_peer.core.document import COUNTER, LIFE, REMOVED
from edge_peer.core.errors import StoreFull
from edge_peer.core.limits import DROP_OLDEST, WHOLE
from edge_peer.core.store.log import META, FlashLog
from edge_peer.core.store.store import Store

FULL_RUN = sys.implementation.name == "cpython"
STEP_COUNT = 230
SAMPLE = 1 if FULL_RUN else 17  # every how many-th image is looked at
NEIGHBOUR = b"neighbor"


def held_by(store):
    return {id: documents.decode(body) for id, body in store.scan("c")}


def keep_all(collection, id, body, may_lose):
    return False


def open_log(flash, evict=keep_all, before_erase=lambda: [], count_max=100):
    return FlashLog(flash, {WHOLE: (None, count_max)}, evict, before_erase, flash.program_size)


def open_store(flash, policies=None):
    count_max = 100 if policies is None else 40  # so few that the policy is asked
    return Store(
        lambda evict, before_erase: open_log(flash, evict, before_erase, count_max),
        b"board",
        lambda: None,
        lambda size: b"\7" * size,
        policies=policies,
    )


class Script:
    """Random operations on a store, and what they must leave behind wherever the power fails."""

    def __init__(self, seed, program_size, policies=None):
        self.label = "seed %d, program size %d" % (seed, program_size)
        self.image_count = 0
        self.gone_count = 0
        self.evicted_count = 0  # by name
        self.lost_count = 0  # gone, and not at the Big Peer
        self._policies = policies
        self._named = []  # what the step that is running has evicted by name
        self._random = Random(seed)
        self._tear_random = Random(seed + 1)
        self.flash = Flash(7, program_size)
        self._store = open_store(self.flash, policies)
        self._seen = 0
        self._images = []  # (label, flash) of the step that is running
        self._held = {}  # id -> document, as acknowledged
        self._used = set()  # numbers and stamps of all acknowledged writes of ours
        self._neighbour_seq = 0
        self.flash.before_operation = self._take_images

    def run(self, step_count):
        steps = (self._insert, self._insert, self._update, self._many, self._merge)
        steps += (self._delete, self._count, self._remove, self._evict, self._batch)
        for step in range(step_count):
            before = dict(self._held)
            self._named = []
            try:
                if self._random.below(40 if self._policies else 8) == 0:
                    self._learn()
                else:
                    self._random.choice(steps)()
            except StoreFull:
                self._learn()
            self._held = held_by(self._store)
            for label, flash in self._images:
                self._check(flash, before, "%s, step %d, %s" % (self.label, step, label))
            self._images = []
            self.lost_count += len(self._lost(before, self._held))
            assert self._store.status()["lost_writes"] >= self.lost_count, self.label
            self._used |= self._own_writes(self._held)

    # The steps

    def _value(self):
        size = self._random.below(60) if self._random.below(9) else self._random.below(500)
        return self._random.bytes(size)

    def _insert(self):
        self._store.write([("c", None, {"v": self._value()})])

    def _change(self, changes):
        if self._held:
            self._store.write([("c", self._random.choice(sorted(self._held)), changes)])

    def _update(self):
        self._change({self._random.choice("vw"): self._value()})

    def _delete(self):
        self._change({LIFE: (REMOVED, None)})

    def _count(self):
        self._change({"counter": (COUNTER, self._random.below(100) - 30)})

    def _remove(self):
        self._change({self._random.choice(("v", "w", "counter")): (REMOVED, None)})

    def _batch(self):
        """Statements that see each other, and what a link brings between them."""
        with self._store.batch():
            for _ in range(1 + self._random.below(3)):
                step = self._random.choice((self._insert, self._update, self._delete, self._count))
                step()
                id = self._random.choice(("batch1", "batch2"))
                self._store.write([("c", id, {"v": self._value(), "n": (COUNTER, 1)})])

    def _evict(self):
        ids = sorted(self._held)
        ids = [self._random.choice(ids) for _ in range(1 + self._random.below(4)) if ids]
        before = held_by(self._store)
        self._store.evict([("c", id) for id in set(ids)])
        self._named = [id for id in set(ids) if self._store.body("c", id) is None]
        self.evicted_count += len(self._named)
        for id in self._named:
            assert self._store.is_durable(before[id])

    def _many(self):
        writes = []
        for i in range(2 + self._random.below(4)):
            id = None if i % 2 else "shared%d" % self._random.below(9)
            writes.append(("c", id, {"v": self._random.bytes(self._random.below(40))}))
        self._store.write(writes)

    def _merge(self):
        records = []
        for _ in range(1 + self._random.below(3)):
            self._neighbour_seq += 1
            stamp = self._store._clock.last + self._neighbour_seq
            document = documents.make({"n": self._value()}, stamp, NEIGHBOUR, self._neighbour_seq)
            records.append(("c", "shared%d" % self._random.below(30), document))
        self._store.merge(records)
        self._store.set_cursor(NEIGHBOUR, (self._neighbour_seq, self._neighbour_seq, 1))
        if self._random.below(4) == 0:
            self._store.learn({NEIGHBOUR: self._neighbour_seq})

    def _learn(self):
        seq = max(0, self._store.own_seq - self._random.below(30))
        theirs = max(0, self._neighbour_seq - self._random.below(5))
        self._store.learn_durable({self._store.author: seq, NEIGHBOUR: theirs})

    # The cuts

    def _take_images(self, operation):
        for tear in TEARS:
            self._seen += 1
            if self._seen % SAMPLE == 0:
                label = "operation %d, %s" % (self.flash.operation_count, tear)
                self._images.append((label, self.flash.after(operation, tear, self._tear_random)))

    def _check(self, flash, before, label):
        """All of the step's writes are there or none; of the others only what may go is not."""
        self.image_count += 1
        store = open_store(flash, self._policies)
        found = held_by(store)
        for id in found:
            assert found[id] in (before.get(id), self._held.get(id)), label
        changed = [id for id in self._held if self._held[id] != before.get(id)]
        written = [found[id] == self._held[id] for id in changed if id in found]
        assert all(written) or not any(written), label
        lost = self._lost(before, found)
        assert store.status()["lost_writes"] >= self.lost_count + len(lost), label
        assert len(set([id in found for id in self._named])) < 2, label
        for id in before:
            if id not in found:
                self._check_gone(store, before[id], label, id in lost)
        if written and all(written):
            for id in changed:
                assert id in found, label
        self._check_write(flash, store, found, label)

    def _lost(self, before, found):
        """Return the ids of what is gone, and not at the Big Peer."""
        gone = [id for id in before if id not in found]
        return [id for id in gone if not self._store.is_durable(before[id])]

    def _check_gone(self, store, document, label, is_lost):
        self.gone_count += 1
        for cell in document.values():
            assert cell.seq <= store.evicted[cell.author], label
        if is_lost:
            assert self._policies and not documents.is_deleted(document), label
            for cell in document.values():
                is_ours = cell.author == self._store.author
                assert is_ours or cell.seq <= self._store.durable_seq(cell.author), label

    def _check_write(self, flash, store, found, label):
        """The store takes writes, with a number and a stamp of their own."""
        store.learn_durable({store.author: 1 << 40, NEIGHBOUR: 1 << 40})
        store.write([("c", "after", {"v": b"after"})])
        cell = store.get("c", "after")["v"]
        used = self._used | self._own_writes(found)
        assert ("seq", cell.seq) not in used and ("stamp", cell.stamp) not in used, label
        if self.image_count % 5 == 0:
            again = held_by(open_store(flash, self._policies))
            assert again.pop("after") == {"v": cell}, label
            for id in again:
                assert again[id] == found[id], label

    def _own_writes(self, held):
        used = set()
        for document in held.values():
            for cell in document.values():
                if cell.author == self._store.author:
                    used.add(("seq", cell.seq))
                    used.add(("stamp", cell.stamp))
        return used


@slow
def test_nothing_acknowledged_is_lost_wherever_the_power_fails():
    for seed, program_size, policies in (
        (31, 1, None),
        (32, 256, None),
        (33, 1, {WHOLE: DROP_OLDEST}),
    ):
        script = Script(seed, program_size, policies)
        script.run(STEP_COUNT)
        assert min(script.flash.erase_counts) > 0
        assert script.gone_count > 0 and script.evicted_count > 0
        assert (script.lost_count > 0) == bool(policies)
        assert script.image_count * SAMPLE > 5 * STEP_COUNT


@slow
def test_however_often_the_power_fails_the_log_goes_on():
    """A full device comes up again and again for a few operations only.

    Of the documents half must stay; the store's own entry is as large as it can be.
    """
    for seed, program_size, operation_count in ((41, 1, 2), (42, 256, 5), (43, 1, 30), (44, 1, 9)):
        random = Random(seed)
        flash = Flash(7, program_size)
        held = {}
        arrival = 0
        for boot in range(600 if FULL_RUN else 100):
            label = "seed %d, boot %d" % (seed, boot)
            flash.cut_at(1 + random.below(operation_count), random.choice(TEARS), random)
            log = open_log(flash, lambda collection, id, body, may_lose: body[0] == 1, large_state)
            found = dict(log.scan("c"))
            for id in held:  # the last write before the cut may have come through
                assert found.get(id) in held[id] or _may_go(held[id]) and id not in found, label
            held = {id: [found[id]] for id in found}
            try:
                while True:
                    ids = ["%d" % random.below(40) for _ in range(1 + random.below(3))]
                    before = {id: held.get(id, [None]) for id in ids}
                    puts = []
                    for id in ids:
                        arrival += 1
                        body = bytes([random.below(2)]) + b"%d" % arrival
                        body += bytes(random.below(150) if random.below(4) else 1000)
                        puts.append(("c", id, arrival, body))
                        held[id] = held.get(id, [None]) + [body]
                    try:
                        log.commit(puts)
                        held.update({put[1]: [put[3]] for put in puts})
                    except StoreFull:
                        held.update(before)
            except PowerCut:
                flash.power_on()
        log = open_log(flash, lambda collection, id, body, may_lose: True, large_state)
        for i in range(100):
            log.commit([("c", "%d" % i, arrival + i, bytes(100))])


def large_state():
    return [(META, "state", 0, bytes(2900))]


def _may_go(bodies):
    return any([body is None or body[0] == 1 for body in bodies])


def test_the_flash_of_these_tests_tears_as_it_says():
    for kind, data, results in (
        (PROGRAM, b"\x0f" * 4, (b"\x55" * 4, b"\5\5UU", b"\5\5\5U", b"\5" * 4)),
        (ERASE, b"\xff" * 4096, (b"\x55" * 4, b"\xff" * 4, b"\xff" * 4, b"\xff" * 4)),
    ):
        flash = Flash(1)
        flash.writeblocks(0, b"\x55" * 4096, 0)
        for tear, result in zip((NOTHING, HALF, ALL_BUT_ONE, ALL), results):
            after = flash.after((kind, 0, 0, data), tear, None).image
            assert bytes(after[:4]) == result, tear
            assert after[4095] == (0xFF if kind == ERASE and tear == ALL else 0x55)
        torn = flash.after((kind, 0, 0, data), SOME_CELLS, Random(1)).image
        assert set(torn[4:]) - {0x55} == set() if kind == PROGRAM else len(set(torn)) > 10
        flash.cut_at(1, HALF, None)
        with raises(PowerCut):
            flash._operate(kind, 0, 0, data)
        with raises(PowerCut):
            flash.ioctl(6, 0)
        assert bytes(flash.image[:4]) == results[1]
