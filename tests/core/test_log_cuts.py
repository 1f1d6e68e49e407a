"""
The log alone, cut at every operation of the flash: every kind of record, limits, and files.

A script of inserts, changes, batches, relayed documents, drops and evictions runs on a
small ring, raw or in pinned blocks beside files that are replaced meanwhile. For each
device operation and each kind of tear there is one image, as a cut there would leave
it; it is opened, compared, written to and opened again.

With CUTS=full in the environment (`make test-cuts`) it is 1,000 steps and each image.
"""

import os
import sys

from helpers import Random, slow
from lfs import LittleFs
from nor_flash import TEARS, Flash

from edge_peer.board.pinned import open_pinned
from edge_peer.core.errors import StoreFull
from edge_peer.core.limits import RELAYED, WHOLE
from edge_peer.core.store.log import META, FlashLog

IS_FULL = os.getenv("CUTS") == "full"
STEP_COUNT = 1000 if IS_FULL else 150
SAMPLE = 1 if IS_FULL else 3 if sys.implementation.name == "cpython" else 53
BLOCK_COUNT = 7
LIMITS = {WHOLE: (None, 90), RELAYED: (2500, None), "d": (None, 12)}
FOLDER = "/lfs/edge_log"
FILE = "/lfs/settings"
# Reading a log takes at most so many times its blocks: heads and blank pages, the
# records, what a key had before, runs of drops, and places where a record may begin.
OPEN_READS = 6


class Raw:
    """A log on flash of its own."""

    def __init__(self, program_size):
        self.flash = Flash(BLOCK_COUNT, program_size)

    def open(self, flash, evict, before_erase):
        return FlashLog(flash, LIMITS, evict, before_erase, flash.program_size)

    def change_file(self, _data):
        pass

    def check_file(self, flash, contents, label):
        pass


class Pinned:
    """A log in pinned blocks of a littlefs that has a file, too."""

    def __init__(self, program_size):
        self.flash = Flash(BLOCK_COUNT + 12, program_size)
        with LittleFs(self.flash, is_new=True) as files:
            _write(files, FILE, b"first")
            open_pinned(self.flash, FOLDER, BLOCK_COUNT)

    def open(self, flash, evict, before_erase):
        with LittleFs(flash):
            pins = open_pinned(flash, FOLDER, BLOCK_COUNT)
        return FlashLog(pins, LIMITS, evict, before_erase, flash.program_size)

    def change_file(self, data):
        with LittleFs(self.flash) as files:
            _write(files, FILE + ".tmp", data)
            files.rename(FILE + ".tmp", FILE)

    def check_file(self, flash, contents, label):
        with LittleFs(flash) as files, files.open(FILE, "rb") as file:
            assert file.read() in contents, label


def _write(files, path, data):
    with files.open(path, "wb") as file:
        file.write(data)


def may_go(collection, id, body, may_lose):
    return body[0] == 1 or may_lose and body[0] == 2


class Script:
    def __init__(self, medium, seed):
        self.label = "%s, seed %d" % (type(medium).__name__, seed)
        self.image_count = self.gone_count = self.open_reads = 0
        self.medium = medium
        self._random = Random(seed)
        self._tears = Random(seed + 1)
        self._log = medium.open(medium.flash, may_go, self._before_erase)
        self._seen = 0
        self._arrival = 0
        self._state = b""
        self._images = []
        self._held = {}  # (collection, id) -> (arrival, body, is_relayed)
        self._files = [b"first"]
        medium.flash.before_operation = self._take_images

    def run(self, step_count):
        steps = (self._insert, self._insert, self._change, self._batch, self._relay, self._drop)
        for step in range(step_count):
            self._new, self._dropped = {}, []
            if step % 10 == 9:
                self._files.append(self._random.bytes(20 * self._random.below(20)))
                self.medium.change_file(self._files[-1])
            else:
                try:
                    self._random.choice(steps)()
                except StoreFull:
                    self._log.evict_again()
                    self._new = {}
            for label, flash in self._images:
                self._check(flash, "%s, step %d, %s" % (self.label, step, label))
            self._images = []
            self._files = self._files[-1:]
            self._take_over()

    # The steps

    def _before_erase(self):
        self._state = b"%d" % self._arrival
        return [(META, "state", 0, self._state)]

    def _commit(self, keys, relayed=False, size=None):
        puts = []
        for key in keys:
            self._arrival += 1
            length = size or 1 + self._random.below(90 if self._random.below(9) else 700)
            body = bytes([self._random.below(3)]) + self._random.bytes(length)
            puts.append(key + (self._arrival, body))
            self._new[key] = (self._arrival, body, relayed)
        self._log.commit(puts, [put[2] for put in puts] if relayed else ())

    def _key(self):
        return (self._random.choice("ccdef"), "%d" % self._random.below(60))

    def _insert(self):
        self._commit([(self._random.choice("ccd"), "new%d" % self._arrival)])

    def _change(self):
        if self._held:
            self._commit([self._random.choice(sorted(self._held))], False, 1)  # as a tombstone

    def _batch(self):
        self._commit(sorted(set([self._key() for _ in range(2 + self._random.below(6))])))

    def _relay(self):
        self._commit(sorted(set([self._key() for _ in range(1 + self._random.below(3))])), True)

    def _drop(self):
        keys = sorted(self._held)
        self._dropped = [self._random.choice(keys) for _ in range(self._random.below(6)) if keys]
        self._log.drop(self._dropped)

    def _take_over(self):
        """Take what the log has now, as far as it may have it."""
        self._held = self._compare(self._log, self.label)

    # The cuts

    def _take_images(self, operation):
        for tear in TEARS:
            self._seen += 1
            if self._seen % SAMPLE == 0:
                flash = self.medium.flash
                label = "operation %d, %s" % (flash.operation_count, tear)
                self._images.append((label, flash.after(operation, tear, self._tears)))

    def _compare(self, log, label):
        """All of the step's writes are there or none, and of the others what must stay."""
        relayed, found = log.totals(RELAYED), {}
        for collection, id, arrival, body in log.since(0, 9999):
            found[collection, id] = (arrival, body)
        new, held = self._new, self._held
        is_written = any([found.get(key) == new[key][:2] for key in new])
        if is_written:  # and what it wrote may have gone at once, if everything older must stay
            for key in new:
                assert key in found or new[key][1][0] == 1, label
        expected = {}
        for key in found:
            expected[key] = new[key] if key in new and is_written else held[key]
            assert found[key] == expected[key][:2], label
        for key in held:
            if key not in found and key not in self._dropped and not (is_written and key in new):
                self.gone_count += 1
                assert held[key][1][0] in (1, 2), label
                assert log.get(META, "state") is not None, label
        assert relayed[0] == len([one for one in expected.values() if one[2]]), label
        assert log.totals(WHOLE)[0] == len(found) <= 90 and relayed[1] <= 2500, label
        assert log.totals("d")[0] == len([key for key in found if key[0] == "d"]) <= 12, label
        return expected

    def _check(self, flash, label):
        self.image_count += 1
        self.medium.check_file(flash, self._files, label)
        flash.read_bytes = 0
        log = self.medium.open(flash, may_go, self._before_erase)
        self.open_reads = max(self.open_reads, flash.read_bytes)
        found = self._compare(log, label)
        assert log.arrival_max >= max([one[0] for one in found.values()] + [0]), label
        log.commit([("c", "after", log.arrival_max + 1, b"\1after")])
        assert log.get("c", "after") == b"\1after", label
        if self.image_count % 5 == 0:
            again = self.medium.open(flash, may_go, self._before_erase)
            assert again.get("c", "after") == b"\1after", label
            assert again.since(0, 9999) == log.since(0, 9999), label


def _run(medium, seed):
    script = Script(medium, seed)
    script.run(STEP_COUNT)
    if IS_FULL:
        print(
            "%s: %d steps, %d device operations, %d images, 0 lost, 0 did not open, "
            "at most %d bytes read to open"
            % (
                script.label,
                STEP_COUNT,
                script.medium.flash.operation_count,
                script.image_count,
                script.open_reads,
            )
        )
    assert script.gone_count > 0 and script.image_count * SAMPLE > 4 * STEP_COUNT, script.label
    assert script.open_reads < OPEN_READS * script.medium.flash.block_count * 4096


@slow
def test_whatever_a_cut_hits_all_that_was_acknowledged_is_there_and_every_limit_holds():
    for seed, program_size in ((61, 1), (62, 256)):
        _run(Raw(program_size), seed)


@slow
def test_the_same_in_pinned_blocks_beside_a_file_that_is_replaced():
    _run(Pinned(256), 63)
