"""
The records of a flash log, as bytes (layout: core/segment.py, core/log.py).

An *entry* is a record that is yet to be written: (kind, arrival, key, body).
"""

import struct
from binascii import crc32

from edge_peer.core.errors import StorageError, StoreFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    Put = tuple[str, str, int, bytes]  # collection, id, arrival, body
    Entry = tuple[int, int, bytes, bytes]  # kind, arrival, key, body

HEADER_SIZE = 12
KIND = 0x3F  # the bits of the kind; the others are flags
DOCUMENT = 1
DROPS = 2
RELAYED_DOCUMENT = 3  # carried only for others
FIRST = 0x40
MORE = 0x80

META = ""  # the collection of the store's own entries
META_BYTES_MAX = 3072  # of all of them: the vectors of about 80 authors
COLLECTION_BYTES_MAX = 64
ID_BYTES_MAX = 128
DOCUMENT_BYTES_MAX = 1024
RECORD_BYTES_MAX = HEADER_SIZE + 1 + COLLECTION_BYTES_MAX + ID_BYTES_MAX + DOCUMENT_BYTES_MAX + 3


def pack_record(kind: int, arrival: int, key: bytes, body: bytes) -> bytes:
    """Return a record, filled up to where the next may begin."""
    head = struct.pack("<HBBI", len(key) + len(body), kind, len(key), arrival)
    checksum = struct.pack("<I", crc32(body, crc32(key, crc32(head))))
    return head + checksum + key + body + bytes(-(len(key) + len(body)) % 4)


def entry_of(put: "Put", is_relayed: bool) -> "Entry":
    """Return a put as it is stored; raise StorageError for what can never be."""
    collection, id, arrival, body = put
    key = key_of(collection, id)
    size_max = META_BYTES_MAX if collection == META else DOCUMENT_BYTES_MAX
    if key[0] > COLLECTION_BYTES_MAX or len(key) - 1 - key[0] > ID_BYTES_MAX:
        raise StorageError(
            "a collection's name has at most %d bytes, an id %d"
            % (COLLECTION_BYTES_MAX, ID_BYTES_MAX)
        )
    if len(body) > size_max:
        raise StoreFull("a document of %d bytes, at most %d" % (len(body), size_max))
    return RELAYED_DOCUMENT if is_relayed else DOCUMENT, arrival, key, body


def entry_size(entry: "Entry") -> int:
    return aligned(HEADER_SIZE + len(entry[2]) + len(entry[3]))


def key_of(collection: str, id: str) -> bytes:
    name = collection.encode()
    return bytes([min(len(name), 255)]) + name + id.encode()


def names_in(key: bytes) -> "tuple[str, str]":
    """Return collection and id."""
    return key[1 : 1 + key[0]].decode(), key[1 + key[0] :].decode()


def arrival_in(record: bytearray) -> int:
    arrival: int = struct.unpack_from("<I", record, 4)[0]
    return arrival


def key_in(record: bytearray) -> bytes:
    return bytes(record[HEADER_SIZE : HEADER_SIZE + record[3]])


def body_in(record: bytearray) -> bytes:
    return bytes(record[HEADER_SIZE + record[3] :])


def aligned(size: int) -> int:
    return (size + 3) & ~3
