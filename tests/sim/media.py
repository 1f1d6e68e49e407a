"""
What peers keep their bytes on: NOR flash for devices, a database in memory for the Big Peer.
"""

from memory import MemoryLog
from nor_flash import ERASE, Flash, PowerCut


class SimulatedFlash(Flash):
    """The same flash, quicker as long as no power cut is due: most writes meet erased cells."""

    def _operate(self, *operation):
        kind, block, offset, data = operation
        if self._cut or self.failing:
            Flash._operate(self, *operation)
            return
        self.operation_count += 1
        start = self._start(block, offset, len(data))
        end = start + len(data)
        if kind == ERASE or self.image[start:end] == b"\xff" * len(data):
            self.image[start:end] = data
        else:
            self._apply(operation, "all", None)


class ServerLog(MemoryLog):
    """What host/storage.py is to the store: a commit is there as a whole, or not at all.

    It survives its Store; `cut` is "before" or "after" the next commit.
    """

    authors_max = 65_536

    def __init__(self):
        MemoryLog.__init__(self)
        self.cut = ""
        self._order = []  # (arrival, collection, id), rising; some have moved on since

    def commit(self, puts, relayed=()):
        cut, self.cut = self.cut, ""
        if cut == "before":
            raise PowerCut
        MemoryLog.commit(self, puts)
        for put in sorted(puts, key=lambda put: put[2]):
            if put[0]:
                self._order.append((put[2], put[0], put[1]))
        if cut:
            raise PowerCut

    def since(self, arrival, limit):
        low, high = 0, len(self._order)
        while low < high:
            middle = (low + high) // 2
            if self._order[middle][0] > arrival:
                high = middle
            else:
                low = middle + 1
        found = []
        while low < len(self._order) and len(found) < limit:
            number, collection, id = self._order[low]
            entry = self._collections[collection].get(id)
            if entry is not None and entry[0] == number:
                found.append((collection, id, number, entry[1]))
            low += 1
        return found
