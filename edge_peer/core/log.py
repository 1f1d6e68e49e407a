"""
The store of a board: a checksummed, append-only log on a flash block device.

The device is MicroPython's block protocol: readblocks(block, buffer, offset),
writeblocks(block, buffer, offset) which only clears bits, ioctl(4) block count,
ioctl(6, block) erase. One erase block is one segment, all segments are a ring:
the newest takes records, the oldest is reclaimed first, which by itself wears
all blocks alike.

Layout of a segment (SPEC.md, "Flash log"), integers little-endian:

    0   "FLc1" | erase count u32 | reserved u32 | CRC-32           once erased
    16  "FLs1" | segment number u32 | arrival before it u32 | CRC-32    once opened
    32  the same 16 bytes again
    48  records, each at a multiple of 4:
        body length u16 | kind u8 | collection u8 | arrival u32 | key hash u32 | CRC-32
        body: id length u8 | id | document

A commit is one contiguous range of records in one segment; all but its last
carry MORE, and recovery drops a run of MORE without an end. The checksum is the
commit: a put is durable when the last write call has returned. Collection 0
holds the store's own entries ("meta"); they are copied forward, never evicted.

Two bounds, each checked before a byte is programmed. The quota bounds the live
bytes; a put above it first evicts the oldest documents that `evict(body)` lets
go, which only takes them out of the index. The ring bounds the blocks: when it
runs out, the oldest segment's live records are copied on, the entries that
`before_erase()` returns are made durable, and the segment is erased. The quota
leaves so much of the ring free that this always gains room.
"""

import struct
from array import array
from binascii import crc32

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.index import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    Bytes = bytes | bytearray

    class BlockDevice(Protocol):
        """MicroPython's extended block protocol (its docs, library/vfs.rst)."""

        def readblocks(self, block: int, buffer: bytearray, offset: int) -> None: ...
        def writeblocks(self, block: int, buffer: Bytes, offset: int) -> None: ...
        def ioctl(self, operation: int, argument: int) -> int: ...

    Put = tuple[str, str, int, bytes]  # collection, id, arrival, body

BLOCK_SIZE = 4096
BLOCK_COUNT_MAX = 1024  # a location is 10 bits of block and 10 bits of offset / 4
BLOCK_COUNT_MIN = 4  # one in use, one free, one to copy into, one to reclaim
COLLECTION_COUNT_MAX = 64
ID_BYTES_MAX = 128
META = ""  # the collection of the store's own entries

_RECORDS_AT = 48
_RECORD_HEADER = "<HBBII"
_HEADER_SIZE = 16
COMMIT_BYTES_MAX = BLOCK_SIZE - _RECORDS_AT
RECORD_BYTES_MAX = 1088  # a document of 1 KiB: at most 27 % of a segment's end stays unused
QUOTA_PERCENT = 72  # of all segments but the three below, so that reclaiming always gains
FREE_SEGMENTS_MIN = 2  # below this a commit first reclaims: one to write on, one to copy into

_KIND_FULL = 1
_MORE = 0x80
_NAMES_ID = "collections"
_VERSION = ord("1")  # of the layout above, as in the magic numbers
_DIRTY, _CLEAN, _USED = range(3)
# After damage, arrival numbers go on above any that a lost record may have had.
ARRIVAL_LEASE = 256


class FlashLog:
    def __init__(
        self,
        device: "BlockDevice",
        document_count_max: int,
        evict: "Callable[[bytes], bool]",
        before_erase: "Callable[[], list[Put]]",
        program_size: int = 1,
    ) -> None:
        """Open the log, or format a blank device. Raises StorageError if it can be neither.

        program_size: 1 where the flash takes any length, 256 where it takes whole
        pages (RP2040), which are then filled up with 0xFF.
        """
        self._device = device
        self._block_count = device.ioctl(4, 0)
        if not BLOCK_COUNT_MIN <= self._block_count <= BLOCK_COUNT_MAX:
            raise StorageError("a log takes %d to %d blocks" % (BLOCK_COUNT_MIN, BLOCK_COUNT_MAX))
        self._program_size = program_size
        self._evict = evict
        self._before_erase = before_erase
        self._document_count_max = document_count_max
        self._index = Index(document_count_max + COLLECTION_COUNT_MAX)
        self._numbers = array("I", bytes(4 * self._block_count))
        self._arrivals = array("I", bytes(4 * self._block_count))  # the highest in each segment
        self._states = bytearray(self._block_count)
        self._erases = array("I", bytes(4 * self._block_count))
        self._names = [META]
        self._names_saved = 1
        self._evict_from = (0, 0)  # segment number, location: nothing before may go
        self._current = -1
        self._offset = BLOCK_SIZE
        self._meta_count = 0
        self._live_bytes = 0
        self.quota_bytes = (self._block_count - FREE_SEGMENTS_MIN - 1) * (
            COMMIT_BYTES_MAX * QUOTA_PERCENT // 100
        )
        self.arrival_max = 0
        self.damaged_count = 0
        self.evicted_count = 0
        self._recover()

    # Reading

    def get(self, collection: str, id: str) -> "bytes | None":
        """Return the body stored under this id."""
        found = self._find(collection, id)
        return None if found is None else _body_of(found[1])

    def since(self, arrival: int, limit: int) -> "list[Put]":
        """Return up to `limit` documents with a higher arrival, in the order of arrival."""
        found = []
        for block in range(self._block_count):
            if self._states[block] != _USED or self._arrivals[block] <= arrival:
                continue
            for location, record in self._walk(block):
                number, key_hash = _arrival_and_hash(record)
                if number > arrival and location in self._index.candidates(key_hash):
                    found.append((number, location))
        found.sort()
        puts: list[Put] = []
        for number, location in found:
            newest = self._record(location)
            if newest is not None and newest[3] and len(puts) < limit:
                puts.append((self._names[newest[3]], _id_of(newest), number, _body_of(newest)))
        return puts

    def scan(self, collection: str) -> "Iterator[tuple[str, bytes]]":
        """Yield (id, body) of every document of the collection, in no order."""
        if collection not in self._names:
            return
        number = self._names.index(collection)
        for location in self._index.locations():
            record = self._record(location)
            if record is not None and record[3] == number:
                yield _id_of(record), _body_of(record)

    def collections(self) -> "list[str]":
        return self._names[1:]

    def document_count(self) -> int:
        return self._index.count - self._meta_count

    def status(self) -> "dict[str, int]":
        """Bytes and counts; `quota_bytes` is what documents can take before some must go."""
        return {
            "documents": self.document_count(),
            "documents_max": self._document_count_max,
            "used_bytes": self._live_bytes,
            "quota_bytes": self.quota_bytes,
            "evicted": self.evicted_count,
            "damaged": self.damaged_count,
            "erases": sum(self._erases),
        }

    # Writing

    def commit(self, puts: "list[Put]") -> None:
        """Store all of these or none; durable on return. Raises StoreFull, with nothing changed."""
        puts = self._with_new_names(puts)
        size = sum([_stored_size(put) for put in puts])
        if size > COMMIT_BYTES_MAX:
            raise StoreFull("%d bytes in one commit, at most %d" % (size, COMMIT_BYTES_MAX))
        self._keep_quota(puts, size)
        self._keep_ring(size)
        self._append(puts, size)
        self._names_saved = len(self._names)

    def evict_again(self) -> None:
        """Call when documents that had to stay may go now."""
        self._evict_from = (0, 0)

    def _append(self, puts: "list[Put]", size: int) -> None:
        if self._offset + size > BLOCK_SIZE:
            self._open_segment()
        buffer = bytearray(size)
        entries = []
        position = 0
        for i in range(len(puts)):
            collection, id, arrival, body = puts[i]
            number = self._names.index(collection)
            key_hash = _key_hash(number, id)
            kind = _KIND_FULL | (_MORE if i < len(puts) - 1 else 0)
            _put_record(buffer, position, kind, number, arrival, key_hash, id, body)
            location = self._current << 10 | self._offset + position >> 2
            size = _stored_size(puts[i])
            entries.append((number, id, key_hash, location, size))
            position += size
            self._note_arrival(self._current, arrival)
        offset = self._offset
        self._offset += size  # first: a write that fails half way must not be written over
        self._write(self._current, offset, buffer)
        for entry in entries:
            self._enter(*entry)

    def _enter(self, number: int, id: str, key_hash: int, location: int, size: int) -> None:
        """Make the record at `location` the document's newest."""
        old = self._locate(number, id, key_hash)
        if old is None:
            self._index.add(key_hash, location)
            self._meta_count += number == 0
        else:
            self._index.move(key_hash, old[0], location)
            size -= _aligned(len(old[1]))
        self._live_bytes += size

    def _with_new_names(self, puts: "list[Put]") -> "list[Put]":
        for put in puts:
            if put[0] not in self._names:
                if len(self._names) > COLLECTION_COUNT_MAX:
                    raise StoreFull("at most %d collections" % COLLECTION_COUNT_MAX)
                self._names.append(put[0])
        if len(self._names) == self._names_saved:
            return puts
        return [(META, _NAMES_ID, self.arrival_max, "\n".join(self._names).encode())] + puts

    # Space

    def _keep_quota(self, puts: "list[Put]", size: int) -> None:
        """Evict until these puts fit, or raise StoreFull."""
        documents = 0
        for collection, id, _, _ in puts:
            old = self._find(collection, id)
            if old is not None:
                size -= _aligned(len(old[1]))
            elif collection != META:
                documents += 1
        while (
            self._live_bytes + size > self.quota_bytes
            or self.document_count() + documents > self._document_count_max
        ):
            if not self._evict_one():
                raise StoreFull("every document is still waiting for the Big Peer")

    def _evict_one(self) -> bool:
        """Let the oldest document go that may; remember how far we looked."""
        for number, block in self._used():
            if number < self._evict_from[0]:
                continue
            for location, record in self._walk(block):
                if (number, location) <= self._evict_from:
                    continue
                self._evict_from = (number, location)
                _, key_hash = _arrival_and_hash(record)
                if not record[3] or location not in self._index.candidates(key_hash):
                    continue
                if self._evict(_body_of(record)):
                    self._index.remove(key_hash, location)
                    self._live_bytes -= _aligned(len(record))
                    self.evicted_count += 1
                    return True
        return False

    def _keep_ring(self, size: int) -> None:
        """Reclaim until `size` bytes can be appended and two segments stay free."""
        tries = 0
        while self._offset + size > BLOCK_SIZE and self._free() <= FREE_SEGMENTS_MIN:
            if tries == self._block_count:
                raise StoreFull("the log is too fragmented")  # the quota keeps us from here
            self._reclaim(self._used()[0][1])
            tries += 1

    def _free(self) -> int:
        return sum([state != _USED for state in self._states])

    def _used(self) -> "list[tuple[int, int]]":
        """Return (segment number, block) of every segment in use, the oldest first."""
        return sorted(
            [(self._numbers[b], b) for b in range(self._block_count) if self._states[b] == _USED]
        )

    def _reclaim(self, block: int) -> None:
        """Copy what lives to the end of the log, then erase."""
        for location, record in self._walk(block):
            arrival, key_hash = _arrival_and_hash(record)
            if location in self._index.candidates(key_hash):
                put = (self._names[record[3]], _id_of(record), arrival, _body_of(record))
                self._append([put], _stored_size(put))
        for put in self._before_erase():
            self._append([put], _stored_size(put))
        self._lose_unreadable(block)
        self._erase(block)

    def _lose_unreadable(self, block: int) -> None:
        """Forget documents whose records went bad since the log was opened."""
        lost_count = self._index.drop_block(block)
        if lost_count:
            self.damaged_count += lost_count
            self._live_bytes = self._measure()

    # Segments

    def _open_segment(self) -> None:
        for step in range(1, self._block_count + 1):
            block = (self._current + step) % self._block_count
            if self._states[block] != _USED:
                break
        else:
            raise StorageError("no free segment")  # _reserve keeps two
        if self._states[block] == _DIRTY:
            self._erase(block)
        self._states[block] = _USED
        self._numbers[block] = max(self._numbers) + 1
        self._arrivals[block] = 0
        header = _sealed("<4sII", b"FLs1", self._numbers[block], self.arrival_max)
        self._write(block, 16, header + header)
        self._current = block
        self._offset = _RECORDS_AT

    def _erase(self, block: int) -> None:
        self._states[block] = _DIRTY
        self._numbers[block] = 0
        self._erases[block] += 1
        self._device.ioctl(6, block)
        self._write(block, 0, _sealed("<4sII", b"FLc1", self._erases[block], 0))
        self._states[block] = _CLEAN

    def _read(self, block: int, offset: int, size: int) -> bytearray:
        buffer = bytearray(size)
        self._device.readblocks(block, buffer, offset)
        return buffer

    def _write(self, block: int, offset: int, data: "Bytes") -> None:
        step = self._program_size
        if step == 1:
            self._device.writeblocks(block, data, offset)
            return
        for page_at in range(offset // step * step, offset + len(data), step):
            page = bytearray(b"\xff" * step)
            start = max(offset, page_at)
            end = min(offset + len(data), page_at + step)
            page[start - page_at : end - page_at] = data[start - offset : end - offset]
            self._device.writeblocks(block, page, page_at)

    # Records

    def _record(self, location: int) -> "bytearray | None":
        """Return the record there, header included, or None if it is damaged."""
        block, offset = location >> 10, (location & 1023) << 2
        if offset > BLOCK_SIZE - _HEADER_SIZE:
            return None
        header = self._read(block, offset, _HEADER_SIZE)
        size = _HEADER_SIZE + (header[0] | header[1] << 8)
        if offset + size > BLOCK_SIZE or header[2] & ~_MORE != _KIND_FULL:
            return None
        record = self._read(block, offset, size)
        checksum = _crc(memoryview(record)[:12], memoryview(record)[16:])
        if size == _HEADER_SIZE or struct.unpack_from("<I", record, 12)[0] != checksum:
            return None
        return record

    def _walk(self, block: int) -> "Iterator[tuple[int, bytearray]]":
        """Yield (location, record) of every good record of a segment, in log order.

        After damage it tries every place where a record may begin.
        """
        end = self._offset if block == self._current else BLOCK_SIZE
        offset = _RECORDS_AT
        written = 0
        while offset < end:
            location = block << 10 | offset >> 2
            record = self._record(location)
            if record is not None:
                yield location, record
                offset += _aligned(len(record))
                continue
            written = written or self._written_end(block)
            if offset >= written:
                return
            offset += 4

    def _measure(self) -> int:
        """Return the bytes of all live records."""
        size = 0
        for location in self._index.locations():
            record = self._record(location)
            size += 0 if record is None else _aligned(len(record))
        return size

    def _written_end(self, block: int) -> int:
        """Return the offset behind the last byte of a segment that is not 0xFF."""
        for offset in range(BLOCK_SIZE - 256, -1, -256):
            used = bytes(self._read(block, offset, 256)).rstrip(b"\xff")
            if used:
                return offset + len(used)
        return 0

    def _find(self, collection: str, id: str) -> "tuple[int, bytearray] | None":
        if collection not in self._names:
            return None
        number = self._names.index(collection)
        return self._locate(number, id, _key_hash(number, id))

    def _locate(self, number: int, id: str, key_hash: int) -> "tuple[int, bytearray] | None":
        """Return (location, record) of the newest version in the index."""
        for location in self._index.candidates(key_hash):
            record = self._record(location)
            if record is not None and record[3] == number and _id_of(record) == id:
                return location, record
        return None

    def _note_arrival(self, block: int, arrival: int) -> None:
        self.arrival_max = max(self.arrival_max, arrival)
        self._arrivals[block] = max(self._arrivals[block], arrival)

    # Recovery

    def _recover(self) -> None:
        for block in range(self._block_count):
            self._read_head(block)
        worn = max(self._erases)
        for block in range(self._block_count):
            self._erases[block] = self._erases[block] or worn  # unknown after a torn erase
        clean = True
        for _, block in self._used():
            clean = self._load_segment(block)
            self._current = block
        if not clean:
            self._offset = BLOCK_SIZE
        if self.damaged_count or not clean:
            self.arrival_max = (self.arrival_max // ARRIVAL_LEASE + 1) * ARRIVAL_LEASE
        names = self.get(META, _NAMES_ID)
        if names is not None:
            self._names = names.decode().split("\n")
            self._names_saved = len(self._names)

    def _read_head(self, block: int) -> None:
        """Learn from a segment's first 48 bytes what it is."""
        head = self._read(block, 0, _RECORDS_AT)
        erases = _unsealed(head[:16], b"FLc1")
        if erases is not None:
            self._erases[block] = erases[0]
        for at in (16, 32):
            opened = _unsealed(head[at : at + 16], b"FLs1")
            if opened is not None:
                self._states[block] = _USED
                self._numbers[block] = opened[0]
                self.arrival_max = max(self.arrival_max, opened[1])
                return
            if head[at : at + 3] == b"FLs" and head[at + 3] > _VERSION:
                raise StorageError("the log was written by a newer version")
        if erases is not None and bytes(head[16:]) == b"\xff" * 32:
            self._states[block] = _CLEAN

    def _load_segment(self, block: int) -> bool:
        """Enter the good records of a segment; return whether it can be written on."""
        self._offset = _RECORDS_AT
        gap = False
        commit: list[tuple[int, bytearray]] = []
        for location, record in self._walk(block):
            if (location & 1023) << 2 != self._offset:
                gap = True
                commit = []
            commit.append((location, record))
            self._offset = ((location & 1023) << 2) + _aligned(len(record))
            if not record[2] & _MORE:
                for entry in commit:
                    self._enter_recovered(block, entry[0], entry[1])
                commit = []
        gap = gap or self._written_end(block) > self._offset
        self.damaged_count += gap
        return not gap and not commit

    def _enter_recovered(self, block: int, location: int, record: bytearray) -> None:
        arrival, key_hash = _arrival_and_hash(record)
        self._note_arrival(block, arrival)
        number, id = record[3], _id_of(record)
        old = self._locate(number, id, key_hash)
        if old is not None and _arrival_and_hash(old[1])[0] > arrival:
            return  # a copy that was moved behind a newer version
        self._enter(number, id, key_hash, location, _aligned(len(record)))


def _put_record(
    out: bytearray,
    at: int,
    kind: int,
    number: int,
    arrival: int,
    key_hash: int,
    id: str,
    body: bytes,
) -> None:
    assert len(id) <= ID_BYTES_MAX
    raw = id.encode()
    size = 1 + len(raw) + len(body)
    struct.pack_into(_RECORD_HEADER, out, at, size, kind, number, arrival, key_hash)
    start = at + _HEADER_SIZE
    out[start] = len(raw)
    out[start + 1 : start + 1 + len(raw)] = raw
    out[start + 1 + len(raw) : start + size] = body
    checksum = _crc(memoryview(out)[at : at + 12], memoryview(out)[start : start + size])
    struct.pack_into("<I", out, at + 12, checksum)


def _stored_size(put: "Put") -> int:
    size = _aligned(_HEADER_SIZE + 1 + len(put[1].encode()) + len(put[3]))
    if size > RECORD_BYTES_MAX:
        raise StoreFull("a document of %d bytes, at most %d" % (size, RECORD_BYTES_MAX))
    return size


def _arrival_and_hash(record: bytearray) -> "tuple[int, int]":
    arrival, key_hash = struct.unpack_from("<II", record, 4)
    return arrival, key_hash


def _id_of(record: bytearray) -> str:
    return bytes(record[17 : 17 + record[16]]).decode()


def _body_of(record: bytearray) -> bytes:
    return bytes(record[17 + record[16] :])


def _key_hash(number: int, id: str) -> int:
    return _crc(bytes([number]), id.encode())


def _crc(*parts) -> int:  # type: ignore[no-untyped-def]
    value = 0
    for part in parts:
        value = crc32(part, value)
    return value & 0xFFFFFFFF


def _sealed(form: str, *values) -> bytes:  # type: ignore[no-untyped-def]
    data = struct.pack(form, *values)
    return data + struct.pack("<I", _crc(data))


def _unsealed(data: "Bytes", magic: bytes) -> "tuple[int, int] | None":
    if data[:4] != magic or struct.unpack_from("<I", data, 12)[0] != _crc(data[:12]):
        return None
    first, second = struct.unpack_from("<II", data, 4)
    return first, second


def _aligned(size: int) -> int:
    return (size + 3) & ~3
