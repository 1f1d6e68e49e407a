"""
The records of a flash log, as bytes (layout: core/store/segment.py, core/store/records.py).

An *entry* is a record that is yet to be written: (kind, arrival, key, body).
"""

import struct
from binascii import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    Put = tuple[str, str, int, bytes]  # collection, id, arrival, body
    Bytes = bytes | bytearray
    Entry = tuple[int, int, Bytes, Bytes]  # kind, arrival, key, body

HEADER_SIZE = 12
KIND = 0x1F  # the bits of the kind; the others are flags
DOCUMENT = 1
DROPS = 2
RELAYED_DOCUMENT = 3  # carried only for others
NAMED = 0x20  # the name of the collection stands between key and body
FIRST = 0x40
MORE = 0x80

META = ""  # the collection of the store's own entries
META_NUMBER = 0
META_BYTES_MAX = 3072  # of all of them: the vectors of about 80 authors
DOCUMENT_BYTES_MAX = 1024
RECORD_BYTES_MAX = 1232  # of all of these
_FILLERS = (b"", b"\0\0\0", b"\0\0", b"\0")


def put_record(
    out: bytearray, kind: int, arrival: int, key: "Bytes", body: "Bytes", name: "bytes | None"
) -> None:
    """Append a record, and what fills it up to where the next may begin."""
    if name is not None:
        kind |= NAMED
        body = bytes([len(name)]) + name + body
    size = len(key) + len(body)
    head = struct.pack("<HBBI", size, kind, len(key), arrival)
    out += head
    out += struct.pack("<I", crc32(body, crc32(key, crc32(head))))
    out += key
    out += body
    out += _FILLERS[size & 3]


def arrival_in(record: "Bytes") -> int:
    arrival: int = struct.unpack_from("<I", record, 4)[0]
    return arrival


def key_in(record: "Bytes") -> bytes:
    return bytes(record[HEADER_SIZE : HEADER_SIZE + record[3]])


def id_in(record: "Bytes") -> str:
    return bytes(record[HEADER_SIZE + 1 : HEADER_SIZE + record[3]]).decode()


def name_in(record: "Bytes") -> str:
    """Return the collection's name of a record that has it."""
    start = HEADER_SIZE + record[3] + 1
    return bytes(record[start : start + record[start - 1]]).decode()


def body_in(record: "Bytes") -> bytes:
    start = HEADER_SIZE + record[3]
    if record[2] & NAMED:
        start += 1 + record[start]
    return bytes(record[start:])


def aligned(size: int) -> int:
    return (size + 3) & ~3
