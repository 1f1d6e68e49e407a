"""
Raw flash where littlefs has it all: blocks that files hold in their place.

A file of exactly one block lies in one block of the device, which littlefs neither
reads nor moves until the file is opened, and whose address stands in the metadata
of the directory only. Here such files ("pins") are made and looked up; from then on
these blocks are read, programmed and erased past littlefs. To littlefs their space is
used, which is true.

    /edge_log/README     not to touch this
    /edge_log/000 …      one block each
    /edge_log/map        which block each of them had when it was made

A block is ours if the metadata on the flash says today that it is the whole of a
pin, and if the map says that it always was. Otherwise nothing is written: a pin that
was copied or written to lies elsewhere, and its old block may be anybody's.

Making them (SPEC.md, "Pinned blocks") can be cut anywhere: each pin is whole or
empty, the next time goes on with those that are missing, and not before the map is
renamed into its place is anything written past littlefs. 72 pins take a Pico
several seconds, once. Not noticed is what happens to pins while they are in use:
remove the folder only where no log is open on it.
"""

import os
import struct
from binascii import crc32

from edge_peer.board.blocks import Blocks
from edge_peer.core.errors import ConfigError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.store.segment import BlockDevice

    Place = tuple[int, int]  # block (-1: none yet), bytes in the file
    Pair = tuple[int, int]  # the two blocks of a metadata pair

BLOCK_SIZE = 4096
PIN_COUNT_MAX = 1000  # three digits
BLANK = b"\xff" * 256
README = b"""\
These files are the database of this device. Their blocks are written past the file
system: do not open, copy, rename or remove single ones. To give the space back, or to
begin with an empty database, remove the whole folder while no program runs.
"""

_MARKER = b"FLp1"  # the last character is the version of the layout
_MARKER_SIZE = 20  # no longer than the heads of core/store/segment.py, which takes it for blank
_MAP = b"FLm1"
_REMEDY = "; if nothing else helps, remove the folder: the log then begins empty"

# What littlefs calls its tags (its SPEC.md, version 2.1)
_NAME, _STRUCT, _TAIL = 0x000, 0x200, 0x600  # types, in the bits 0x700
_DIR, _SUPERBLOCK = 0x002, 0x0FF
_DIR_STRUCT, _INLINE_STRUCT, _CTZ_STRUCT = 0x200, 0x201, 0x202
_CREATE, _DELETE = 0x401, 0x4FF
_CHECKSUM = 0x500  # in the bits 0x780
_HARD_TAIL = 0x601
_NO_SIZE = 0x3FF


def open_pinned(device: "BlockDevice", folder: str, count: int) -> Blocks:
    """Open the pins of a folder, or make them; return them as a device for FlashLog.

    device: the flash as littlefs has it. folder: at the top of that file system,
    which is mounted. A higher count than last time makes more pins.
    Raises ConfigError for a count out of range, and StorageError, with nothing
    written past littlefs, if there is no room or a pin is not where it was.
    """
    return Blocks(device, _Pins(device, folder, count).blocks)


class _Pins:
    def __init__(self, device: "BlockDevice", folder: str, count: int) -> None:
        if not isinstance(count, int) or not 0 < count <= PIN_COUNT_MAX:
            raise ConfigError("blocks is a number from 1 to %d" % PIN_COUNT_MAX)
        self._device = device
        self._folder = folder.rstrip("/")
        self.blocks: list[int] = []
        try:
            self.blocks = self._open()
            if len(self.blocks) > count:
                raise self._error("has %d blocks and cannot shrink" % len(self.blocks))
            if len(self.blocks) < count:
                self.blocks = self._grow(count)
        except OSError as error:
            raise self._error("is not usable: %s" % error)

    # Opening

    def _open(self) -> "list[int]":
        """Return the blocks of the map, each checked; none without a map."""
        blocks = self._read_map()
        places = {} if not blocks else self._places()
        for index in range(len(blocks)):
            block, size = places.get("%03d" % index, (-1, -1))
            if size < 0:
                raise self._error("lacks the file %03d" % index)
            if size != BLOCK_SIZE:
                raise self._error("has a file %03d of another size" % index)
            if block != blocks[index]:
                raise self._error("has a file %03d that was copied or written to" % index)
        return blocks

    def _read_map(self) -> "list[int]":
        try:
            with open(self._path("map"), "rb") as file:
                data = file.read()
        except OSError as error:
            if error.errno == 2:  # ENOENT
                return []
            raise
        count = (len(data) - 10) // 2
        if count < 1 or data != _pack_map(struct.unpack_from("<%dH" % count, data, 6)):
            raise self._error("has a damaged map, or one of a newer version")
        return list(struct.unpack_from("<%dH" % count, data, 6))

    def _places(self) -> "dict[str, Place]":
        return find_files(self._device, self._folder.split("/")[-1])

    # Making

    def _grow(self, count: int) -> "list[int]":
        """Make the pins that are missing, then the map of all; return their blocks."""
        self._make_folder()
        places = self._places()
        new = ["%03d" % index for index in range(len(self.blocks), count)]
        for name in new:
            if places.get(name, (-1, 0))[1]:
                self._check_new(name, places[name])
        attempt = os.urandom(8)  # tells these pins from what is left of an earlier attempt
        try:
            for name in new:
                if not places.get(name, (-1, 0))[1]:
                    self._make_pin(name, attempt)
        except OSError as error:
            self._remove(new)
            raise self._error("has no room for %d blocks (%s)" % (count, error))
        places = self._places()
        for name in new:
            self._check_new(name, places.get(name, (-1, 0)))
        blocks = self.blocks + [places[name][0] for name in new]
        with open(self._path("map.tmp"), "wb") as file:
            file.write(_pack_map(blocks))
        os.rename(self._path("map.tmp"), self._path("map"))
        return blocks

    def _make_folder(self) -> None:
        try:
            os.mkdir(self._folder)
        except OSError as error:
            if error.errno != 17:  # EEXIST
                raise
        with open(self._path("README"), "wb") as file:
            file.write(README)

    def _make_pin(self, name: str, attempt: bytes) -> None:
        marker = _MARKER + name.encode() + b"\0" + attempt
        with open(self._path(name), "wb") as file:
            file.write(marker + struct.pack("<I", crc32(marker)) + BLANK[_MARKER_SIZE:])
            for _ in range(BLOCK_SIZE // len(BLANK) - 1):
                file.write(BLANK)

    def _check_new(self, name: str, place: "Place") -> None:
        """Make sure that this file is a pin, not used yet, and lies where we think."""
        block, size = place
        raw = bytearray(_MARKER_SIZE)
        if size == BLOCK_SIZE and block >= 0:
            self._device.readblocks(block, raw, 0)
        head = raw[:8] + struct.pack("<I", crc32(raw[:16]))
        with open(self._path(name), "rb") as file:
            same = file.read(_MARKER_SIZE) == bytes(raw)
        if not same or head != _MARKER + name.encode() + b"\0" + raw[16:]:
            raise self._error("has a file %s that is in use, but not in the map" % name)

    def _remove(self, names: "list[str]") -> None:
        """Give back the room of pins that nothing was written to."""
        places = self._places()
        for name in names:
            if name in places:
                os.remove(self._path(name))

    def _path(self, name: str) -> str:
        return "%s/%s" % (self._folder, name)

    def _error(self, text: str) -> StorageError:
        return StorageError("%s %s%s" % (self._folder, text, _REMEDY))


def _pack_map(blocks: "tuple[int, ...] | list[int]") -> bytes:
    data = _MAP + struct.pack("<H%dH" % len(blocks), len(blocks), *blocks)
    return data + struct.pack("<I", crc32(data))


# Reading littlefs: its directories are pairs of metadata blocks, the newer one counts


def find_files(device: "BlockDevice", folder: str) -> "dict[str, Place]":
    """Return where the files of a top folder lie, from what is on the flash; reads only.

    Files so small that littlefs keeps them in the directory have no block (-1).
    Raises StorageError if there is no littlefs that we understand, or no such folder.
    """
    top = _entries(device, (0, 1))
    name, kind, _, data = top[0] if top else _NOTHING
    if name != b"littlefs" or kind != _SUPERBLOCK or len(data) < 12:
        raise StorageError("the flash has no littlefs")
    version, block_size, _ = struct.unpack_from("<III", data, 0)
    if version >> 16 != 2 or block_size != BLOCK_SIZE:
        raise StorageError("littlefs 2 with blocks of %d bytes is needed" % BLOCK_SIZE)
    for name, kind, struct_kind, data in top:
        if kind == _DIR and struct_kind == _DIR_STRUCT and name == folder.encode():
            found = _entries(device, struct.unpack("<II", data))
            return {entry[0].decode(): _place(entry[2], entry[3]) for entry in found}
    raise StorageError("no folder %s at the top of this board's flash" % folder)


_NOTHING = (b"", 0, 0, b"")


def _place(struct_kind: int, data: bytes) -> "Place":
    if struct_kind == _CTZ_STRUCT:
        block, size = struct.unpack("<II", data)
        return block, size
    return -1, len(data) if struct_kind == _INLINE_STRUCT else -1


def _entries(device: "BlockDevice", pair: "Pair") -> "list[tuple[bytes, int, int, bytes]]":
    """Return all of a directory: name, kind of name, kind of struct, struct."""
    entries = []
    for _ in range(device.ioctl(4, 0)):
        found, tail_kind, tail = _newest(device, pair)
        entries += found
        if tail_kind != _HARD_TAIL:
            return entries
        pair = struct.unpack("<II", tail)
    raise StorageError("littlefs is damaged")


def _newest(device: "BlockDevice", pair: "Pair") -> "tuple[list, int, bytes]":
    """Return what the newer block of a pair says that has a whole commit."""
    revisions = []
    for block in pair:
        if not 0 <= block < device.ioctl(4, 0):
            raise StorageError("littlefs is damaged")
        head = bytearray(4)
        device.readblocks(block, head, 0)
        revisions.append(struct.unpack("<I", head)[0])
    is_second_newer = 0 < (revisions[1] - revisions[0]) & 0xFFFFFFFF < 0x80000000
    data = bytearray(BLOCK_SIZE)
    for block in (pair[1], pair[0]) if is_second_newer else pair:
        device.readblocks(block, data, 0)
        tags = _committed(data)
        if tags:
            return _replay(data, tags)
    raise StorageError("littlefs is damaged")


def _committed(data: bytearray) -> "list[tuple[int, int, int, int]]":
    """Return the tags of all whole commits: type, id, offset and size of the data.

    A tag is a big-endian word, XORed with the one before: invalid 1 bit | type 11 |
    id 10 | size 10. A commit ends in a checksum of all from the end of the last one.
    """
    view = memoryview(data)
    tags: list[tuple[int, int, int, int]] = []
    whole_count = 0
    high = low = 0xFFFF  # in halves: what has more than 30 bits a board computes slowly
    start, offset = 0, 4  # behind the revision
    while offset + 4 <= len(data):
        one, two = struct.unpack_from(">HH", data, offset)
        high ^= one
        low ^= two
        kind, size = high >> 4, low & _NO_SIZE
        offset += 4
        end = offset + (0 if size == _NO_SIZE else size)
        if kind & 0x800 or end > len(data):
            break
        tags.append((kind, (high & 15) << 6 | low >> 10, offset, end - offset))
        if kind & 0x780 == _CHECKSUM:
            if crc32(view[start:offset]) ^ 0xFFFFFFFF != struct.unpack_from("<I", data, offset)[0]:
                break
            whole_count = len(tags)
            start = end
            high ^= (kind & 1) << 15
        offset = end
    return tags[:whole_count]


def _replay(data: bytearray, tags: "list[tuple[int, int, int, int]]") -> "tuple[list, int, bytes]":
    """Return the entries that these tags leave, and kind and data of the tail."""
    entries = []
    tail_kind, tail = 0, b""
    for kind, id, offset, size in tags:
        value = bytes(data[offset : offset + size])
        if kind == _CREATE:
            entries.insert(id, _NOTHING)
        elif kind == _DELETE:
            entries.pop(id)
        elif kind & 0x700 == _TAIL:
            tail_kind, tail = kind, value
        elif kind & 0x700 in (_NAME, _STRUCT):
            while id >= len(entries):  # a compacted block has names in any order, uncreated
                entries.append(_NOTHING)
            name, name_kind, struct_kind, struct_data = entries[id]
            if kind & 0x700 == _NAME:
                entries[id] = (value, kind, struct_kind, struct_data)
            else:
                entries[id] = (name, name_kind, kind, value)
    return entries, tail_kind, tail
