"""
Where each document lies on flash: 4 bytes of RAM a slot, one allocation at open.

A partial-key cuckoo table. A slot holds a 10-bit tag of the key's hash and the
20-bit location of the newest record, 30 bits together, which MicroPython keeps
as a small integer. A key lives in one of two buckets of four slots, and the
second follows from the first and the tag, so entries move without a look at
flash and a removal leaves nothing behind. A false tag costs its reader one look
at flash (8 slots / 1023 tags).

Source: Fan, Andersen, Kaminsky, Mitzenmacher, "Cuckoo Filter: Practically Better
Than Bloom", CoNEXT 2014 (partial-key cuckoo hashing).
"""

from array import array

from edge_peer.core.errors import StoreFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LOCATION_BITS = 20
LOCATION_MASK = (1 << LOCATION_BITS) - 1
_TAG_MASK = 1023
_STEP = 0x5BD1  # odd; spreads the tags over the buckets
_KICKS_MAX = 400


class Index:
    """Room for `capacity` documents at a load of 85 %: 4.7 bytes each."""

    def __init__(self, capacity: int) -> None:
        self._bucket_count = max(2, (capacity * 20 // 17 + 3) // 4 | 1)
        self._slots = array("I", bytes(self._bucket_count * 16))
        self._random = 1
        self.count = 0

    def candidates(self, key_hash: int) -> "list[int]":
        """Return the locations that may be the key's."""
        tag, bucket = self._home(key_hash)
        found = []
        for slot in self._places(tag, bucket):
            entry = self._slots[slot]
            if entry >> LOCATION_BITS == tag:
                found.append(entry & LOCATION_MASK)
        return found

    def add(self, key_hash: int, location: int) -> None:
        """Enter a new key; raise StoreFull, with nothing changed, when it finds no place."""
        tag, bucket = self._home(key_hash)
        entry = tag << LOCATION_BITS | location
        for slot in self._places(tag, bucket):
            if not self._slots[slot]:
                self._slots[slot] = entry
                self.count += 1
                return
        self._make_room(entry, bucket)
        self.count += 1

    def move(self, key_hash: int, old: int, new: int) -> None:
        tag, _ = self._home(key_hash)
        self._slots[self._find(key_hash, old)] = tag << LOCATION_BITS | new

    def remove(self, key_hash: int, location: int) -> None:
        self._slots[self._find(key_hash, location)] = 0
        self.count -= 1

    def drop_block(self, block: int) -> int:
        """Remove every entry that points into an erase block; return how many there were."""
        count: int = 0
        for slot in range(len(self._slots)):
            if self._slots[slot] and (self._slots[slot] & LOCATION_MASK) >> 10 == block:
                self._slots[slot] = 0
                count += 1
        self.count -= count
        return count

    def locations(self) -> "Iterator[int]":
        """Yield every location, in no order."""
        for entry in self._slots:
            if entry:
                yield entry & LOCATION_MASK

    def _home(self, key_hash: int) -> "tuple[int, int]":
        return (key_hash & _TAG_MASK) or 1, (key_hash >> 10) % self._bucket_count

    def _other(self, tag: int, bucket: int) -> int:
        return (tag * _STEP - bucket) % self._bucket_count

    def _places(self, tag: int, bucket: int) -> "tuple[int, ...]":
        first, second = 4 * bucket, 4 * self._other(tag, bucket)
        slots = (first, first + 1, first + 2, first + 3)
        return slots if first == second else slots + (second, second + 1, second + 2, second + 3)

    def _find(self, key_hash: int, location: int) -> int:
        tag, bucket = self._home(key_hash)
        entry = tag << LOCATION_BITS | location
        for slot in self._places(tag, bucket):
            if self._slots[slot] == entry:
                return slot
        raise AssertionError("location is not in the index")

    def _make_room(self, entry: int, bucket: int) -> None:
        """Push entries to their other buckets until one finds a free slot there."""
        trail: list[int] = []
        while len(trail) < _KICKS_MAX:
            self._random = (self._random * 1103 + 12345) & 0xFFFF
            slot = 4 * bucket + (self._random >> 5 & 3)
            trail.append(slot)
            entry, self._slots[slot] = self._slots[slot], entry
            bucket = self._other(entry >> LOCATION_BITS, bucket)
            for free in range(4 * bucket, 4 * bucket + 4):
                if not self._slots[free]:
                    self._slots[free] = entry
                    return
        while trail:
            slot = trail.pop()
            entry, self._slots[slot] = self._slots[slot], entry
        raise StoreFull("the index has no room for another document")
