"""
A ring of flash blocks with checksummed records in them: the lower half of core/store/log.py.

The device is MicroPython's block protocol: readblocks(block, buffer, offset),
writeblocks(block, buffer, offset), which only clears bits, ioctl(4) block count,
ioctl(6, block) erase. A block in use is a *segment*. The newest segment takes
records and the oldest is given up first, which by itself wears all blocks alike.

Layout of a block (SPEC.md, "Flash log"), integers little-endian:

    0   "FLc2" | times erased u32 | CRC-32 of these 8 bytes                     once erased
    12  segment number u32 | highest arrival before it u32 |
        end of the segment before it u16 | gives up u16 | CRC-32                once opened
    28  the same 16 bytes again
    44  records, each at a multiple of 4:
        body length u16 | kind u8 | key length u8 | arrival u32 | CRC-32 | body
        kind: core/store/records.py says which, | 0x20 NAMED | 0x40 FIRST | 0x80 MORE
        CRC-32 over the first 8 bytes and the body; the body starts with the key

A commit is a range of records: its first carries FIRST, all but its last carry MORE.
Where the next record does not fit any more it goes on in the next segment. It counts
when its records are all there, or when something that was written later is: the next
commit of the segment, or the next segment, which says where this one ended. So a torn
write undoes its whole commit and a record that went bad later undoes nothing else.
Nothing is written behind a torn write: the next commit opens a segment.

A segment that is given up is first copied on. A segment that was opened for nothing
but the copies says so ("gives up": how many numbers older) and takes nothing else until
the old one is erased. If it is torn, and the old one still there, it is forgotten
and begun again: so however often the power fails, no free block is used up.
Opening a log never writes.
"""

import struct
from array import array
from binascii import crc32

from edge_peer.core.errors import StorageError
from edge_peer.core.store.record import (
    DOCUMENT,
    DROPS,
    FIRST,
    HEADER_SIZE,
    KIND,
    MORE,
    RELAYED_DOCUMENT,
    aligned,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    Bytes = bytes | bytearray

    class BlockDevice(Protocol):
        """MicroPython's extended block protocol (its docs, library/vfs.rst)."""

        def readblocks(self, block: int, buffer: bytearray, offset: int) -> None: ...
        def writeblocks(self, block: int, buffer: Bytes, offset: int) -> None: ...
        def ioctl(self, operation: int, argument: int) -> int: ...


BLOCK_SIZE = 4096
BLOCK_COUNT_MAX = 1024  # a location is 10 bits of block and 10 bits of offset / 4
BLOCK_COUNT_MIN = 6  # fewer leave no room beside what core/store/log.py keeps free
RECORDS_AT = 44
COMMIT_BYTES_MAX = BLOCK_SIZE - RECORDS_AT

_READ_SIZE = 160  # most records are shorter, and one look at the flash gets them
_KINDS = (DOCUMENT, DROPS, RELAYED_DOCUMENT)
_BLANK = b"\xff" * 256
_FILLER = memoryview(_BLANK)  # a slice of bytes takes a board time for a hash of it
_MAGIC = b"FLc2"  # the last character is the version of the layout
_ERASED_SIZE = 12
_OPENED_SIZE = 16


class Ring:
    def __init__(self, device: "BlockDevice", program_size: int) -> None:
        """Find the segments of a device; raises StorageError if it is neither ours nor blank."""
        self._device = device
        self._program_size = program_size
        self.block_count = device.ioctl(4, 0)
        if not BLOCK_COUNT_MIN <= self.block_count <= BLOCK_COUNT_MAX:
            raise StorageError("a log takes %d to %d blocks" % (BLOCK_COUNT_MIN, BLOCK_COUNT_MAX))
        self.erases = array("I", bytes(4 * self.block_count))
        self.numbers = array("I", bytes(4 * self.block_count))  # of the segments; 0: free
        self.ends = array("H", bytes(2 * self.block_count))  # behind each segment's last record
        self._clean = bytearray(self.block_count)
        self.current = -1
        self.arrival_max = 0
        self.is_torn = False  # the newest segment ends in a torn write, or in a record gone bad
        self._held = bytearray()  # a whole block, while hold() says so
        self._held_block = -1
        self._find_ends(self._find_segments())
        self.free_count = self.block_count - len(self.used())

    def used(self) -> "list[int]":
        """Return the blocks in use, the oldest segment first."""
        blocks = [block for block in range(self.block_count) if self.numbers[block]]
        return sorted(blocks, key=lambda block: self.numbers[block])

    def oldest(self) -> int:
        """Return the block of the oldest segment: blocks are used in turn."""
        return self.following(self.current)

    def following(self, block: int) -> int:
        """Return the block of the next segment; behind the newest comes the oldest."""
        block = (block + 1) % self.block_count
        while not self.numbers[block]:
            block = (block + 1) % self.block_count
        return block

    def room(self) -> int:
        """Return how many bytes the newest segment can still take."""
        return 0 if self.current < 0 or self.is_torn else BLOCK_SIZE - self.ends[self.current]

    # Writing

    def open(self, arrival_max: int, given_up: int) -> None:
        """Begin the next segment, for the records of segment `given_up` unless that is 0."""
        number, end, age = 1, 0, 0
        if self.current >= 0:
            number, end = self.numbers[self.current] + 1, self.ends[self.current]
        if given_up:
            age = number - given_up
        if not self.free_count:  # core/store/log.py keeps two
            raise StorageError("no free segment")
        block = (self.current + 1) % self.block_count
        while self.numbers[block]:
            block = (block + 1) % self.block_count
        if not self._clean[block]:
            self.erase(block)
        head = _sealed(struct.pack("<IIHH", number, arrival_max, end, age))
        self._write(block, _ERASED_SIZE, head + head)
        self.numbers[block] = number
        self.ends[block] = RECORDS_AT
        self.current = block
        self.is_torn = False
        self.free_count -= 1

    def append(self, data: "Bytes") -> int:
        """Program `data` behind the newest record, where `room` said it fits; return the place."""
        offset = self.ends[self.current]
        self._write(self.current, offset, data)
        self.ends[self.current] = offset + len(data)
        return offset

    def erase(self, block: int) -> None:
        """Free a block, whatever is in it."""
        self.free_count += self.numbers[block] > 0
        self.numbers[block] = 0
        self.erases[block] += 1
        self._device.ioctl(6, block)
        self._write(block, 0, _sealed(_MAGIC + struct.pack("<I", self.erases[block])))
        self._clean[block] = 1

    def _write(self, block: int, offset: int, data: "Bytes") -> None:
        """Program whole pages around `data`, filled up with 0xFF, and look whether it took."""
        step = self._program_size
        before = offset % step
        padded = bytearray(_FILLER[:before])
        padded += data
        padded += _FILLER[: -len(padded) % step]
        self._device.writeblocks(block, padded, offset - before)
        if self._read(block, offset, len(data)) != data:
            raise StorageError("the flash did not keep what was written")

    # Reading

    def walk(self, block: int, offset: int) -> "Iterator[tuple[int, bytearray | None]]":
        """Yield (location, record) from there to the segment's end, in the order of writing.

        A stretch that is damaged is (location, None), once; behind it every place
        is tried where a record may begin.
        """
        is_lost = False
        while offset < self.ends[block]:
            location = block << 10 | offset >> 2
            record = self.record(location)
            if record is not None or not is_lost:
                yield location, record
            is_lost = record is None
            offset += 4 if record is None else aligned(len(record))

    def record(self, location: int) -> "bytearray | None":
        """Return the record there, header included, or None if none is whole there."""
        block, offset = location >> 10, (location & 1023) << 2
        record = self._read(block, offset, min(_READ_SIZE, BLOCK_SIZE - offset))
        if len(record) < HEADER_SIZE:
            return None
        size, kind, _, _, checksum = struct.unpack_from("<HBBII", record)
        size += HEADER_SIZE
        if offset + size > BLOCK_SIZE or kind & KIND not in _KINDS:
            return None
        record = record[:size] if size <= len(record) else self._read(block, offset, size)
        view = memoryview(record)
        return record if crc32(view[HEADER_SIZE:], crc32(view[:8])) == checksum else None

    def hold(self, block: int) -> bytearray:
        """Read a block at once, for who looks at all of it and writes nothing; -1 to let go."""
        self._held_block = block
        if block < 0:
            self._held = bytearray()
        else:
            self._held = self._held or bytearray(BLOCK_SIZE)
            self._device.readblocks(block, self._held, 0)
        return self._held

    def _read(self, block: int, offset: int, size: int) -> bytearray:
        if block == self._held_block:
            return self._held[offset : offset + size]
        buffer = bytearray(size)
        self._device.readblocks(block, buffer, offset)
        return buffer

    def _written_end(self, block: int) -> int:
        """Return the offset behind the last byte of a block that is not 0xFF."""
        page = bytearray(len(_BLANK))
        for offset in range(BLOCK_SIZE - len(page), -1, -len(page)):
            self._device.readblocks(block, page, offset)
            if page != _BLANK:
                return offset + len(bytes(page).rstrip(b"\xff"))
        return 0

    # Opening

    def _find_segments(self) -> "array[int]":
        """Return for each block what its head says of the segment before: its end; 0: nothing."""
        is_ours = False
        versions = b""
        ends_before = array("H", bytes(2 * self.block_count))
        for block in range(self.block_count):
            head = self._read(block, 0, RECORDS_AT)
            opened = _opened(head)
            if opened is not None:
                is_ours = True
                self.numbers[block], arrival_max, ends_before[block], _ = opened
                self.arrival_max = max(self.arrival_max, arrival_max)
            if head[:4] == _MAGIC and _is_sealed(head[:_ERASED_SIZE]):
                is_ours = True
                self.erases[block] = struct.unpack_from("<I", head, 4)[0]
                self._clean[block] = opened is None and self._written_end(block) <= _ERASED_SIZE
            elif head[:3] == _MAGIC[:3] and head[3] != _MAGIC[3]:
                versions += head[3:4]
        # The very first write, torn, is no longer than the heads.
        ends = [0] if is_ours else [self._written_end(block) for block in range(self.block_count)]
        if max(ends) <= RECORDS_AT:
            return ends_before
        if versions:
            age = "a newer" if max(versions) > _MAGIC[3] else "an older"
            raise StorageError("the log was written by %s version" % age)
        raise StorageError("the flash holds something else; erase it to use it for a log")

    def _find_ends(self, ends_before: "array[int]") -> None:
        blocks = self.used()
        while blocks and self._is_void(blocks):
            self.numbers[blocks.pop()] = 0
        for block, behind in reversed(list(zip(blocks, blocks[1:]))):
            if self.numbers[behind] == self.numbers[block] + 1:
                self.ends[block] = ends_before[behind]
            else:
                self._find_end(block)
            if self.ends[behind] == RECORDS_AT:
                self._undo_begun(block, behind)

    def _undo_begun(self, block: int, behind: int) -> None:
        """Undo the last commit of a segment, if it was to go on in the next, which is empty."""
        begin, flags = self.ends[block], 0
        for location, record in self.walk(block, RECORDS_AT):
            last, flags = flags, 0 if record is None else record[2]
            if flags & FIRST or not last & MORE:
                begin = (location & 1023) << 2
        if flags & MORE:
            self.ends[block] = begin
            self.is_torn |= behind == self.current  # or what it takes next would seem to go on

    def _is_void(self, blocks: "list[int]") -> bool:
        """Make the last of these the current segment, unless it is torn and only has copies."""
        self.current = blocks[-1]
        self.is_torn = self._find_end(self.current)
        opened = _opened(self._read(self.current, 0, RECORDS_AT))
        given_up = 0 if opened is None else opened[0] - opened[3]
        return self.is_torn and given_up in [self.numbers[block] for block in blocks[:-1]]

    def _find_end(self, block: int) -> bool:
        """Set where the records that count end; return whether anything is written behind them."""
        written = self.ends[block] = self._written_end(block)
        end = RECORDS_AT
        is_whole = True
        for location, record in self.walk(block, RECORDS_AT):
            offset = (location & 1023) << 2
            if record is None:
                is_whole = False
            elif record[2] & FIRST:
                is_whole = True
                end = offset  # what is before it was whole, or this would not be here
            if record is not None and is_whole and not record[2] & MORE:
                end = offset + aligned(len(record))
        self.ends[block] = end
        return written > end


def _opened(head: bytearray) -> "tuple[int, int, int, int] | None":
    """Return what a segment's head says, from whichever copy is good."""
    for offset in (_ERASED_SIZE, _ERASED_SIZE + _OPENED_SIZE):
        one = head[offset : offset + _OPENED_SIZE]
        if _is_sealed(one):
            number, arrival_max, end, age = struct.unpack_from("<IIHH", one)
            return number, arrival_max, end, age
    return None


def _sealed(data: bytes) -> bytes:
    return data + struct.pack("<I", crc32(data))


def _is_sealed(data: bytearray) -> bool:
    checksum: int = struct.unpack_from("<I", data, len(data) - 4)[0]
    return crc32(data[:-4]) == checksum
