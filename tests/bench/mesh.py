"""
What sync costs in a redundant mesh: `make bench-mesh`; the last line is one JSON object.

Twelve devices in a ring, each linked to two of three relays, which are linked to each other and
to a Big Peer. Each device writes to documents of its own, and to those that it has of two
collections that it subscribes to; stores are small, so that documents go; links come and go,
and every tenth session dies in its middle. Peers are real ones but for the wire between their
sessions, which counts; time is virtual, and the handshake apart.

The reference is the same with the same seeds where only cursors say what a neighbour has:
nothing is known of what it has from others, or has sent itself.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1])]

from app import device  # noqa: E402
from helpers import Random  # noqa: E402
from linked import BIG, GATEWAY, Wire, open_only  # noqa: E402

from edge_peer.core.errors import StoreFull  # noqa: E402
from edge_peer.core.query.execute import Executor  # noqa: E402
from edge_peer.core.store.store import Store  # noqa: E402
from edge_peer.core.sync.link import Opened  # noqa: E402
from edge_peer.core.sync.sender import Sender  # noqa: E402
from edge_peer.core.sync.session import Local, Session  # noqa: E402
from edge_peer.host import codec, storage  # noqa: E402
from edge_peer.subscriptions import Subscriptions  # noqa: E402

DEVICE_COUNT, RELAY_COUNT = 12, 3
COLLECTIONS = [f"c{number}" for number in range(6)]
OWN_COUNT = 80  # documents that a device writes
FIELDS = ("f0", "f1", "f2")
DEVICE_DOCUMENTS_MAX, RELAY_DOCUMENTS_MAX, BIG_DOCUMENTS_MAX = 150, 600, 1 << 20
SESSION_MS = 2_500  # every word of D is out by then
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # durability is not measured here
ROUNDS_MAX = 30  # at the end, until nothing moves
DIES_AFTER_MAX = 12  # frames


class Medium(NamedTuple):
    """A link as TCP's."""

    name: str = "test"
    cost: int = 1
    frame_size_max: int = 4_096
    message_size_max: int = 16_384
    keepalive_ms: int = 10_000
    linger_ms: int = 100
    ack_delay_ms: int = 10_000
    is_ordered: bool = True


class Plan(NamedTuple):
    seed_count: int = 1
    step_count: int = 4_000
    first_seed: int = 1


class Figure(NamedTuple):
    name: str
    goal: str | None = None


FIGURES = (
    Figure("bytes_per_write"),
    Figure("times_fewer_than_cursors_alone", ">= 2.9"),
    Figure("redundant_records_percent", "<= 2"),
    Figure("writes"),
    Figure("sessions"),
    Figure("records"),
)


class MeshPeer:
    def __init__(self, folder, name, flags, documents_max, wanted):
        keyring = device(name, flags, Random(sum(name.encode())))
        chance = Random(1 + sum(name.encode()))
        settings = {"path": f"{folder}/{name}.db", "documents_max": documents_max}
        self.name = name
        self.store = Store(
            lambda evict, before_erase: storage.open_log(settings, evict, before_erase),
            keyring.certificate.key,
            lambda: 1_700_000_000_000,
            chance.bytes,
            flags == BIG,
        )
        self.executor = Executor(self.store, codec)
        self.local = Local(keyring, flags, self.store, self.executor.matcher, chance.bytes)
        relays = flags == GATEWAY
        self.subscriptions = Subscriptions(
            self.store, codec, self.executor.matcher, self._tell, relays
        )
        self.wire = None  # the one that is open
        self.written = set()
        self.records = self.redundant = 0
        self._count_records()
        for collection in wanted:
            self.subscriptions.add(f"SELECT * FROM {collection}", {})

    def tell(self, session, now_ms):
        self.subscriptions.tell(session, now_ms)

    def _tell(self):
        if self.wire is not None:
            self.wire.tell(self)

    def _count_records(self):
        merge = self.store.merge

        def counting(records, *more):
            for record in records:
                self.records += 1
                self.redundant += not self._is_news(record)
            return merge(records, *more)

        self.store.merge = counting

    def _is_news(self, record):
        collection, id, document = record
        have = self.store.get(collection, id) or {}
        return any(have.get(path) != cell for path, cell in document.items())

    def write(self, collection, id, field, value):
        """Write one field; return whether there was room."""
        try:
            self.executor.execute(
                f"INSERT INTO {collection} DOCUMENTS (:d) ON ID CONFLICT DO UPDATE",
                {"d": {"_id": id, field: value}},
            )
        except StoreFull:
            return False
        return True

    def held(self):
        """Return (collection, id, body) of every document here."""
        for collection in COLLECTIONS:
            for id, body in self.store.scan(collection):
                yield collection, id, body


class MeshWire(Wire):
    """One session between two peers."""

    def __init__(self, a, b, now_ms):
        self.peers = (a, b)
        Wire.__init__(self, a, b, Medium(), now_ms)
        a.wire = b.wire = self

    def _session(self, peer, medium):
        def on_event(session, event):
            if isinstance(event, Opened):
                peer.tell(session, lambda: self.now_ms)
                session.set_active(True)

        return Session(peer.local, medium, self.now_ms, on_event, hint=self.hint & 0xFFFFFFFF)

    def tell(self, peer):
        if hasattr(self, "sessions"):
            peer.tell(self.sessions[self.peers.index(peer)], lambda: self.now_ms)

    def close(self):
        for session in self.sessions:
            session.close("done")
        for peer in self.peers:
            peer.wire = None


class Mesh:
    def __init__(self, folder, seed):
        chance = self.chance = random.Random(seed)
        self.big = MeshPeer(folder, "big", BIG, BIG_DOCUMENTS_MAX, ())
        self.relays = [
            MeshPeer(folder, f"relay{number}", GATEWAY, RELAY_DOCUMENTS_MAX, ())
            for number in range(RELAY_COUNT)
        ]
        self.devices = []
        for number in range(DEVICE_COUNT):
            wanted = {COLLECTIONS[number % len(COLLECTIONS)], *chance.sample(COLLECTIONS, 2)}
            name = f"device{number}"
            self.devices.append(MeshPeer(folder, name, 0, DEVICE_DOCUMENTS_MAX, sorted(wanted)))
        devices, relays = self.devices, self.relays
        self.links = [(relay, self.big) for relay in relays]
        self.links += [(relays[0], relays[1]), (relays[1], relays[2])]
        for number, one in enumerate(devices):
            self.links += [(one, relays[(number + k) % RELAY_COUNT]) for k in (0, 1)]
            self.links.append((one, devices[(number + 1) % DEVICE_COUNT]))
        self.up = [True] * len(self.links)
        self.now_ms = self.bytes = self.session_count = self.write_count = 0

    def step(self):
        chance = self.chance
        what = chance.random()
        if what < 0.35:
            self._write()
        elif what < 0.40:
            number = chance.randrange(len(self.links))
            self.up[number] = not self.up[number]
        else:
            number = chance.randrange(len(self.links))
            dies = chance.random() < 0.1
            frame_count = chance.randrange(DIES_AFTER_MAX) if dies else None
            if self.up[number]:
                self.session(*self.links[number], frame_count)

    def _write(self):
        chance = self.chance
        number = chance.randrange(DEVICE_COUNT)
        one = self.devices[number]
        key = COLLECTIONS[number % len(COLLECTIONS)], f"d{number}-{chance.randrange(OWN_COUNT)}"
        if chance.random() < 0.2:
            held = sorted(found[:2] for found in one.held())
            key = chance.choice(held) if held else key
        field, value = chance.choice(FIELDS), chance.randrange(1_000)
        if key in one.written and one.store.body(*key) is None:
            return  # it has gone: what an application knows nothing of it does not change
        if one.write(*key, field, value):
            one.written.add(key)
            self.write_count += 1

    def session(self, a, b, frame_count=None):
        """Sync two peers; return how many records passed."""
        before = a.records + b.records
        wire = open_only(MeshWire(a, b, self.now_ms))
        wire.bytes = 0
        wire.run(SESSION_MS, frame_count)
        wire.close()
        self.now_ms = wire.now_ms + 1_000
        self.bytes += wire.bytes
        self.session_count += 1
        return a.records + b.records - before

    def settle(self):
        """Sync everybody until nothing moves, and see that all have the same."""
        for _ in range(ROUNDS_MAX):
            if not sum(self.session(*link) for link in self.links):
                break
        else:
            raise AssertionError("records still move")
        for one in self.devices:
            assert one.store.unsynced_count() == 0, f"{one.name} has writes that nobody has"
            for collection, id, body in one.held():
                theirs = self.big.store.log.get(collection, id)
                assert body == theirs, f"{one.name} differs in {collection}/{id}"

    def figures(self):
        peers = [self.big, *self.relays, *self.devices]
        names = ("bytes", "writes", "sessions", "records", "redundant")
        numbers = (self.bytes, self.write_count, self.session_count)
        numbers += (sum(one.records for one in peers), sum(one.redundant for one in peers))
        return dict(zip(names, numbers, strict=True))

    def close(self):
        for one in (self.big, *self.relays, *self.devices):
            one.store.log.close()


@contextlib.contextmanager
def cursors_alone():
    """Let nothing but cursors say what a neighbour has."""
    lacks = Sender._lacks
    Sender._lacks = lambda self, *about: True
    try:
        yield
    finally:
        Sender._lacks = lacks


def measure(plan, advance):
    """Return {name: number} of all seeds."""
    total = {}
    for seed in range(plan.first_seed, plan.first_seed + plan.seed_count):
        with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
            mesh = Mesh(folder, seed)
            for _ in range(plan.step_count):
                mesh.step()
                advance()
            found = mesh.figures()
            mesh.settle()
            mesh.close()
        total = {name: total.get(name, 0) + number for name, number in found.items()}
    return total


def result_of(ours, reference):
    """Return {figure: its line}, of what `measure` has found."""

    def numbers(found):
        return {
            "bytes_per_write": round(found["bytes"] / found["writes"], 1),
            "redundant_records_percent": round(100 * found["redundant"] / found["records"], 1),
        } | {name: found[name] for name in ("writes", "sessions", "records")}

    mine, theirs = numbers(ours), numbers(reference)
    ratio = theirs["bytes_per_write"] / mine["bytes_per_write"]
    mine["times_fewer_than_cursors_alone"] = round(ratio, 2)
    theirs["times_fewer_than_cursors_alone"] = 1
    return {
        one.name: {
            "ours": mine[one.name],
            "reference": theirs[one.name],
            "goal": one.goal,
            "met": None if one.goal is None else is_met(one.goal, mine[one.name]),
        }
        for one in FIGURES
    }


def is_met(goal, number):
    sign, bound = goal.split()
    return number <= float(bound) if sign == "<=" else number >= float(bound)


def main():
    options = parse()
    plan = Plan(options.seeds, options.steps, options.first)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("mesh", total=2 * plan.seed_count * plan.step_count)
        ours = measure(plan, lambda: progress.advance(task))
        with cursors_alone():
            reference = measure(plan, lambda: progress.advance(task))
    result = result_of(ours, reference)
    Console().print(table(result, plan))
    print(json.dumps(result))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    plan = Plan()
    parser.add_argument("--seeds", type=int, default=plan.seed_count)
    parser.add_argument("--first", type=int, default=plan.first_seed, help="the first seed")
    parser.add_argument("--steps", type=int, default=plan.step_count)
    return parser.parse_args()


def table(result, plan):
    rows = Table(title=f"16 peers, {plan.step_count:,} steps, {plan.seed_count} seeds")
    for column in ("figure", "edge-peer", "cursors alone", "goal", "met"):
        rows.add_column(column, justify="left" if column == "figure" else "right")
    for name, line in result.items():
        met = {True: "yes", False: "[bold red]no", None: ""}[line["met"]]
        rows.add_row(name, f"{line['ours']:,}", f"{line['reference']:,}", line["goal"] or "", met)
    return rows


if __name__ == "__main__":
    main()
