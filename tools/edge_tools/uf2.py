"""
UF2: what a board's boot loader takes from a USB drive (microsoft/uf2, README).

    magic 0x0A324655 | 0x9E5D5157 | flags | address | 256 | number | count | family
    256 bytes of data, zeros up to 476 | magic 0x0AB16F30           512 bytes a block
"""

import struct
from collections.abc import Mapping

FLASH_ADDRESS = 0x10000000  # where RP2 has its flash in memory
PAGE_BYTES = 256
SECTOR_BYTES = 4096
HEAD = "<8I"
MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
HAS_FAMILY = 0x2000
BLANK = b"\xff" * SECTOR_BYTES


def encode(parts: Mapping[int, bytes], family: int) -> bytes:
    """Return a UF2 file of these parts, offset in the flash -> bytes.

    Sectors that are blank are left out: the flash keeps what it has there.
    """
    pages = []
    for offset, data in sorted(parts.items()):
        assert offset % SECTOR_BYTES == 0
        padded = data + b"\xff" * (-len(data) % SECTOR_BYTES)
        for start in range(0, len(padded), SECTOR_BYTES):
            sector = padded[start : start + SECTOR_BYTES]
            if sector != BLANK:
                pages += [
                    (offset + start + at, sector[at : at + PAGE_BYTES])
                    for at in range(0, SECTOR_BYTES, PAGE_BYTES)
                ]
    head = (MAGIC[0], MAGIC[1], HAS_FAMILY)
    return b"".join(
        struct.pack(HEAD, *head, FLASH_ADDRESS + at, PAGE_BYTES, number, len(pages), family)
        + data.ljust(476, b"\0")
        + struct.pack("<I", MAGIC[2])
        for number, (at, data) in enumerate(pages)
    )


def decode(file: bytes, flash: bytearray) -> int:
    """Write a UF2 file into a flash; return its family. Raises ValueError if it is none."""
    if not file or len(file) % 512:
        raise ValueError("not a UF2 file: it has blocks of 512 bytes")
    family = 0
    for start in range(0, len(file), 512):
        first, second, flags, address, size, _, _, family = struct.unpack_from(HEAD, file, start)
        if (first, second) != MAGIC[:2] or size > 476 or not flags & HAS_FAMILY:
            raise ValueError("not a UF2 file of ours")
        at = address - FLASH_ADDRESS
        if not 0 <= at <= len(flash) - size:
            raise ValueError(f"0x{address:x} is outside of this flash")
        flash[at : at + size] = file[start + 32 : start + 32 + size]
    return family
