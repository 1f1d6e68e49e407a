"""
Where each document lies on flash: 4 bytes of RAM a slot, one allocation at open.

A partial-key cuckoo table. A slot holds a 10-bit tag of the key's hash and the
20-bit location of the newest record, 30 bits together, which MicroPython keeps
as a small integer. A key lives in one of two buckets of four slots, and the
second follows from the first and the tag, so entries move without a look at
flash and a removal leaves nothing behind. A false tag costs its reader one look
at flash (8 slots / 1023 tags). Entries that find no slot, because there are more
than `capacity` or someone made their hashes collide, go to a list: slow, never lost.

Source: Fan, Andersen, Kaminsky, Mitzenmacher, "Cuckoo Filter: Practically Better
Than Bloom", CoNEXT 2014 (partial-key cuckoo hashing).
"""

from array import array

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
        self._spilled: list[int] = []
        self._random = 1

    def candidates(self, key_hash: int) -> "list[int]":
        """Return the locations that may be the key's."""
        tag, firsts = self._home(key_hash)
        slots = self._slots
        found = []
        for first in firsts:
            for slot in range(first, first + 4):
                if slots[slot] >> LOCATION_BITS == tag:
                    found.append(slots[slot] & LOCATION_MASK)
        for entry in self._spilled:
            if entry >> LOCATION_BITS == tag:
                found.append(entry & LOCATION_MASK)
        return found

    def add_first(self, key_hash: int, location: int) -> bool:
        """Enter a key, unless there are candidates for it; return whether it was entered.

        What opening a log takes time for, so all in one and written out: loops take a
        board twice as long.
        """
        slots = self._slots
        tag = (key_hash & _TAG_MASK) or 1
        first = (key_hash >> 10) % self._bucket_count
        other = (tag * _STEP - first) % self._bucket_count * 4
        first *= 4
        if (
            slots[first] >> LOCATION_BITS == tag
            or slots[first + 1] >> LOCATION_BITS == tag
            or slots[first + 2] >> LOCATION_BITS == tag
            or slots[first + 3] >> LOCATION_BITS == tag
            or slots[other] >> LOCATION_BITS == tag
            or slots[other + 1] >> LOCATION_BITS == tag
            or slots[other + 2] >> LOCATION_BITS == tag
            or slots[other + 3] >> LOCATION_BITS == tag
            or self._spilled
        ):
            return False
        for slot in (
            first,
            other,
            first + 1,
            other + 1,
            first + 2,
            other + 2,
            first + 3,
            other + 3,
        ):
            if not slots[slot]:
                slots[slot] = tag << LOCATION_BITS | location
                return True
        return False

    def add(self, key_hash: int, location: int) -> None:
        """Enter a new key."""
        tag, firsts = self._home(key_hash)
        entry = tag << LOCATION_BITS | location
        slot = self._slot_of(0, firsts)
        if slot < 0:
            self._make_room(entry, firsts[0] >> 2)
        else:
            self._slots[slot] = entry

    def move(self, key_hash: int, old: int, new: int) -> None:
        self._replace(key_hash, old, self._home(key_hash)[0] << LOCATION_BITS | new)

    def remove(self, key_hash: int, location: int) -> None:
        self._replace(key_hash, location, 0)

    def locations(self) -> "Iterator[int]":
        """Yield every location, in no order."""
        for entries in (self._slots, self._spilled):
            for entry in entries:
                if entry:
                    yield entry & LOCATION_MASK

    def _home(self, key_hash: int) -> "tuple[int, tuple[int, ...]]":
        """Return the tag of a key and the first slots of its buckets, mostly two."""
        tag = (key_hash & _TAG_MASK) or 1
        bucket = (key_hash >> 10) % self._bucket_count
        other = (tag * _STEP - bucket) % self._bucket_count
        return tag, (4 * bucket,) if bucket == other else (4 * bucket, 4 * other)

    def _slot_of(self, entry: int, firsts: "tuple[int, ...]") -> int:
        """Return the slot of an entry, or with 0 one that is free; -1 if there is none."""
        slots = self._slots
        for first in firsts:
            for slot in range(first, first + 4):
                if slots[slot] == entry:
                    return slot
        return -1

    def _replace(self, key_hash: int, location: int, entry: int) -> None:
        tag, firsts = self._home(key_hash)
        old = tag << LOCATION_BITS | location
        slot = self._slot_of(old, firsts)
        if slot >= 0:
            self._slots[slot] = entry
            return
        self._spilled.remove(old)
        if entry:
            self._spilled.append(entry)

    def _make_room(self, entry: int, bucket: int) -> None:
        """Push entries to their other buckets until one finds a free slot there."""
        for _ in range(_KICKS_MAX):
            self._random = (self._random * 1103 + 12345) & 0xFFFF
            slot = 4 * bucket + (self._random >> 5 & 3)
            entry, self._slots[slot] = self._slots[slot], entry
            bucket = ((entry >> LOCATION_BITS) * _STEP - bucket) % self._bucket_count
            for free in range(4 * bucket, 4 * bucket + 4):
                if not self._slots[free]:
                    self._slots[free] = entry
                    return
        self._spilled.append(entry)
