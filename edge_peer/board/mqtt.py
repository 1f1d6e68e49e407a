"""
MQTT as a link between a board and the Big Peer: as host/mqtt.py, on a client of our own.

    {"kind": "mqtt", "host": "broker.example", "port": 1883, "user": …, "password": …,
     "tls": {"ca": FILE, "cert": FILE, "key": FILE}}

A board has no list of authorities, so "tls" names the file of the broker's ("ca", PEM or DER);
"cert" and "key" are the board's own, where the broker asks for them. It needs a network,
which flash/running.py joins (wifi.json); until then this link tries again.
"""

import asyncio
from binascii import hexlify

from edge_peer.core.errors import ConfigError
from edge_peer.core.sync.session import Medium
from edge_peer.transport.mqtt_client import CONNECTED, MESSAGE, REASONS, SUBSCRIBED, MqttClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.sync.session import Local

PORT, TLS_PORT = 1883, 8883
CONNECT_S_MAX = 10
READ_BYTES = 256
# Two frames make a message of the largest size, as on its other links: heap is scarce.
MEDIUM = Medium("mqtt", 3, 523, 1024, 20_000, 100)


def label(settings: "dict[str, Any]") -> str:
    return "mqtt %s:%s" % (settings.get("host"), _port(settings))


def _port(settings: "dict[str, Any]") -> "Any":
    return settings.get("port", TLS_PORT if settings.get("tls") else PORT)


async def connect(settings: "dict[str, Any]", local: "Local") -> "tuple[Medium, MqttChannel]":
    """Raises OSError when the broker does not answer or refuses."""
    host, port = settings.get("host"), _port(settings)
    if not isinstance(host, str) or not isinstance(port, int):
        raise ConfigError("an mqtt link needs a host, and a port if it is not 1883")
    context = _context(settings["tls"]) if settings.get("tls") else None
    opening = asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        reader, writer = await asyncio.wait_for(opening, CONNECT_S_MAX)
    except asyncio.TimeoutError:
        raise OSError("no answer; is the broker up, and the port right?")
    author = hexlify(local.store.author).decode()
    start = "edge-peer/" + hexlify(local.keyring.app_id).decode()
    channel = MqttChannel(reader, writer, start + "/to-big/" + author)
    try:
        opening = channel.open("edge-peer-" + author, settings, start + "/to-peer/" + author)
        await asyncio.wait_for(opening, CONNECT_S_MAX)
    except asyncio.TimeoutError:
        await channel.close()
        raise OSError("no answer; is that a broker?")
    except OSError:
        await channel.close()
        raise
    return MEDIUM, channel


def _context(files: "Any") -> "Any":
    """Raises ConfigError for files that cannot be used."""
    import tls

    if not isinstance(files, dict) or "ca" not in files:
        raise ConfigError('"tls" of a board\'s mqtt link has "ca", the file of the authority')
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    try:
        context.load_verify_locations(_contents(files["ca"]))
        if "cert" in files:
            context.load_cert_chain(_contents(files["cert"]), _contents(files["key"]))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError("an mqtt link's certificates cannot be used: %s" % error)
    return context


def _contents(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


class MqttChannel:
    """The frames of one link, as transport/pump.py moves them."""

    def __init__(self, reader: "Any", writer: "Any", topic: str) -> None:
        """topic: where the other side listens."""
        self._reader, self._writer, self._topic = reader, writer, topic
        self._client = MqttClient()
        self._messages: list[Any] = []
        self._handled = b""

    async def open(self, client_id: str, settings: "dict[str, Any]", topic: str) -> None:
        """Greet the broker and subscribe; raises OSError for its reason."""
        user, password = settings.get("user", ""), settings.get("password", "")
        self._client.connect(client_id, user, password, self._topic)
        [code] = await self._answer(CONNECTED)
        if code:
            known = 0 < code < len(REASONS)
            raise OSError("the broker refused: %s" % (REASONS[code] if known else code))
        self._client.subscribe(topic)
        [was_granted] = await self._answer(SUBSCRIBED)
        if not was_granted:
            raise OSError("the broker refused a subscription")

    def damaged_count(self) -> int:
        return 0  # the broker's connection is checked by TCP

    async def receive(self) -> "list[bytes]":
        if self._handled:
            self._client.acknowledge(self._handled)
            self._handled = b""
            await self._flush()
        while not self._messages:
            await self._read()
        _, payload, self._handled = self._messages.pop(0)
        if not payload:
            raise OSError("the other side is gone")
        return [payload]

    async def send(self, frames: "list[bytes]") -> None:
        for frame in frames:
            self._client.publish(self._topic, frame)
            await self._flush()

    async def close(self) -> None:
        self._client.disconnect()
        try:
            await self._flush()
            self._writer.close()
            await self._writer.wait_closed()
        except OSError:
            pass  # it was gone already

    async def _answer(self, kind: str) -> "list[Any]":
        await self._flush()
        while True:
            found = await self._read()
            for event in found:
                if event[0] == kind:
                    return list(event[1:])

    async def _read(self) -> "list[Any]":
        """Take what has come; return what is no message."""
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise OSError("the broker has closed the connection")
        events = self._client.receive(data)
        self._messages += [event[1:] for event in events if event[0] == MESSAGE]
        return [event for event in events if event[0] != MESSAGE]

    async def _flush(self) -> None:
        data = self._client.data_to_send()
        if data:
            self._writer.write(data)
            await self._writer.drain()
