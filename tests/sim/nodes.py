"""
One peer: the real store and links on simulated flash, under the world's time.

    spec   name       what it is called; its device id
           role       "board", "relay", "big" or "hostile" (hostile.py)
           wants      zones that it subscribes to (operations.py); None: nothing
           signs      what it writes goes through relays in signed batches
           blocks     of flash, 4 KiB each; documents_max
           skew_ms    what its wall clock is wrong by; None: it has no clock
"""

from app import MemoryShelf, device
from nor_flash import PowerCut

from edge_peer.core.errors import StorageError
from edge_peer.core.limits import AUTHORS, WHOLE
from edge_peer.core.query.execute import Executor
from edge_peer.core.query.view import fields_of
from edge_peer.core.store.log import FlashLog
from edge_peer.core.store.store import Store
from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE
from edge_peer.core.sync.session import Local
from edge_peer.guarding import open_guard
from edge_peer.peer import Links
from edge_peer.runtime import load
from edge_peer.subscriptions import Subscriptions
from sim.media import ServerLog, SimulatedFlash

START_MS = 1_800_000_000_000  # Unix time at the beginning of every world
FLAGS = {"board": 0, "hostile": 0, "relay": WANTS_UNDURABLE | RELAYS, "big": WANTS_ALL}
RANGE = 1_000_000  # zone z is the values from z * RANGE on
STATEMENT = "SELECT * FROM %s WHERE zone >= :low AND zone < :high"

COUNTER = "sum"  # the field of a thing that is counted up
COLLECTIONS = ("readings", "things")

codec = load("codec")


class _System:
    """What Links asks of a runtime."""

    def __init__(self, world):
        self._world = world

    def now_ms(self):
        return self._world.now_ms

    def log(self, text):
        pass


class Node:
    retry_ms_max = 15_000  # between two attempts at a link, as peer.py has it

    def __init__(self, world, index, spec):
        self.world = world
        self.index = index
        self.name = spec["name"]
        self.role = spec["role"]
        self.skew_ms = spec.get("skew_ms", 0)
        self.wants = spec.get("wants")
        self.store = None
        self.links = None
        self.local = None
        self.executor = None
        self.wires = []  # (wire, side)
        self.writing = False  # an operation of the application is under way
        self.is_retired = False  # off, for good
        self.boot_count = 0
        self._spec = spec
        self._chance = world.chance("node %d" % index)
        self._log = None
        self._shelf = MemoryShelf()
        self.new_medium()

    def is_up(self):
        return self.store is not None

    def is_big(self):
        return self.role == "big"

    def is_hostile(self):
        return self.role == "hostile"

    def retire(self):
        self.is_retired = True
        self.power_off()

    def new_medium(self):
        self.flash = None if self.is_big() else SimulatedFlash(self._spec.get("blocks", 12))
        self._server_log = ServerLog() if self.is_big() else None

    def wall_ms(self):
        return None if self.skew_ms is None else START_MS + self.world.now_ms + self.skew_ms

    # Power

    def boot(self):
        if self.is_up() or self.is_retired:
            return
        if self.flash is not None:
            self.flash.power_on()
        self.boot_count += 1
        self.guard(self._boot)

    def _boot(self):
        signs = self._spec.get("signs", False)
        keyring = device(self.name, FLAGS[self.role], self._chance, shelf=self._shelf, signs=signs)
        key = keyring.certificate.key
        store = Store(self._open_log, key, self.wall_ms, self._chance.bytes, self.is_big())
        self.store = store
        if self.flash is not None:
            self.flash.failing = ()
        self.executor = Executor(store, codec)
        self.local = Local(
            keyring, FLAGS[self.role], store, self.executor.matcher, self._chance.bytes
        )
        self.links = Links(self.local, _System(self.world))
        self.links.on_open = self._tell
        open_guard(self.links, codec)
        self._subscriptions = Subscriptions(
            store, codec, self.executor.matcher, self._tell_all, self.role == "relay"
        )
        self._subscribed = {}  # zone -> its subscriptions
        store.on_commit(self._committed, with_gone=True)
        self.set_wants(self.wants)
        self.world.booted(self)
        for wire, side in self.wires:
            wire.node_up(side)

    def _open_log(self, evict, before_erase):
        if self._server_log is not None:
            return self._server_log
        limits = {WHOLE: (None, self._spec.get("documents_max", 200))}
        return FlashLog(self.flash, limits, evict, before_erase)

    def cut_power_at(self, count, tear):
        """Let the power fail in the `count`-th write from now; the Big Peer's fails in the next."""
        if self.flash is not None:
            self.flash.cut_at(count, tear, self._chance)
        else:
            self._server_log.cut = "after" if count % 2 else "before"

    def fail_flash_at(self, count):
        if self.flash is not None:
            self.flash.failing = (self.flash.operation_count + count,)

    def power_off(self):
        if not self.is_up():
            return
        for end in list(self.links.pumps):
            end.drop()
        for wire, side in self.wires:
            wire.node_down(side)
        self.store = self.links = self.local = self.executor = None
        self.world.note("off", self.index)

    def mend(self):
        """What was to break and has not yet, does not."""
        if self.flash is not None:
            self.flash.failing = ()
            if self.is_up():
                self.flash.power_on()
        else:
            self._server_log.cut = ""

    def guard(self, action, *arguments):
        """Run what may write to flash: the power may fail in the middle of it."""
        try:
            action(*arguments)
        except PowerCut:
            self.world.power_failed(self)
        except StorageError:
            if self.is_up() or not self.flash.failing:  # a boot that fails is tried again
                raise

    # Subscriptions

    def set_wants(self, zones):
        """Want these zones of both collections; None: nothing."""
        self.wants = zones
        for zone in zones or []:
            if zone not in self._subscribed:
                arguments = {"low": zone * RANGE, "high": (zone + 1) * RANGE}
                self._subscribed[zone] = [
                    self._subscriptions.add(STATEMENT % collection, arguments)
                    for collection in COLLECTIONS
                ]
        for zone in sorted(self._subscribed):
            if zone not in (zones or []):
                for one in self._subscribed.pop(zone):
                    one.cancel()

    def forget(self, what):
        if what == "cursors":
            self.store.cursors = {}
            for end in self.links.pumps:
                if end.session.sync is not None:
                    end.session.sync.say_again()
        else:
            self.store.forget_knowledge()
        self._tell_all()

    def _tell(self, session):
        self._subscriptions.tell(session, lambda: self.world.now_ms)

    def _tell_all(self):
        for end in list(self.links.pumps):
            self._tell(end.session)
            end.wake()

    # What the store tells

    def _committed(self, puts, gone):
        if gone:
            self.world.gone(self, gone)
        self.world.committed(self, puts)

    # What an application sees

    def fields(self, collection, id):
        """Return the document's fields as SELECT has them, or None."""
        rows = self.executor.execute(
            "SELECT * FROM %s WHERE _id = :id" % collection, {"id": id}
        ).items
        return rows[0] if rows else None

    def knows_deleted(self, collection, id):
        """Return whether its store has the document, and has it as deleted."""
        body = None if id is None else self.store.log.get(collection, id)
        return body is not None and fields_of(body, codec.unpack) is None

    def dump(self):
        """Return {(collection, id): body} of everything that applications have written."""
        log = self.store.log
        return {
            (collection, id): bytes(body)
            for collection in log.collections()
            if collection != AUTHORS
            for id, body in log.scan(collection)
        }
