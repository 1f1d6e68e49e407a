"""
The client's side of MQTT 3.1.1 (OASIS, 2014), as much as a link needs. Sans I/O.

    client.receive(data)      -> what has happened, a list of
                                 (CONNECTED, return code), (SUBSCRIBED, whether it was granted),
                                 (MESSAGE, topic, payload, packet id)
    client.data_to_send()     -> bytes for the broker

Everything is QoS 1 in a persistent session: the broker keeps a message until `acknowledge`.
Of our own messages nothing is kept, as the link above repeats what is not answered, so the
broker's PUBACK is passed over. Pings are not needed, as a link is never silent for long.
"""

from edge_peer.core.errors import FormatError
from edge_peer.core.packing import Reader

PACKET_BYTES_MAX = 2_048  # a frame of a board, its topic and header; more is not for us
KEEPALIVE_S = 60  # three times what a link is silent at most

CONNECTED, SUBSCRIBED, MESSAGE = "connected", "subscribed", "message"

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
_DISCONNECT = 0xE0
_QOS_1 = 0x02
_WILL, _PASSWORD, _USER = 0x04 | 0x08, 0x40, 0x80  # without "clean session", 02
_REFUSED = 0x80  # a subscription

# What a CONNACK says (3.2.2.3).
REASONS = (
    "",
    "it does not speak MQTT 3.1.1",
    "it does not want this client id",
    "it is not available",
    "user or password are wrong",
    "not authorized",
)


class MqttClient:
    def __init__(self) -> None:
        self._out = bytearray()
        self._part = b""
        self._packet_id = 0

    def data_to_send(self) -> bytes:
        data, self._out = bytes(self._out), bytearray()
        return data

    def connect(self, client_id: str, user: str, password: str, will_topic: str) -> None:
        """will_topic: where the broker says, by an empty message, that this client is gone."""
        flags = _WILL
        payload = _text(client_id) + _text(will_topic) + _text("")
        if user:
            flags |= _USER | _PASSWORD
            payload += _text(user) + _text(password)
        head = _text("MQTT") + bytes([4, flags]) + KEEPALIVE_S.to_bytes(2, "big")
        self._put(_CONNECT, head + payload)

    def subscribe(self, topic: str) -> None:
        self._put(_SUBSCRIBE, self._next_id() + _text(topic) + b"\x01")

    def publish(self, topic: str, payload: bytes) -> None:
        self._put(_PUBLISH | _QOS_1, _text(topic) + self._next_id() + payload)

    def acknowledge(self, packet_id: bytes) -> None:
        self._put(_PUBACK, packet_id)

    def disconnect(self) -> None:
        self._put(_DISCONNECT, b"")

    def receive(self, data: bytes) -> "list[tuple[object, ...]]":
        """Take bytes of the broker's. Raises OSError for what is no MQTT, or not for us."""
        self._part += data
        events: list[tuple[object, ...]] = []
        while True:
            packet = self._next_packet()
            if packet is None:
                return events
            event = self._event(packet[0], Reader(packet[1]))
            if event is not None:
                events.append(event)

    def _next_packet(self) -> "tuple[int, bytes] | None":
        """Return (first byte, what follows the length) of a whole packet (2.2)."""
        size, start = 0, 1
        while True:
            if start >= len(self._part):
                return None
            byte = self._part[start]
            size |= (byte & 127) << 7 * (start - 1)
            start += 1
            if size > PACKET_BYTES_MAX or start > 4:
                raise OSError("the broker sends what is not for us")
            if byte < 128:
                break
        if start + size > len(self._part):
            return None
        packet = self._part[0], self._part[start : start + size]
        self._part = self._part[start + size :]
        return packet

    def _event(self, first: int, reader: Reader) -> "tuple[object, ...] | None":
        kind = first & 0xF0
        try:
            if kind == _CONNACK:
                reader.take(1)
                return CONNECTED, reader.byte()
            if kind == _SUBACK:
                reader.take(2)
                return SUBSCRIBED, reader.byte() != _REFUSED
            if kind == _PUBLISH:
                topic = reader.take(int.from_bytes(reader.take(2), "big"))
                packet_id = reader.take(2) if first & 0x06 else b""
                payload = reader.take(len(reader.data) - reader.position)
                return MESSAGE, bytes(topic).decode(), bytes(payload), bytes(packet_id)
        except (ValueError, FormatError) as error:
            raise OSError("the broker sends what is no MQTT: %s" % error)
        return None  # PUBACK, PINGRESP

    def _next_id(self) -> bytes:
        self._packet_id = self._packet_id % 0xFFFF + 1
        return self._packet_id.to_bytes(2, "big")

    def _put(self, first: int, body: bytes) -> None:
        self._out.append(first)
        size = len(body)
        while size > 127:
            self._out.append(size & 127 | 128)
            size >>= 7
        self._out.append(size)
        self._out += body


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw
