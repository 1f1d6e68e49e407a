"""
Which certificates are void before their time: a signed list that every peer keeps.

    list        body | signature 64
    body        D1 | version 4 | issued 4 | floor 4 | count 2 | serials
    serials     ascending, each as the varint of what it is above the one before (the first:
                above floor - 1), so at least 1
    signature   Ed25519, by the authority, of "edge-revoke-v1" | SHA-256(appID 16 | body)

A serial below `floor` is revoked, and so is each that is listed. A renewed certificate has
a new serial, so raising the floor empties a list that has become long. Of two lists the
one of the higher version counts; a peer that has one never takes a lower one, even after a
restart. Who is cut off from all news does not learn: the list says when it was issued.
"""

import struct
from collections import namedtuple
from hashlib import sha256

from edge_peer.core.errors import FormatError
from edge_peer.core.packing import Reader, put_varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Verify = Callable[[bytes, bytes], Generator[None, None, bool]]

MAGIC = 0xD1
CONTEXT = b"edge-revoke-v1"
SIGNATURE_SIZE = 64
SIZE_MAX = 1_000  # it goes through every link in one message, on a serial line of 1,024 bytes
_HEAD = ">BIIIH"
_HEAD_SIZE = 15
_SERIAL_MAX = 0xFFFFFFFF

RevocationList = namedtuple("RevocationList", ("version", "issued_s", "floor", "serials", "raw"))


def encode_body(version: int, issued_s: int, floor: int, serials: "list[int]") -> bytes:
    """Return what is to be signed; raises ValueError where the list would be too long."""
    assert 0 < version <= _SERIAL_MAX and floor > 0
    out = bytearray(_HEAD_SIZE)
    before = floor - 1
    kept = [serial for serial in sorted(set(serials)) if serial >= floor]
    for serial in kept:
        put_varint(out, serial - before)
        before = serial
    if len(out) + SIGNATURE_SIZE > SIZE_MAX:
        raise ValueError("a revocation list of %d serials is too long" % len(kept))
    out[:_HEAD_SIZE] = struct.pack(_HEAD, MAGIC, version, issued_s, floor, len(kept))
    return bytes(out)


def decode(raw: bytes) -> RevocationList:
    """Read a list, proven or not; raises FormatError."""
    raw = bytes(raw)
    if not _HEAD_SIZE + SIGNATURE_SIZE <= len(raw) <= SIZE_MAX or raw[0] != MAGIC:
        raise FormatError("no revocation list")
    _, version, issued_s, floor, count = struct.unpack(_HEAD, raw[:_HEAD_SIZE])
    reader = Reader(raw[:-SIGNATURE_SIZE], _HEAD_SIZE)
    serials = []
    serial = floor - 1
    for _ in range(count):
        step = reader.varint()
        serial += step
        if not step or serial > _SERIAL_MAX:
            raise FormatError("revoked serials do not ascend")
        serials.append(serial)
    if not reader.at_end() or not version or not floor:
        raise FormatError("a revocation list that is longer, or says nothing")
    return RevocationList(version, issued_s, floor, tuple(serials), raw)


def message_of(app_id: bytes, body: bytes) -> bytes:
    """Return the 46 bytes that the authority signs: with them one block of SHA-512."""
    return CONTEXT + sha256(app_id + body).digest()


class Revocations:
    """The list that a peer goes by; `keep(raw)` makes a new one durable before it counts.

    raw: the list that was kept last, None for none. Raises FormatError if it is damaged:
    who starts without it would let the revoked in.
    """

    def __init__(self, app_id: bytes, raw: "bytes | None", keep: "Callable[[bytes], None]") -> None:
        self.current = None if raw is None else decode(raw)
        self._app_id = app_id
        self._keep = keep

    @property
    def version(self) -> int:
        """0: there is none yet."""
        return 0 if self.current is None else self.current.version

    def is_revoked(self, serial: int) -> bool:
        current = self.current
        return current is not None and (serial < current.floor or serial in current.serials)

    def take(self, raw: bytes, verify: "Verify") -> "Generator[None, None, bool]":
        """Go by this list from now on if it is newer and signed; return whether it is.

        In steps, as `verify(signature, message)` is (security/certificate.py). Raises
        FormatError for what is no list.
        """
        offered = decode(raw)
        if offered.version <= self.version:
            return False
        body = offered.raw[:-SIGNATURE_SIZE]
        valid = yield from verify(offered.raw[-SIGNATURE_SIZE:], message_of(self._app_id, body))
        if not valid or offered.version <= self.version:
            return False
        self._keep(offered.raw)
        self.current = offered
        return True
