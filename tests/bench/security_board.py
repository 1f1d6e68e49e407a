"""
What tests/bench/security.py runs: on the virtual Pico, on MicroPython here, and on CPython.

Every function prints one JSON object. Times are in us. Both sides of a handshake run in one
process, and each is timed alone; a stretch is what runs between two yields. Garbage is
collected as the runtime does it.
"""

import gc
import json
import time

from edge_peer import runtime
from edge_peer.core.codec import pack
from edge_peer.core.document import Cell
from edge_peer.core.ids import automatic_id
from edge_peer.core.sync.messages import Encoder
from edge_peer.security import batch
from edge_peer.security.identity import from_text
from edge_peer.security.keyring import Keyring
from edge_peer.security.record import Opener, Sealer

crypto = runtime.load("crypto")
NOW_S = 200_000_000
KEY = bytes(range(20))
AUTHOR = b"author-a"

if hasattr(time, "ticks_us"):
    now_us, since = time.ticks_us, lambda start: time.ticks_diff(time.ticks_us(), start)
else:

    def now_us():
        return time.perf_counter_ns() // 1000

    def since(start):
        return now_us() - start


class Shelf:
    """Keeps in memory: what a flash takes is measured elsewhere."""

    def __init__(self, files):
        self._files = files
        self.read = files.get
        self.write = files.__setitem__
        self.names = files.keys

    def remove(self, name):
        self._files.pop(name, None)


class Side:
    """A channel, and how long it took."""

    def __init__(self, keyring, waits):
        start = now_us()
        self.channel = keyring.channel(256, False, waits, 1, 0)
        self.total_us = self.longest_us = 0
        self._note(start)

    def step(self):
        more = True
        while more:
            start = now_us()
            more = self.channel.step(0)
            self._note(start)

    def take(self, frame):
        start = now_us()
        self.channel.receive_frame(frame, 0)
        self._note(start)
        self.step()

    def say(self):
        start = now_us()
        frames = self.channel.frames_to_send(0)
        self._note(start)
        return frames

    def confirm(self):
        start = now_us()
        record = self.channel.seal(b"")
        self._note(start)
        return record

    def _note(self, start):
        took = since(start)
        self.total_us += took
        self.longest_us = max(self.longest_us, took)


def entropy(size):
    import os

    return os.urandom(size)


def keyrings(folder, has_table=False):
    """Return the keyrings of two devices that have never met anybody."""
    found = []
    for name in ("a", "b"):
        with open(folder + name + ".json") as file:
            identity = from_text(file.read())
        shelf = Shelf({})
        if has_table:
            with open(folder + "table", "rb") as file:
                shelf.write("table", file.read())
        found.append(Keyring(crypto, identity, shelf, entropy, lambda: NOW_S, 8))
    return found


def met(rings):
    """Let them meet; return (initiator, responder, bytes)."""
    a, b = Side(rings[0], False), Side(rings[1], True)
    size = 0
    a.step()
    sides = (a, b)
    turn = 0
    while not (a.channel.is_ready and b.channel.is_ready):
        speaker, listener = sides[turn & 1], sides[1 - (turn & 1)]
        frames = speaker.say()
        if speaker.channel.is_ready and not frames:
            frames = [speaker.confirm()]
        for frame in frames:
            size += len(frame)
            listener.take(frame)
        turn += 1
        assert turn < 10
    return a, b, size


def handshake(folder, has_table=False, count=1):
    """A full handshake of strangers, of which one that loads all modules goes before."""
    met(keyrings(folder, has_table))
    best = None
    for _ in range(count):
        rings = keyrings(folder, has_table)
        gc.collect()
        shake = met(rings)
        if best is None or slower(shake) < slower(best):
            best = shake
    a, b, size = best
    known = met_again(rings)
    resumed_a, resumed_b, resumed_size = met(rings)
    gc.collect()
    runs = [met(rings) for _ in range(3)]
    tell(
        first_us=slower(best),
        known_us=known,
        stretch_us=max(a.longest_us, b.longest_us),
        bytes=size,
        resumed_us=min([slower(run) for run in runs]),
        resumed_bytes=resumed_size,
    )


def met_again(rings):
    """Return how long a full handshake takes with certificates that were verified before."""
    for ring in rings:
        ring._tickets = []
    return slower(met(rings))


def slower(run):
    """Return the time of the slower side of what `met` returns."""
    return max(run[0].total_us, run[1].total_us)


def records(size, count):
    """Seal and open records of so many bytes."""
    sealer, opener = Sealer(crypto, KEY), Opener(crypto, KEY, False)
    payload = bytes(size)
    assert opener.open(sealer.seal(payload)) == payload
    gc.collect()
    start = now_us()
    sealed = [sealer.seal(payload) for _ in range(count)]
    seal_us = since(start) / count
    start = now_us()
    for record in sealed:
        opener.open(record)
    tell(seal_us=seal_us, open_us=since(start) / count, overhead=len(sealed[0]) - size)


def heap():
    """What the keys of one more session take."""
    kept = [Sealer(crypto, KEY), Opener(crypto, KEY, False)]
    gc.collect()
    before = gc.mem_alloc()
    kept.append((Sealer(crypto, KEY), Opener(crypto, KEY, False)))
    gc.collect()
    tell(session=gc.mem_alloc() - before)


def authorship(folder, count=32):
    """What it takes to sign a batch of readings, and what that adds to a link that stands.

    To encode it is told apart: what is in a batch need not be encoded for the link.
    """
    ring = keyrings(folder)[0]
    crypto.run(ring.sign(b"the first one makes the key"))
    plain, signing = Encoder(AUTHOR), Encoder(AUTHOR)
    for first in (0, count):  # the second: the link knows the shapes of both
        puts, bodies = readings(first, count)
        plain_size = len(plain.delta(first, puts, bodies, 4096))
        gc.collect()
        start = now_us()
        body, signed_count = batch.encode(AUTHOR, puts, bodies)
        assert signed_count == count
        steps = ring.sign(batch.message_of(bytes(16), AUTHOR, body))
        stretches = [since(start)]
        signature = None
        while signature is None:
            begun = now_us()
            try:
                next(steps)
            except StopIteration as end:
                signature = end.value
            stretches.append(since(begun))
        record = batch.record_of(AUTHOR, signature, body, bodies)
        total_us = since(start)
        put = record[0], record[1], first + count, b""
        signed_size = len(signing.delta(first, [put], [record[2]], 4096))
    tell(
        record_us=(total_us - stretches[0]) / count,
        encode_us=stretches[0],
        stretch_us=max(stretches[1:]),
        record_bytes=(signed_size - plain_size) / count,
    )


def readings(first, count):
    puts, bodies = [], []
    for n in range(first, first + count):
        stamp = (100_000_000 + 30_000 * n) << 8
        values = {"temp": 20 + n / 4, "humidity": 50 + n % 3, "n": n}
        puts.append(("readings", automatic_id(stamp, AUTHOR), n + 1, b""))
        bodies.append({name: Cell(stamp, AUTHOR, n + 1, 0, pack(values[name])) for name in values})
    return puts, bodies


def flood(folder, count):
    """M1 that are not of this app."""
    side = Side(keyrings(folder)[0], True)
    frames = [b"\1" + bytes([i & 255]) * 53 for i in range(count)]
    gc.collect()
    start = now_us()
    for frame in frames:
        side.channel.receive_frame(frame, 0)
    tell(forged_us=since(start) / count)


def tell(**result):
    print(json.dumps(result))
