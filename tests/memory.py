"""
A log in memory, for tests that need a store and are not about storage.

It keeps the Log contract of edge_peer/core/store.py in the simplest way: it has no
bound, evicts nothing, loses nothing and survives no restart but that of the Store
above it. Never use it to test storage: what core/log.py and host/storage.py
promise beyond this, they are held to by tests of their own. Runs on CPython and
MicroPython.
"""

from edge_peer.core.log import META
from edge_peer.core.store import Store


class MemoryLog:
    def __init__(self):
        self.arrival_max = 0
        self._entries = {}  # (collection, id) -> (arrival, body)

    def get(self, collection, id):
        entry = self._entries.get((collection, id))
        return None if entry is None else entry[1]

    def since(self, arrival, limit):
        found = []
        for key, entry in self._entries.items():
            if key[0] != META and entry[0] > arrival:
                found.append((entry[0], key, entry[1]))
        found.sort()
        return [(key[0], key[1], number, body) for number, key, body in found[:limit]]

    def scan(self, collection):
        for key, entry in list(self._entries.items()):
            if key[0] == collection:
                yield key[1], entry[1]

    def collections(self):
        return sorted({key[0] for key in self._entries if key[0] != META})

    def commit(self, puts):
        for collection, id, arrival, body in puts:
            self._entries[(collection, id)] = (arrival, body)
            self.arrival_max = max(self.arrival_max, arrival)

    def evict_again(self):
        pass

    def status(self):
        return {"documents": len([key for key in self._entries if key[0] != META])}


def open_log(evict, before_erase):
    """What Store takes as its `open_log`: an empty log."""
    return MemoryLog()


def open_store(log=None, device_id=b"device", wall_ms=None, keeps_all=False):
    """Open a Store on this log, or an empty one; its clock stands still at `wall_ms`."""
    log = log or MemoryLog()
    return Store(
        lambda evict, before_erase: log, device_id, lambda: wall_ms, lambda n: bytes(n), keeps_all
    )
