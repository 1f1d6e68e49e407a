"""
A log in memory, for tests that need a store and are not about storage.

It keeps the Log contract of edge_peer/core/store/store.py in the simplest way: it has no
bound, evicts nothing, loses nothing and survives no restart but that of the Store
above it. Never use it to test storage: what core/store/log.py and host/storage.py
promise beyond this, they are held to by tests of their own. Runs on CPython and
MicroPython.
"""

import gc

from edge_peer.core.limits import ATTACHMENTS, HIDDEN, WHOLE
from edge_peer.core.store.log import META
from edge_peer.core.store.store import Store

# Its entries stay, and lie between much that does not. MicroPython never moves an
# object, so unless it collects early, a heap that is nearly empty has no 3 kB in one piece.
if hasattr(gc, "threshold"):
    gc.threshold(50_000)


class MemoryLog:
    authors_max = 100
    document_bytes_max = 262_144
    on_gone = None
    commit_bytes_max = 1 << 20
    has_indexes = False
    before_erase = list  # of the store: what must be durable when documents go

    def __init__(self):
        self.arrival_max = 0
        self.limits = {WHOLE: (None, None), ATTACHMENTS: (None, None)}
        self._collections = {}  # collection -> {id: (arrival, body)}

    def get(self, collection, id):
        entry = self._collections.get(collection, {}).get(id)
        return None if entry is None else entry[1]

    def since(self, arrival, limit):
        found = []
        for collection in self.collections():
            for id, entry in self._collections[collection].items():
                if entry[0] > arrival:
                    found.append((entry[0], collection, id))
        found.sort()
        return [
            (collection, id, number, self.get(collection, id))
            for number, collection, id in found[:limit]
        ]

    def scan(self, collection, keep=None):
        for id, entry in list(self._collections.get(collection, {}).items()):
            if keep is None or keep(entry[1]):
                yield id, entry[1]

    def totals(self, group):
        bodies = [body for _, body in self._collections.get(group, {}).values()]
        return len(bodies), sum([len(body) for body in bodies])

    def collections(self):
        return sorted([name for name in self._collections if name != META and name not in HIDDEN])

    def commit(self, puts, relayed=()):
        for collection, id, arrival, body in puts:
            self._collections.setdefault(collection, {})[id] = (arrival, body)
            self.arrival_max = max(self.arrival_max, arrival)

    def drop(self, keys):
        self.commit(self.before_erase())
        for collection, id in keys:
            del self._collections[collection][id]

    def evict_again(self):
        pass

    def status(self):
        return {"documents": sum([len(self._collections[name]) for name in self.collections()])}


def open_log(evict, before_erase):
    """What Store takes as its `open_log`: an empty log."""
    log = MemoryLog()
    log.before_erase = before_erase
    return log


def open_store(log=None, device_id=b"device", wall_ms=None, keeps_all=False):
    """Open a Store on this log, or an empty one; its clock stands still at `wall_ms`."""
    log = log or MemoryLog()
    return Store(
        lambda evict, before_erase: log, device_id, lambda: wall_ms, lambda n: bytes(n), keeps_all
    )
