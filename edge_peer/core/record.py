"""
The records of a flash log, as bytes (layout: core/segment.py, core/records.py).

An *entry* is a record that is yet to be written: (kind, arrival, key, body).
"""

import struct
from binascii import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    Put = tuple[str, str, int, bytes]  # collection, id, arrival, body
    Entry = tuple[int, int, bytes, bytes]  # kind, arrival, key, body

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
COLLECTION_BYTES_MAX = 64
ID_BYTES_MAX = 128
DOCUMENT_BYTES_MAX = 1024
RECORD_BYTES_MAX = 1232  # of all of these


def pack_record(kind: int, arrival: int, key: bytes, body: bytes, name: "bytes | None") -> bytes:
    """Return a record, without what fills it up to where the next may begin."""
    if name is not None:
        kind |= NAMED
        body = bytes([len(name)]) + name + body
    head = struct.pack("<HBBI", len(key) + len(body), kind, len(key), arrival)
    return head + struct.pack("<I", crc32(body, crc32(key, crc32(head)))) + key + body


def arrival_in(record: "bytes | bytearray") -> int:
    arrival: int = struct.unpack_from("<I", record, 4)[0]
    return arrival


def key_in(record: "bytes | bytearray") -> bytes:
    return bytes(record[HEADER_SIZE : HEADER_SIZE + record[3]])


def id_in(record: "bytes | bytearray") -> str:
    return bytes(record[HEADER_SIZE + 1 : HEADER_SIZE + record[3]]).decode()


def name_in(record: "bytes | bytearray") -> str:
    """Return the collection's name of a record that has it."""
    start = HEADER_SIZE + record[3] + 1
    return bytes(record[start : start + record[start - 1]]).decode()


def body_in(record: "bytes | bytearray") -> bytes:
    start = HEADER_SIZE + record[3]
    if record[2] & NAMED:
        start += 1 + record[start]
    return bytes(record[start:])


def aligned(size: int) -> int:
    return (size + 3) & ~3
