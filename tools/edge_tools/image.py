"""
A board's flash as bytes: littlefs as its firmware makes it, UF2, an ESP32's partitions.

The same files give the same bytes: nothing in littlefs has a time.
"""

import hashlib
import struct
from collections.abc import Mapping
from typing import NamedTuple

from littlefs import LittleFS, LittleFSError

from edge_tools import uf2
from edge_tools.boards import BLOCK_BYTES, Board
from edge_tools.errors import ToolError

DISK_VERSION = 0x00020000  # what MicroPython 1.25 mounts
PARTITIONS_START = 0x8000
PARTITIONS_BYTES = 0xC00
# type, subtype, offset, size, name; esp-idf, "Partition Tables". vfs and log follow.
PARTITIONS = (
    (1, 0x02, 0x9000, 0x6000, "nvs"),
    (1, 0x01, 0xF000, 0x1000, "phy_init"),
    (0, 0x00, 0x10000, 0x1F0000, "factory"),
)
LOG_LABEL = "edge_log"
DATA, FAT, UNDEFINED = 1, 0x81, 0x06


class NoRoom(ToolError):
    """The files do not fit the file system."""


def file_system(board: Board, files: Mapping[str, bytes]) -> bytes:
    """Return a littlefs with these files, path -> contents, of the size that the firmware expects.

    Raises NoRoom.
    """
    assert board.flash is not None
    lfs = LittleFS(
        block_size=BLOCK_BYTES,
        block_count=board.flash.files_bytes // BLOCK_BYTES,
        read_size=32,
        prog_size=board.flash.program_bytes,
        cache_size=max(board.flash.program_bytes, 128),
        lookahead_size=32,
        disk_version=DISK_VERSION,
    )
    try:
        for path, data in sorted(files.items()):
            folder = path.rpartition("/")[0]
            if folder:
                lfs.makedirs(folder, exist_ok=True)
            with lfs.open(path, "wb") as file:
                file.write(data)
    except LittleFSError as error:
        raise NoRoom(f"{path}: {error}") from error
    return bytes(lfs.context.buffer)


class Image(NamedTuple):
    name: str
    start: int  # offset in the flash
    data: bytes


def images(board: Board, files: Mapping[str, bytes]) -> list[Image]:
    """Return what fills a blank board of this kind, beside its firmware.

    RP2: a UF2. ESP32: the file system and the partition table, for esptool. Raises NoRoom.
    """
    flash = board.flash
    assert flash is not None
    system = file_system(board, files)
    if flash.uf2_family is not None:
        data = uf2.encode({flash.files_start: system}, flash.uf2_family)
        return [Image("files.uf2", flash.files_start, data)]
    table = Image("partitions.bin", PARTITIONS_START, partition_table(board))
    return [Image("files.bin", flash.files_start, system), table]


def partition_table(board: Board) -> bytes:
    """Return an ESP32's: upstream's for 4 MiB, with a part of vfs for the log."""
    flash = board.flash
    assert flash is not None and flash.log_bytes
    rows = [
        *PARTITIONS,
        (DATA, FAT, flash.files_start, flash.files_bytes, "vfs"),
        (DATA, UNDEFINED, flash.log_start, flash.log_bytes, LOG_LABEL),
    ]
    body = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", *row[:4], row[4].encode(), 0) for row in rows
    )
    digest = b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(body).digest()
    return (body + digest).ljust(PARTITIONS_BYTES, b"\xff")
