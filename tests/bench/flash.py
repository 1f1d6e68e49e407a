"""
What the log costs flash, counted by a model of NOR flash (tests/nor_flash.py).

    make bench-flash

A row is counted at the quota, when the log goes round its ring. Documents have 100
bytes and beside them an automatic id of 19 characters ("small": both in 100 bytes) and
a collection of eight; the store's own entry has 100 bytes and is written as the store
writes it. Erases and cells (bytes that really change) are per document; "longest" is
the most that a single call did. The settings let at most half the quota be pinned.
littlefs is given as many blocks for a file that one record of 100 bytes is
appended to and flushed. The last line is one JSON object.
"""

import json
import sys
from pathlib import Path

from edge_peer.core.store.log import META, WHOLE, FlashLog
from edge_peer.core.store.records import device_quota_bytes

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from helpers import Random  # noqa: E402
from nor_flash import Flash  # noqa: E402

BLOCK_COUNT = 64
DOCUMENT_BYTES = 100
STATE_BYTES = 100
CHECKPOINT_ARRIVALS = 64  # core/store/store.py
RING_TURNS = 3
GOALS = {
    "erases_per_insert": 0.035,
    "erases_per_insert_in_batches_of_10": 0.035,
    "cells_per_byte": 1.5,
    "cells_per_byte_in_batches_of_10": 1.5,
    "erases_per_pinned_change": 0.04,
    "erases_per_pinned_change_half_the_flash": 0.04,
    "erases_per_small_pinned_change_half_the_flash": 0.04,
    "wear_max_over_min_after_10_rewrites": 2,
}


class Run:
    """A log on flash of its own, and what each call of commit cost."""

    def __init__(self, program_size=256, evict=True, block_count=BLOCK_COUNT, size=DOCUMENT_BYTES):
        self.size = size
        self.flash = Flash(block_count, program_size)
        self.log = FlashLog(
            self.flash,
            {WHOLE: (None, 5000)},
            lambda collection, id, body, may_lose: evict,
            lambda: [self.state()],
            program_size,
        )
        self.random = Random(1)
        self.arrival = self.saved_arrival = 0
        self.start()

    def state(self):
        self.saved_arrival = self.arrival
        return (META, "state", self.arrival, self.random.bytes(STATE_BYTES))

    def start(self):
        """Count from here."""
        flash = self.flash
        self.count = self.longest_read = self.longest_written = 0
        self.before = (sum(flash.erase_counts), flash.changed_cells, flash.programmed_bytes)

    def put(self, ids):
        puts = []
        for id in ids:
            self.arrival += 1
            puts.append(("readings", id, self.arrival, self.random.bytes(self.size)))
        read, written = self.flash.read_bytes, self.flash.programmed_bytes
        self.log.commit(puts)
        if self.arrival - self.saved_arrival >= CHECKPOINT_ARRIVALS:
            self.log.commit([self.state()])
        self.longest_read = max(self.longest_read, self.flash.read_bytes - read)
        self.longest_written = max(self.longest_written, self.flash.programmed_bytes - written)
        self.count += len(puts)

    def insert(self, batch):
        self.put(["%019d" % (self.arrival + i) for i in range(batch)])

    def change(self, ids):
        self.put([self.random.choice(ids)])

    def turns(self):
        return min(self.flash.erase_counts)

    def figures(self):
        flash = self.flash
        erases = sum(flash.erase_counts) - self.before[0]
        return {
            "erases": erases / self.count,
            "cells": (flash.changed_cells - self.before[1]) / self.count,
            "sent": (flash.programmed_bytes - self.before[2]) / self.count,
            "wear": "%d-%d" % (min(flash.erase_counts), max(flash.erase_counts)),
            "longest_read": self.longest_read,
            "longest_written": self.longest_written,
        }


def inserts(batch, program_size):
    run = Run(program_size)
    while run.turns() < 1:
        run.insert(batch)
    run.start()
    while run.turns() < 1 + RING_TURNS:
        run.insert(batch)
    return run


def mixed():
    """10 inserts to 3 changes of the newest 100."""
    run = Run()
    ids = []
    while run.turns() < 1 + RING_TURNS:
        if run.turns() == 1 and run.before[0] == 0:
            run.start()
        if run.random.below(13) < 10:
            ids = ids[-99:] + ["%019d" % run.arrival]
            run.put(ids[-1:])
        else:
            run.change(ids)
    return run


def pinned(size, document_bytes=DOCUMENT_BYTES):
    """Changes of documents that take so many bytes of the flash and never go."""
    run = Run(evict=False, size=document_bytes)
    ids = []
    while len(ids) * (13 + 19 + document_bytes + 3 & ~3) < size:
        ids.append("%019d" % run.arrival)
        run.put(ids[-1:])
    while run.turns() < 2:
        run.change(ids)
    run.start()
    while run.turns() < 2 + RING_TURNS:
        run.change(ids)
    return run


def rewrites():
    """Ten times as many bytes as the flash has."""
    run = Run(block_count=16)
    while run.log.arrival_max * DOCUMENT_BYTES < 10 * 16 * 4096:
        run.insert(1)
    return run


def littlefs_erases(program_size=256):
    """Return the erases of littlefs for a record appended and flushed, or None without it."""
    try:
        from lfs import _Device
        from littlefs import LittleFS
    except ImportError:
        return None
    flash = Flash(BLOCK_COUNT, program_size)
    files = LittleFS(
        _Device(flash),
        mount=False,
        block_size=4096,
        block_count=BLOCK_COUNT,
        read_size=32,
        prog_size=program_size,
        cache_size=1024,
        lookahead_size=32,
        block_cycles=100,
    )
    files.format()
    files.mount()
    count = 0
    random = Random(1)
    start = sum(flash.erase_counts)
    with files.open("log", "wb", 0) as file:
        for _ in range(BLOCK_COUNT * 4096 // 2 // DOCUMENT_BYTES):
            file.write(random.bytes(DOCUMENT_BYTES))
            file.flush()
            count += 1
    return (sum(flash.erase_counts) - start) / count


def main():
    quota_bytes = device_quota_bytes(BLOCK_COUNT)
    runs = {
        "inserts": inserts(1, 256),
        "inserts, any length (ESP32)": inserts(1, 1),
        "inserts in batches of 10": inserts(10, 256),
        "10 inserts to 3 changes": mixed(),
        "changes, half the quota pinned": pinned(quota_bytes // 2),
        "changes, half the flash pinned": pinned(BLOCK_COUNT * 4096 // 2),
        "the same, small documents": pinned(BLOCK_COUNT * 4096 // 2, DOCUMENT_BYTES - 19),
        "10 rewrites of 16 blocks": rewrites(),
    }
    columns = ("erases", "cells", "sent", "wear", "longest_read", "longest_written")
    print("%-31s %8s %7s %7s %7s %8s %8s" % (("per document, %d blocks" % BLOCK_COUNT,) + columns))
    for name, run in runs.items():
        figures = run.figures()
        values = (figures["erases"], figures["cells"], figures["sent"], figures["wear"])
        longest = (figures["longest_read"], figures["longest_written"])
        print("%-31s %8.4f %7.1f %7.1f %7s %8d %8d" % ((name,) + values + longest))
    reference = littlefs_erases()
    if reference is not None:
        print("%-31s %8.4f" % ("littlefs, append and flush", reference))
    print("quota %d of %d bytes" % (quota_bytes, BLOCK_COUNT * 4096))
    print(json.dumps(summary({name: run.figures() for name, run in runs.items()}, reference)))


def summary(figures, reference):
    batches = figures["inserts in batches of 10"]
    low, high = figures["10 rewrites of 16 blocks"]["wear"].split("-")
    ours = {
        "erases_per_insert": figures["inserts"]["erases"],
        "erases_per_insert_in_batches_of_10": batches["erases"],
        "cells_per_byte": figures["inserts"]["cells"] / DOCUMENT_BYTES,
        "cells_per_byte_in_batches_of_10": batches["cells"] / DOCUMENT_BYTES,
        "erases_per_pinned_change": figures["changes, half the quota pinned"]["erases"],
        "erases_per_pinned_change_half_the_flash": figures["changes, half the flash pinned"][
            "erases"
        ],
        "erases_per_small_pinned_change_half_the_flash": figures["the same, small documents"][
            "erases"
        ],
        "wear_max_over_min_after_10_rewrites": int(high) / int(low),
    }
    result = {}
    for name, value in ours.items():
        goal = GOALS[name]
        result[name] = {"ours": round(value, 4), "goal": "<= %g" % goal, "met": value <= goal}
    result["erases_per_insert"]["littlefs"] = reference and round(reference, 4)
    return result


if __name__ == "__main__":
    main()
