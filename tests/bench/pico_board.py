"""
What tests/bench/pico.py runs on the virtual Pico; every function prints one JSON object.

Times are in us of the board. The document is that of `make bench-store` without its _id:
a board lets edge-peer make one.
"""

import gc
import json
import time
from array import array

from edge_peer.peer import SmallPeer

INSERT = "INSERT INTO readings DOCUMENTS (:r)"
SELECT = "SELECT * FROM readings WHERE _id = :id"
CONFIG = "/edge.json"
KEPT_IDS = 50  # of the documents written last
LOG_BODY_SIZE = 91  # with an id of 8, the document of the figures that are the goal

peer = None
ids = []
number = 0  # of the next document


def open_peer(blocks, documents_max):
    """Open the store, made if there is none, with so many blocks and room in the index."""
    global peer
    storage = {"pinned": "/edge_log", "blocks": blocks, "documents_max": documents_max}
    device = {"id": "00" * 8, "name": "pico"}
    with open(CONFIG, "w") as file:
        json.dump({"app_id": "00" * 16, "device": device, "storage": storage, "links": []}, file)
    gc.collect()
    heap = gc.mem_alloc()
    started = time.ticks_us()
    peer = SmallPeer.open(CONFIG)
    took = time.ticks_diff(time.ticks_us(), started)
    gc.collect()
    documents = peer.status()["documents"]
    tell(us=took, heap=gc.mem_alloc() - heap, free=gc.mem_free(), documents=documents)


def insert(count, size, is_quiet=False):
    """Insert count times `size` documents; is_quiet: collect garbage before each, untimed."""
    times = array("i")
    for _ in range(count):
        argument = some(size)
        if is_quiet:
            gc.collect()
        started = time.ticks_us()
        made = peer.execute(INSERT, argument).ids
        times.append(time.ticks_diff(time.ticks_us(), started))
        ids.append(made[0])
        if len(ids) > KEPT_IDS:
            ids.pop(0)
    tell_times(times)


def select(count):
    peer.execute(SELECT, {"id": ids[0]})  # the first one loads modules
    times = array("i")
    for i in range(count):
        argument = {"id": ids[i * 37 % len(ids)]}
        gc.collect()
        started = time.ticks_us()
        items = peer.execute(SELECT, argument).items
        times.append(time.ticks_diff(time.ticks_us(), started))
        assert items[0]["_id"] == argument["id"]
    tell_times(times)


def commit(count, size):
    """Commit to the log itself: nothing is parsed, encoded or stamped. The last thing to do."""
    global number
    body = bytes(range(LOG_BODY_SIZE))
    log = peer.store.log
    times = array("i")
    for _ in range(count):
        puts = []
        for _ in range(size):
            number += 1
            puts.append(("readings", "%08d" % number, log.arrival_max + 1 + len(puts), body))
        gc.collect()
        started = time.ticks_us()
        log.commit(puts)
        times.append(time.ticks_diff(time.ticks_us(), started))
    tell_times(times)


def fill(size):
    """Let all be durable elsewhere, and insert until the store gives old documents up."""
    peer.store.learn_durable({peer.store.author: 1 << 29})
    while not peer.status()["evicted"]:
        peer.execute(INSERT, some(size))
    tell(documents=peer.status()["documents"])


def collect():
    gc.collect()
    started = time.ticks_us()
    gc.collect()
    tell(us=time.ticks_diff(time.ticks_us(), started))


def some(size):
    """Return the arguments of the INSERT that writes the next `size` documents."""
    global number
    number += size
    if size == 1:
        return {"r": document(number)}
    return {"r": [document(number - size + i) for i in range(size)]}


def document(number):
    """Return a reading of about 60 bytes of JSON."""
    return {
        "sensor": "s%03d" % (number % 100),
        "temp": 15 + number % 1999 / 100,
        "seq": number,
        "ok": number % 7 != 0,
    }


def tell(**result):
    print(json.dumps(result))


def tell_times(times):
    tell(count=len(times), mean_us=sum(times) / len(times), max_us=max(times))
