"""
The documents in a ring of records: what counts, where it lies, and copying it on.

core/store/segment.py keeps records on the flash; of those with one key the last counts.

    document   key | [name] | the document      key: collection's number u8 | id
    relayed    the same, of a document that is carried only for others
    drops      words << 20 | location, u32 ...  records that begin in these words
    location   block << 10 | offset / 4         no longer count
    name       length u8 | the collection's name, only where NAMED says so

The number stands for the name. In each segment the first NAMED_COUNT records of a
collection say which name that is, so that a segment needs no other to be understood,
and a damaged record hides no other. Number 0 is the store's own entries ("meta").

What is in RAM is what reading the log again would find. After an error of the device
it is read again, as after a power cut.
"""

import struct
from array import array
from binascii import crc32

from edge_peer.core.errors import StorageError
from edge_peer.core.limits import ATTACHMENTS, PIECE_BYTES, WHOLE, Totals
from edge_peer.core.store.eviction import Eviction
from edge_peer.core.store.index import Index
from edge_peer.core.store.record import (
    DOCUMENT,
    FIRST,
    HEADER_SIZE,
    KIND,
    META,
    META_BYTES_MAX,
    META_NUMBER,
    MORE,
    NAMED,
    RECORD_BYTES_MAX,
    RELAYED_DOCUMENT,
    aligned,
    arrival_in,
    body_in,
    id_in,
    key_in,
    name_in,
    put_record,
)
from edge_peer.core.store.segment import BLOCK_SIZE, COMMIT_BYTES_MAX, RECORDS_AT, Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_peer.core.limits import Limits
    from edge_peer.core.store.record import Entry
    from edge_peer.core.store.segment import BlockDevice

    Record = bytes | bytearray

NAMED_COUNT = 2  # of a collection's records in a segment: one may be damaged
NUMBER_MAX = 127  # names in RAM, of collections that are and that were
COPY_RECORDS = 3  # to copy a record on takes as long as to look at so many
FREE_COUNT_MIN = 2  # segments between commits: one to write to, one to copy into
DOCUMENT_SIZE = 128  # one entry of the index for each so many bytes, where nothing else is said
SMALL_COUNT = 16  # attachments smaller than a piece, and records of those that are kept
# After damage, arrival numbers go on above any that a lost segment may have had.
ARRIVAL_LEASE = 256


def device_quota_bytes(block_count: int) -> int:
    """Return how many bytes of documents a device of so many blocks takes."""
    bytes_min = COMMIT_BYTES_MAX - RECORD_BYTES_MAX  # in each segment
    return (block_count - FREE_COUNT_MIN) * bytes_min - 2 * META_BYTES_MAX


class Records:
    def __init__(self, device: "BlockDevice", limits: "Limits", program_size: int) -> None:
        """Read the whole log; raises StorageError as Ring does."""
        self._device = device
        self._program_size = program_size
        self.limits = dict(limits)
        self.arrival_max = 0
        self._recover()

    def _recover(self) -> None:
        """Read the whole log, and think of nothing else."""
        ring = self._ring = Ring(self._device, self._program_size)
        limit_bytes, limit_count = self.limits.get(WHOLE, (None, None))
        piece_bytes = self.limits.get(ATTACHMENTS, (0, None))[0] or 0
        piece_count = piece_bytes // PIECE_BYTES + SMALL_COUNT if piece_bytes else 0
        self.limits[ATTACHMENTS] = (piece_bytes, piece_count)
        device_bytes = device_quota_bytes(ring.block_count)
        limit_bytes = min(limit_bytes or device_bytes, device_bytes - piece_bytes)
        limit_count = limit_count or limit_bytes // DOCUMENT_SIZE
        self._index = Index(limit_count + piece_count)
        self._names = {META_NUMBER: META}
        self._numbers = {META: META_NUMBER}
        self._named: dict[int, int] = {}  # number -> how often the newest segment names it
        self._firsts = array("I", bytes(4 * ring.block_count))  # of each block's documents the
        self._lasts = array("I", bytes(4 * ring.block_count))  # lowest and the highest arrival
        self._totals = Totals()
        self._meta_bytes = 0
        self._leaving = Eviction()
        self._given_up = (0, 0, 0)  # segment number, offset of what was not copied yet, damaged
        self.damaged_count = int(ring.is_torn)
        self.arrival_max = max(self.arrival_max, ring.arrival_max)
        for block in ring.used():
            self._named = {}
            self._read_segment(block, memoryview(ring.hold(block)))
        ring.hold(-1)
        if ring.is_torn:
            self.arrival_max += ARRIVAL_LEASE
        # Of attachments there may be more than is allowed now.
        limit_bytes = min(limit_bytes, device_bytes - self._totals.of(ATTACHMENTS)[1])
        self.limits[WHOLE] = (limit_bytes, limit_count)

    def _read_segment(self, block: int, data: "memoryview") -> None:
        """Make the records of a segment count, in the order of writing."""
        ring = self._ring
        offset = RECORDS_AT
        is_lost = False  # of a damaged stretch every place is tried, and one counts
        while offset < ring.ends[block]:
            behind = self._enter_plain(block, data, offset)
            if behind > offset:
                offset, is_lost = behind, False
                continue
            location = block << 10 | offset >> 2
            record = ring.record(location)
            if record is None:
                self.damaged_count += not is_lost
                offset += 4
            else:
                self.damaged_count += not self._enter(location, record)
                offset += aligned(len(record))
            is_lost = record is None

    def _enter_plain(self, block: int, data: "memoryview", offset: int) -> int:
        """Make records count up to one that is more than a new document of the same collection.

        Return that one's offset. Most records are, and take a third of the time here.
        """
        unpack, add = struct.unpack_from, self._index.add_first
        end = self._ring.ends[block]
        number = data[min(offset + HEADER_SIZE, BLOCK_SIZE - 1)]
        collection = self._names.get(number, META)
        name = collection.encode()
        extra = HEADER_SIZE + 1 + len(name)  # size_of, written out
        count = size_sum = named_count = 0
        first, last = self._firsts[block] or 0xFFFFFFFF, self._lasts[block]
        while offset + HEADER_SIZE < end and collection != META:
            size, kind, key_size, arrival, checksum = unpack("<HBBII", data, offset)
            key_at = offset + HEADER_SIZE
            behind = key_at + size
            if kind & NAMED:
                name_at = key_at + key_size + 1
                if data[name_at : name_at + len(name)] != name or data[name_at - 1] != len(name):
                    break
                size -= 1 + len(name)
            if (
                kind & KIND != DOCUMENT
                or behind > end
                or data[key_at] != number
                or crc32(data[key_at:behind], crc32(data[offset : offset + 8])) != checksum
                or not add(crc32(data[key_at : key_at + key_size]), block << 10 | offset >> 2)
            ):
                break
            if arrival < first:
                first = arrival
            if arrival > last:
                last = arrival
            if kind & NAMED:
                named_count += 1
            count += 1
            size_sum += (extra + size + 3) & ~3
            offset = (behind + 3) & ~3
        if count:
            self._named[number] = self._named.get(number, 0) + named_count
            self._totals.add(collection, False, count, size_sum)
            self._firsts[block], self._lasts[block] = first, last
            self.arrival_max = max(self.arrival_max, last)
        return offset

    # Reading

    def _locate(self, key: "bytes | None") -> "tuple[int, bytearray] | None":
        """Return (location, record) of what counts under this key."""
        return None if key is None else self._lookup(key, crc32(key))

    def _lookup(self, key: "Record", key_hash: int) -> "tuple[int, bytearray] | None":
        for location in self._index.candidates(key_hash):
            record = self._ring.record(location)
            if record is not None and key_in(record) == key:
                return location, record
        return None

    def _documents(self, block: int, offset: int) -> "Iterator[tuple[int, bytearray]]":
        """Yield (location, record) of the documents of a segment, in the order of writing."""
        for location, record in self._ring.walk(block, offset):
            if (
                record is not None
                and record[HEADER_SIZE] != META_NUMBER
                and self._is_newest(location, record)
            ):
                yield location, record

    def _is_newest(self, location: int, record: "Record") -> bool:
        return record[3] > 0 and location in self._index.candidates(crc32(key_in(record)))

    def _key(self, collection: str, id: str) -> "bytes | None":
        """Return the key of a document, None if there is none in this collection."""
        number = self._numbers.get(collection)
        return None if number is None else bytes([number]) + id.encode()

    def _names_in(self, record: "Record") -> "tuple[str, str]":
        """Return collection and id."""
        return self._names[record[HEADER_SIZE]], id_in(record)

    def _kind_of(self, record: "Record") -> "tuple[str, bool, int]":
        """Return collection, whether it is carried only for others, and its bytes."""
        collection = self._names[record[HEADER_SIZE]]
        size = len(record) - HEADER_SIZE - record[3]
        if record[2] & NAMED:
            size -= 1 + record[HEADER_SIZE + record[3]]
        return (
            collection,
            record[2] & KIND == RELAYED_DOCUMENT,
            size_of(collection, record[3], size),
        )

    # Writing

    def _number(self, collection: str) -> int:
        """Return the number of a collection, a new one if it has none."""
        number = self._numbers.get(collection)
        if number is None:
            number = max(self._names) + 1
            if number > NUMBER_MAX:  # in the course of time, but few at once
                free = [one for one in self._names if not self._totals.of(self._names[one])[0]]
                number = max(free)
            self._name(number, collection)
        return number

    def _name(self, number: int, collection: str) -> None:
        if self._names.get(number) != collection:
            if number in self._names:
                del self._numbers[self._names[number]]
            self._names[number] = collection
            self._numbers[collection] = number

    def _append(self, entries: "list[Entry]", given_up: int) -> None:
        """Write one commit, and make it count."""
        ring = self._ring
        locations: list[int] = []
        data = bytearray()
        room = ring.room()
        for i in range(len(entries)):
            kind, arrival, key, body = entries[i]
            if i == 0:
                kind |= FIRST
            if i < len(entries) - 1:
                kind |= MORE
            begin = len(data)
            put_record(data, kind, arrival, key, body, self._name_for(key))
            if len(data) > room:
                if begin:
                    ring.append(data[:begin])
                data, begin = bytearray(), 0
                ring.open(self.arrival_max, given_up)
                self._firsts[ring.current] = self._lasts[ring.current] = 0
                self._named = {}
                room = ring.room()
                put_record(data, kind, arrival, key, body, self._name_for(key))
            locations.append(ring.current << 10 | ring.ends[ring.current] + begin >> 2)
        ring.append(data)
        for i in range(len(entries)):
            kind, arrival, key, body = entries[i]
            if key:  # of drops the caller knows what goes
                self._count(locations[i], kind, arrival, key, len(body))

    def _name_for(self, key: "Record") -> "bytes | None":
        """Return what the next record of this key has to say of its number."""
        number = key[0] if key else META_NUMBER
        count = self._named.get(number, 0)
        if number == META_NUMBER or count >= NAMED_COUNT:
            return None
        self._named[number] = count + 1
        return self._names[number].encode()

    def _enter(self, location: int, record: "Record") -> bool:
        """Make a record count, as the last in the log; return False if nobody knows its name."""
        size, kind, key_size, arrival = struct.unpack_from("<HBBI", record)
        if not key_size:
            for i in range(HEADER_SIZE, len(record), 4):
                self._drop(struct.unpack_from("<I", record, i)[0])
            return True
        key = key_in(record)
        size -= key_size
        if kind & NAMED:
            self._name(key[0], name_in(record))
            self._named[key[0]] = self._named.get(key[0], 0) + 1
            size -= 1 + record[HEADER_SIZE + key_size]
        if key[0] not in self._names:
            return False
        self._count(location, kind, arrival, key, size)
        return True

    def _count(self, location: int, kind: int, arrival: int, key: "Record", body_size: int) -> None:
        """Make a record with a key count, as the last in the log."""
        if arrival > self.arrival_max:
            self.arrival_max = arrival
        key_hash = crc32(key)
        if not self._index.add_first(key_hash, location):
            old = self._lookup(key, key_hash)
            if old is None:
                self._index.add(key_hash, location)
            else:
                self._index.move(key_hash, old[0], location)
                self._discount(old[0], old[1])
        collection = self._names[key[0]]
        size = size_of(collection, len(key), body_size)
        if key[0] == META_NUMBER:
            self._meta_bytes += size
            return
        self._totals.add(collection, kind & KIND == RELAYED_DOCUMENT, 1, size)
        block = location >> 10
        if arrival > self._lasts[block]:
            self._lasts[block] = arrival
        if arrival and not 0 < self._firsts[block] < arrival:
            self._firsts[block] = arrival

    def _drop(self, run: int) -> None:
        block, end = run >> 10 & 1023, (run & 1023) + (run >> 20)
        for location, record in self._documents(block, (run & 1023) << 2):
            if location & 1023 >= end:
                break
            self._remove(location, record)

    def _remove(self, location: int, record: "Record") -> None:
        self._index.remove(crc32(key_in(record)), location)
        self._discount(location, record)

    def _discount(self, location: int, record: "Record") -> None:
        """Call for a record that no longer counts."""
        collection, is_relayed, size = self._kind_of(record)
        if collection == META:
            self._meta_bytes -= size
        else:
            self._totals.add(collection, is_relayed, -1, -size)
            self._leaving.forget(location, collection, is_relayed, size)

    # The ring

    def _keep_ring(self) -> None:
        """Give up the oldest segments until enough are free."""
        ring = self._ring
        for _ in range(ring.block_count):
            if ring.free_count >= FREE_COUNT_MIN:
                return
            self._give_up(ring.numbers[ring.oldest()], BLOCK_SIZE)
        raise StorageError("the log is too fragmented")  # only where damage brought documents back

    def _give_up(self, number: int, count: int) -> None:
        """Look at `count` more records of the oldest segment and copy what counts; then erase it.

        number: of that segment if it has to be given up at once, else 0.
        """
        ring = self._ring
        block = ring.oldest()
        last, start, damaged_count = self._given_up
        if last != ring.numbers[block]:
            last, start, damaged_count = ring.numbers[block], RECORDS_AT, 0
        for location, record in ring.walk(block, start):
            if record is None:
                damaged_count += 1
                continue
            if count <= 0 or not number and ring.free_count < FREE_COUNT_MIN:
                self._given_up = (last, (location & 1023) << 2, damaged_count)
                return
            count -= 1
            if self._is_newest(location, record):
                count -= COPY_RECORDS - 1
                kind = record[2] & KIND
                self._append([(kind, arrival_in(record), key_in(record), body_in(record))], number)
        ring.erase(block)
        if damaged_count:
            self._recover()  # the index may still name what went bad since the log was opened
            self.damaged_count += damaged_count


def size_of(collection: str, key_size: int, body_size: int) -> int:
    """Return the bytes that a record takes, as if it said its collection's name."""
    name_size = 0 if collection == META else 1 + len(collection.encode())
    return aligned(HEADER_SIZE + key_size + name_size + body_size)
