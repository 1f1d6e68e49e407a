"""
What a peer says of itself over BLE before anybody connects (SPEC.md, "BLE").

    advertisement   02 01 06 | 11 07 SERVICE | 09 ff ff ff version u8 = 1 app 3 news u16
    scan response   length 09 name

`app` is a hash of the appID: who hears it need not connect to strangers. `news` is the number of
the last thing that the peer has stored, its low 16 bits: who has been told all up to it stays away.
UUIDs are in the order of the air, the last byte first.
"""

from binascii import hexlify, unhexlify
from collections import namedtuple
from hashlib import sha256

VERSION = 1
SERVICE_TEXT = "599d2925-2a6f-4ef9-b20b-ab167fcddfa5"
TO_PERIPHERAL_TEXT = "599d2926-2a6f-4ef9-b20b-ab167fcddfa5"  # written without response
TO_CENTRAL_TEXT = "599d2927-2a6f-4ef9-b20b-ab167fcddfa5"  # notified
COMPANY = 0xFFFF  # the Bluetooth SIG's number for who has none
NAME_BYTES_MAX = 29  # of the scan response's 31

# version, app hash, the number of the last thing stored
Heard = namedtuple("Heard", ("app", "news"))


def uuid_bytes(text: str) -> bytes:
    """Return a UUID in the order of the air."""
    given = unhexlify(text.replace("-", ""))
    return bytes([given[15 - i] for i in range(16)])


_HEAD = b"\x02\x01\x06\x11\x07" + uuid_bytes(SERVICE_TEXT) + b"\x09\xff\xff\xff"


def app_hash(app_id: bytes) -> bytes:
    return sha256(b"edge-peer ble" + app_id).digest()[:3]


def encode_facts(app: bytes, news: int) -> bytes:
    """Return what stands behind the company's number."""
    return bytes([VERSION]) + app + (news & 0xFFFF).to_bytes(2, "big")


def decode_facts(facts: bytes) -> "Heard | None":
    """Return what a peer says of itself, None if it is none of this version."""
    if len(facts) != 6 or facts[0] != VERSION:
        return None
    return Heard(bytes(facts[1:4]), int.from_bytes(facts[4:6], "big"))


def encode(app: bytes, news: int) -> bytes:
    return _HEAD + encode_facts(app, news)


def decode(advertisement: bytes) -> "Heard | None":
    """Return what the advertisement of a peer says, None of anything else."""
    size = len(_HEAD)
    if bytes(advertisement[:size]) != _HEAD:
        return None
    return decode_facts(bytes(advertisement[size:]))


def encode_name(name: str) -> bytes:
    """Return a scan response; of a long name the beginning."""
    raw = name.encode()[:NAME_BYTES_MAX]
    while raw and raw[-1] & 0x80:  # no half of a character
        raw = raw[:-1]
    return bytes([len(raw) + 1, 9]) + raw


def address_text(address: bytes) -> str:
    return hexlify(address).decode()
