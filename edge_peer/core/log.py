"""
The store of a board: documents in an append-only log on raw flash.

core/segment.py keeps records on the flash; here they become documents. Two kinds
of records (its layout, SPEC.md "Flash log"):

    document   key | the document          key: collection length u8 | collection | id
    drops      location u32 ...            records that no longer count
    location   block << 10 | offset / 4

Of records with the same key the last in the log counts. Collection "" holds the
store's own entries ("meta"); they have room of their own and are never evicted.

Three bounds, each looked at before a byte is programmed:

* The quota bounds the bytes of documents, `document_count_max` their number. A
  commit above either evicts: the oldest documents that `evict` lets go, a
  segment's worth at a time, are listed in one "drops" record, together with the
  entries that `before_erase()` returns.
* META_BYTES_MAX bounds the store's own entries.
* The ring bounds the blocks: when it runs out the oldest segment's documents are
  copied on and the segment is erased. The other bounds are such that this gains
  room: at worst a record of RECORD_BYTES_MAX no longer fits at a segment's end.

What is in RAM is what reading the log again would find. After an error of the
device it is read again, as after a power cut.
"""

import struct
from array import array
from binascii import crc32

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.index import Index
from edge_peer.core.segment import (
    COMMIT_BYTES_MAX,
    DOCUMENT,
    DROPS,
    FIRST,
    HEADER_SIZE,
    MORE,
    RECORDS_AT,
    Ring,
    aligned,
    pack_record,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_peer.core.segment import BlockDevice as BlockDevice

    Put = tuple[str, str, int, bytes]  # collection, id, arrival, body
    Evict = Callable[[str, str, bytes, bool], bool]
    Entry = tuple[int, int, bytes, bytes]  # kind, arrival, key, body

META = ""  # the collection of the store's own entries
# Groups of documents that have limits, beside the collections: all of them, and
# those that are carried only for others.
WHOLE = "*"
RELAYED = "*relayed"
META_BYTES_MAX = 3072  # of all of them: the vectors of about 80 authors
COLLECTION_COUNT_MAX = 64  # each is in RAM
COLLECTION_BYTES_MAX = 64
ID_BYTES_MAX = 128
DOCUMENT_BYTES_MAX = 1024
RECORD_BYTES_MAX = HEADER_SIZE + 1 + COLLECTION_BYTES_MAX + ID_BYTES_MAX + DOCUMENT_BYTES_MAX + 3
FREE_COUNT_MIN = 2  # segments between commits: one to write to, one to copy into
DROPS_COUNT_MAX = 200  # in one record
# After damage, arrival numbers go on above any that a lost segment may have had.
ARRIVAL_LEASE = 256


class FlashLog:
    document_bytes_max = DOCUMENT_BYTES_MAX
    authors_max = 64  # three vectors of them and some cursors fit into META_BYTES_MAX

    def __init__(
        self,
        device: "BlockDevice",
        document_count_max: int,
        evict: "Evict",
        before_erase: "Callable[[], list[Put]]",
        program_size: int = 1,
    ) -> None:
        """Open the log of a device, or begin one on a blank device; nothing is written yet.

        evict(collection, id, body, may_lose) says whether a document may go, even if it
        is nowhere else (may_lose). before_erase() returns the store's own entries that
        must be durable when documents go.
        program_size: 1 where the flash takes any length, 256 where it takes whole
        pages (RP2040), which are then filled up with 0xFF.
        Raises StorageError if the device is too small, of a newer version, or not ours.
        """
        self._device = device
        self._program_size = program_size
        self._evict = evict
        self._before_erase = before_erase
        self._document_count_max = document_count_max
        self.arrival_max = 0
        self.evicted_count = 0
        self._recover()

    # Reading

    def get(self, collection: str, id: str) -> "bytes | None":
        """Return the body stored under this id."""
        found = self._locate(_key(collection, id))
        return None if found is None else _body_of(found[1])

    def since(self, arrival: int, limit: int) -> "list[Put]":
        """Return up to `limit` documents with a higher arrival, in the order of arrival."""
        found: list[tuple[int, Put]] = []
        for block in sorted(self._ring.used(), key=lambda block: self._firsts[block]):
            if len(found) == limit and self._firsts[block] > found[-1][0]:
                break
            if self._lasts[block] > arrival:
                for _, record in self._documents(block, RECORDS_AT):
                    number = _arrival_of(record)
                    if number > arrival:
                        found.append((number, _names_of(record) + (number, _body_of(record))))
                found = sorted(found)[:limit]
        return [put for _, put in found]

    def scan(self, collection: str) -> "Iterator[tuple[str, bytes]]":
        """Yield (id, body) of every document of the collection, in no order.

        After a commit go on with a new scan: this one may miss or repeat documents.
        """
        prefix = _key(collection, "")
        for location in self._index.locations():
            record = self._ring.record(location)
            if record is not None and _key_of(record).startswith(prefix):
                yield _names_of(record)[1], _body_of(record)

    def collections(self) -> "list[str]":
        """Return the names of all collections that have documents, in no order."""
        return list(self._counts)

    def document_count(self) -> int:
        return sum(self._counts.values())

    def status(self) -> "dict[str, int]":
        """Bytes and counts; `quota_bytes` is what documents can take before some must go."""
        return {
            "documents": self.document_count(),
            "documents_max": self._document_count_max,
            "used_bytes": self._document_bytes,
            "quota_bytes": self.quota_bytes,
            "evicted": self.evicted_count,
            "damaged": self.damaged_count,
            "erases": sum(self._ring.erases),
        }

    # Writing

    def commit(self, puts: "list[Put]") -> None:
        """Store all of these or none; durable on return. Of the same id the last counts.

        Raises StoreFull, with nothing changed, if they do not fit, and StorageError if the
        flash fails: then they are stored or not, but all or none, and the log goes on.
        """
        if not puts:
            return
        entries = [_entry(*put) for put in puts]
        size = sum([_size(entry) for entry in entries])
        if size > COMMIT_BYTES_MAX:
            raise StoreFull("%d bytes in one commit, at most %d" % (size, COMMIT_BYTES_MAX))
        try:
            self._keep_ring()  # as a power cut may have left it
            self._keep_bounds(entries)
            self._append(entries, 0)
            self._keep_ring()
        except StoreFull:
            raise
        except (OSError, StorageError) as error:
            self._recover()
            raise StorageError("flash: %s" % error)

    def evict_again(self) -> None:
        """Call when documents that had to stay may go now."""
        self._looked_at = (0, 0)  # segment number, offset: nothing before may go,
        self._leaving: dict[int, int] = {}  # but these: location -> size

    def _append(self, entries: "list[Entry]", given_up: int) -> None:
        """Write one commit, and make it count."""
        data = b""
        for i in range(len(entries)):
            kind, arrival, key, body = entries[i]
            kind |= (FIRST if i == 0 else 0) | (MORE if i < len(entries) - 1 else 0)
            data += pack_record(kind, arrival, key, body)
        ring = self._ring
        if len(data) > ring.room():
            ring.open(self.arrival_max, given_up)
            self._firsts[ring.current] = self._lasts[ring.current] = 0
        for location, record in ring.walk(ring.current, ring.append(data)):
            assert record is not None
            self._enter(location, record)

    def _enter(self, location: int, record: bytearray) -> None:
        """Make a record count, as the last in the log."""
        arrival = _arrival_of(record)
        self.arrival_max = max(self.arrival_max, arrival)
        if record[3] == 0:
            for i in range(HEADER_SIZE, len(record), 4):
                self._drop(struct.unpack_from("<I", record, i)[0])
            return
        key = _key_of(record)
        old = self._locate(key)
        if old is None:
            self._index.add(crc32(key), location)
        else:
            self._index.move(crc32(key), old[0], location)
            self._count(old[1], -1)
            self._leaving.pop(old[0], 0)
        self._count(record, 1)
        if key[0]:
            block = location >> 10
            self._firsts[block] = min(self._firsts[block] or arrival, arrival)
            self._lasts[block] = max(self._lasts[block], arrival)

    def _drop(self, location: int) -> None:
        self._leaving.pop(location, 0)
        record = self._ring.record(location)
        if record is not None and self._is_newest(location, record):
            self._index.remove(crc32(_key_of(record)), location)
            self._count(record, -1)

    def _count(self, record: bytearray, sign: int) -> None:
        size = sign * aligned(len(record))
        name = _names_of(record)[0]
        if name == META:
            self._meta_bytes += size
            return
        self._document_bytes += size
        self._counts[name] = self._counts.get(name, 0) + sign
        if not self._counts[name]:
            del self._counts[name]

    def _documents(self, block: int, offset: int) -> "Iterator[tuple[int, bytearray]]":
        """Yield (location, record) of the documents of a segment, in the order of writing."""
        for location, record in self._ring.walk(block, offset):
            if record is not None and record[HEADER_SIZE] and self._is_newest(location, record):
                yield location, record

    def _is_newest(self, location: int, record: bytearray) -> bool:
        return location in self._index.candidates(crc32(_key_of(record)))

    def _locate(self, key: bytes) -> "tuple[int, bytearray] | None":
        """Return (location, record) of what counts under this key."""
        for location in self._index.candidates(crc32(key)):
            record = self._ring.record(location)
            if record is not None and _key_of(record) == key:
                return location, record
        return None

    # Bounds

    def _keep_bounds(self, entries: "list[Entry]") -> None:
        """Make sure that these may be added: evict, or raise StoreFull."""
        meta_bytes = self._meta_bytes
        excess_bytes = self._document_bytes - self.quota_bytes
        excess_count = self.document_count() - self._document_count_max
        names = set(self._counts)
        for entry in entries:
            key = entry[2]
            old = self._locate(key)
            size = _size(entry) - (0 if old is None else aligned(len(old[1])))
            if key[0] == 0:
                meta_bytes += size
            else:
                names.add(key[1 : 1 + key[0]].decode())
                excess_bytes += size
                excess_count += old is None
        if meta_bytes > META_BYTES_MAX:
            raise StoreFull("the store's own entries take at most %d bytes" % META_BYTES_MAX)
        if len(names) > COLLECTION_COUNT_MAX:
            raise StoreFull("at most %d collections" % COLLECTION_COUNT_MAX)
        if any([entry[2][0] for entry in entries]) and (excess_bytes > 0 or excess_count > 0):
            self._make_room(excess_bytes, excess_count)

    def _make_room(self, needed_bytes: int, needed_count: int) -> None:
        """Let the oldest documents go that may, or raise StoreFull and let none go."""
        leaving = self._leaving  # what an earlier call found is in it, if that was not enough
        size = sum(leaving.values())
        spare_bytes = min(COMMIT_BYTES_MAX, self.quota_bytes // 8)
        spare_count = self._document_count_max // 8
        for location, record in self._not_looked_at():
            collection, id = _names_of(record)
            if self._evict(collection, id, _body_of(record), False):
                leaving[location] = aligned(len(record))
                size += leaving[location]
            if size >= needed_bytes + spare_bytes and len(leaving) >= needed_count + spare_count:
                break
        if size < needed_bytes or len(leaving) < needed_count:
            raise StoreFull("every document is still waiting for the Big Peer")
        while leaving:
            drops = sorted(leaving)[:DROPS_COUNT_MAX]
            entries = [_entry(*put) for put in self._before_erase()]
            entries.append((DROPS, 0, b"", struct.pack("<%dI" % len(drops), *drops)))
            self._append(entries, 0)
            self.evicted_count += len(drops)
            self._keep_ring()

    def _not_looked_at(self) -> "Iterator[tuple[int, bytearray]]":
        """Yield the documents that have not been asked for, the oldest first."""
        for block in self._ring.used():
            number = self._ring.numbers[block]
            if number >= self._looked_at[0]:
                offset = self._looked_at[1] if number == self._looked_at[0] else RECORDS_AT
                for location, record in self._documents(block, offset):
                    self._looked_at = (number, ((location & 1023) << 2) + aligned(len(record)))
                    yield location, record

    # The ring

    def _keep_ring(self) -> None:
        """Give up the oldest segments until enough are free."""
        for _ in range(self._ring.block_count):
            if self._ring.free_count >= FREE_COUNT_MIN:
                return
            self._give_up(self._ring.used()[0])
        raise StorageError("the log is too fragmented")  # only where damage brought documents back

    def _give_up(self, block: int) -> None:
        """Copy what counts to the end of the log, then erase."""
        number = self._ring.numbers[block]
        damaged_count = 0
        for location, record in self._ring.walk(block, RECORDS_AT):
            if record is None:
                damaged_count += 1
            elif record[3] and self._is_newest(location, record):
                key = _key_of(record)
                self._append([(DOCUMENT, _arrival_of(record), key, _body_of(record))], number)
        self._ring.erase(block)
        if damaged_count:
            self._recover()  # the index may still name what went bad since the log was opened
            self.damaged_count += damaged_count

    def _recover(self) -> None:
        """Read the whole log."""
        ring = self._ring = Ring(self._device, self._program_size)
        self._index = Index(self._document_count_max)
        self._firsts = array("I", bytes(4 * ring.block_count))  # of each block's documents the
        self._lasts = array("I", bytes(4 * ring.block_count))  # lowest and the highest arrival
        self._counts: dict[str, int] = {}  # documents of each collection
        self._document_bytes = 0
        self._meta_bytes = 0
        self.quota_bytes = (ring.block_count - FREE_COUNT_MIN) * (
            COMMIT_BYTES_MAX - RECORD_BYTES_MAX
        ) - 2 * META_BYTES_MAX
        self.evict_again()
        self.damaged_count = int(ring.is_torn)
        self.arrival_max = max(self.arrival_max, ring.arrival_max)
        for block in ring.used():
            for location, record in ring.walk(block, RECORDS_AT):
                if record is None:
                    self.damaged_count += 1
                else:
                    self._enter(location, record)
        if ring.is_torn:
            self.arrival_max += ARRIVAL_LEASE


def _key(collection: str, id: str) -> bytes:
    name = collection.encode()
    return bytes([min(len(name), 255)]) + name + id.encode()


def _entry(collection: str, id: str, arrival: int, body: bytes) -> "Entry":
    """Return a put as it is stored; raise StorageError for what can never be."""
    key = _key(collection, id)
    size_max = META_BYTES_MAX if collection == META else DOCUMENT_BYTES_MAX
    if key[0] > COLLECTION_BYTES_MAX or len(key) - 1 - key[0] > ID_BYTES_MAX:
        raise StorageError(
            "a collection's name has at most %d bytes, an id %d"
            % (COLLECTION_BYTES_MAX, ID_BYTES_MAX)
        )
    if len(body) > size_max:
        raise StoreFull("a document of %d bytes, at most %d" % (len(body), size_max))
    return DOCUMENT, arrival, key, body


def _size(entry: "Entry") -> int:
    return aligned(HEADER_SIZE + len(entry[2]) + len(entry[3]))


def _arrival_of(record: bytearray) -> int:
    arrival: int = struct.unpack_from("<I", record, 4)[0]
    return arrival


def _key_of(record: bytearray) -> bytes:
    return bytes(record[HEADER_SIZE : HEADER_SIZE + record[3]])


def _names_of(record: bytearray) -> "tuple[str, str]":
    """Return collection and id."""
    key = _key_of(record)
    return key[1 : 1 + key[0]].decode(), key[1 + key[0] :].decode()


def _body_of(record: bytearray) -> bytes:
    return bytes(record[HEADER_SIZE + record[3] :])
