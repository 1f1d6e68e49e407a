"""
Multicast DNS (RFC 6762, RFC 6763), as much as it takes to find peers of our app. Sans I/O.

    query()                       -> a packet that asks who offers SERVICE
    found(packet, app)            -> the peers that a packet names, a list of Place
    answer(packet, place, app)    -> what a peer answers to a query, b"" if it asks for others

A peer is an instance of SERVICE, called by its author; its TXT record has `app`, the hash of
advertisement.py, so that nobody connects to strangers. Who asks from a port other than 5353
is answered directly (RFC 6762, 6.7), so a board can ask without joining a group.
"""

from binascii import hexlify
from collections import namedtuple

SERVICE = "_edgepeer._tcp.local"
GROUP, PORT = "224.0.0.251", 5353
TTL_S = 120
PACKET_BYTES_MAX = 1_472  # one Ethernet frame
RECORD_COUNT_MAX = 32  # of one packet; what has more is passed over
LABEL_COUNT_MAX = 16  # of a name, pointers included

_A, _PTR, _TXT, _AAAA, _SRV = 1, 12, 16, 28, 33
_IN = 1
_ANSWER = 0x8400  # a response, authoritative

# author: hexadecimal; addresses: text, IPv4 as 1.2.3.4, IPv6 as eight groups; waits: for others
# to connect, whatever their authors
Place = namedtuple("Place", ("author", "addresses", "port", "waits"))


class _Malformed(Exception):
    pass


def query() -> bytes:
    return _header(0, 1, 0) + _name(SERVICE) + _number(_PTR) + _number(_IN)


def answer(packet: bytes, place: Place, app: bytes) -> bytes:
    """place: this peer, with one IPv4 address."""
    try:
        asked = _asks_for_us(packet)
    except _Malformed:
        asked = False
    if not asked:
        return b""
    instance, host = place.author + "." + SERVICE, place.author + ".local"
    text = b"app=" + hexlify(app)
    address = bytes([int(part) for part in place.addresses[0].split(".")])
    records = (
        (SERVICE, _PTR, _name(instance)),
        (instance, _SRV, bytes(4) + _number(place.port) + _name(host)),
        (instance, _TXT, bytes([len(text)]) + text),
        (host, _A, address),
    )
    out = packet[:2] + _header(_ANSWER, 0, len(records))[2:]
    for name, kind, data in records:
        out += _name(name) + _number(kind) + _number(_IN) + TTL_S.to_bytes(4, "big")
        out += _number(len(data)) + data
    return out


def found(packet: bytes, app: bytes) -> "list[Place]":
    """Return who of our app is named in a response with all that it takes to connect."""
    try:
        records = _records(packet)
    except _Malformed:
        return []
    ours = b"app=" + hexlify(app)
    hosts: dict[str, list[str]] = {}
    for name, kind, _, address in records:
        if kind in (_A, _AAAA) and address:
            hosts.setdefault(name, []).append(address)
    texts = {name: _texts(data) for name, kind, data, _ in records if kind == _TXT}
    places = []
    for name, kind, data, target in records:
        if kind == _SRV and ours in texts.get(name, ()) and target in hosts:
            author = name[: name.index(".")]
            port = int.from_bytes(data[4:6], "big")
            places.append(Place(author, hosts[target], port, b"waits=1" in texts[name]))
    return places


def _asks_for_us(packet: bytes) -> bool:
    flags, questions = _count(packet, 2), _count(packet, 4)
    if flags & 0x8000 or questions > RECORD_COUNT_MAX:
        return False
    position = 12
    for _ in range(questions):
        name, position = _read_name(packet, position)
        if name == SERVICE and _count(packet, position) in (_PTR, 255):
            return True
        position += 4
    return False


def _records(packet: bytes) -> "list[tuple[str, int, bytes, str]]":
    """Return (name, kind, data, the name or address in it) of a response's records."""
    if len(packet) > PACKET_BYTES_MAX or not _count(packet, 2) & 0x8000:
        raise _Malformed
    questions = _count(packet, 4)
    count = _count(packet, 6) + _count(packet, 8) + _count(packet, 10)
    if questions > RECORD_COUNT_MAX or count > RECORD_COUNT_MAX:
        raise _Malformed
    position, records = 12, []
    for _ in range(questions):
        position = _read_name(packet, position)[1] + 4
    for _ in range(count):
        name, position = _read_name(packet, position)
        kind, size = _count(packet, position), _count(packet, position + 8)
        start, position = position + 10, position + 10 + size
        data = packet[start:position]
        if len(data) < size:
            raise _Malformed
        told = ""
        if kind == _A and size == 4:
            told = ".".join([str(byte) for byte in data])
        elif kind == _AAAA and size == 16:
            told = ":".join(["%x" % _count(data, i) for i in range(0, 16, 2)])
        elif kind == _SRV and size > 6:
            told = _read_name(packet, start + 6)[0]
        records.append((name, kind, bytes(data), told))
    return records


def _texts(data: bytes) -> "list[bytes]":
    found = []
    while data:
        found.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return found


def _read_name(packet: bytes, position: int) -> "tuple[str, int]":
    """Return (name in small letters, where it ends); a pointer leads backwards only (RFC 1035)."""
    labels: list[str] = []
    end = 0
    while len(labels) < LABEL_COUNT_MAX:
        if position >= len(packet):
            raise _Malformed
        size = packet[position]
        if size == 0:
            return ".".join(labels).lower(), end or position + 1
        if size >= 0xC0:
            pointer = _count(packet, position) & 0x3FFF
            end = end or position + 2
            if pointer >= position:
                raise _Malformed
            position = pointer
        else:
            try:
                labels.append(bytes(packet[position + 1 : position + 1 + size]).decode())
            except ValueError:
                raise _Malformed
            position += 1 + size
    raise _Malformed


def _count(packet: bytes, position: int) -> int:
    if position + 2 > len(packet):
        raise _Malformed
    return packet[position] << 8 | packet[position + 1]


def _number(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _header(flags: int, questions: int, answers: int) -> bytes:
    return bytes(2) + _number(flags) + _number(questions) + _number(answers) + bytes(4)


def _name(name: str) -> bytes:
    out = b""
    for label in name.split("."):
        out += bytes([len(label)]) + label.encode()
    return out + b"\0"
