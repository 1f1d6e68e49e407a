"""
MQTT as a link between a peer and the Big Peer, through any standard broker.

    {"kind": "mqtt", "host": "broker.example", "port": 1883, "user": …, "password": …,
     "tls": true}            or {"ca": FILE, "cert": FILE, "key": FILE}

With tls the port is 8883 if none is given, and the broker must show a certificate for
its host, by an authority that this computer trusts or by that of "ca" alone; "cert" and
"key" are this peer's own, where the broker asks for one.

One MQTT message is one frame, QoS 1, on topics that name the receiver and the sender
(SPEC.md, "MQTT"):

    edge-peer/<appID>/to-big/<author>      from that author to the Big Peer
    edge-peer/<appID>/to-peer/<author>     from the Big Peer to that author

An empty message is a peer's last will: the broker sends it when the connection is lost, so
that the Big Peer need not wait for the silence. A message is acknowledged (PUBACK) only after
the session has handled it, that is after the store has committed; until then the broker
keeps it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge_peer.core.errors import ConfigError
from edge_peer.core.sync.session import Local, Medium
from edge_peer.host.crypto import PAYLOAD_BYTES_MAX
from edge_peer.security.record import OVERHEAD_BYTES

PORT, TLS_PORT = 1883, 8883
CONNECT_TIMEOUT_S = 10
KEEPALIVE_S = 30
INBOX_COUNT_MAX = 64  # of one link; its window is far below
_MESSAGE_SIZE_MAX = 262_144 + 4096
_FRAME_SIZE_MAX = PAYLOAD_BYTES_MAX + OVERHEAD_BYTES  # of a record: most messages are one frame
MEDIUM = Medium("mqtt", 3, _FRAME_SIZE_MAX, _MESSAGE_SIZE_MAX, 20_000, 100)


def topic_to_big(app_id: bytes, author: str) -> str:
    """author: hexadecimal digits, or MQTT's + for all."""
    return f"edge-peer/{app_id.hex()}/to-big/{author}"


def topic_to_peer(app_id: bytes, author: str) -> str:
    return f"edge-peer/{app_id.hex()}/to-peer/{author}"


def label(settings: dict[str, Any]) -> str:
    return f"mqtt {settings.get('host')}:{_port(settings)}"


def _port(settings: dict[str, Any]) -> Any:
    return settings.get("port", TLS_PORT if settings.get("tls") else PORT)


def _encrypt(client: paho.Client, tls: Any) -> None:
    """Raises ConfigError for files that cannot be used."""
    files = {} if tls is True else tls
    if not isinstance(files, dict) or not set(files) <= {"ca", "cert", "key"}:
        raise ConfigError('"tls" of an mqtt link is true, or has "ca", "cert" and "key"')
    try:
        client.tls_set(files.get("ca"), files.get("cert"), files.get("key"))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"an mqtt link's certificates cannot be used: {error}") from error


async def connect(settings: dict[str, Any], local: Local) -> tuple[Medium, "MqttChannel"]:
    """Raises OSError when the broker does not answer or refuses."""
    author, app_id = local.store.author.hex(), local.keyring.app_id
    ours = topic_to_big(app_id, author)
    broker = Broker(settings, f"edge-peer-{author}", [topic_to_peer(app_id, author)], ours)
    channel = MqttChannel(broker, ours, owns_broker=True)
    broker.on_message = lambda topic, payload, acknowledge: channel.deliver(payload, acknowledge)
    broker.on_lost = channel.lose
    await broker.start()
    return MEDIUM, channel


class Broker:
    """One connection to a broker, from paho's thread to this event loop."""

    def __init__(
        self, settings: dict[str, Any], client_id: str, topics: list[str], will_topic: str = ""
    ) -> None:
        """will_topic: where the broker says, by an empty message, that this client is gone."""
        host, port = settings.get("host"), _port(settings)
        if not isinstance(host, str) or not isinstance(port, int):
            raise ConfigError("an mqtt link needs a host, and a port if it is not 1883")
        self.on_message: Callable[[str, bytes, Callable[[], None]], None] | None = None
        self.on_lost: Callable[[str], None] | None = None
        self._host, self._port, self._topics = host, port, topics
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        # A persistent session: what nobody has acknowledged is delivered again.
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=False, manual_ack=True
        )
        if will_topic:
            self._client.will_set(will_topic, b"", qos=1)
        if settings.get("user"):
            self._client.username_pw_set(settings["user"], settings.get("password"))
        if settings.get("tls"):
            _encrypt(self._client, settings["tls"])
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    async def start(self) -> None:
        """Connect and subscribe; raises OSError if that fails."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._loop.run_in_executor(
                    None, self._client.connect, self._host, self._port, KEEPALIVE_S
                )
                self._client.loop_start()
                await self._ready
        except TimeoutError as error:
            await self.stop()
            raise OSError("no answer; is the broker up, and the port right?") from error
        except ConnectionRefusedError as error:
            await self.stop()
            raise OSError("no broker listens there; start it, or mend the port") from error
        except (OSError, ValueError):
            await self.stop()
            raise

    def publish(self, topic: str, payload: bytes) -> None:
        if self._client.publish(topic, payload, qos=1).rc != paho.MQTT_ERR_SUCCESS:
            raise OSError("the broker is gone")

    async def stop(self) -> None:
        self.on_message = self.on_lost = None
        self._client.disconnect()
        await self._loop.run_in_executor(None, self._client.loop_stop)  # it waits for paho's thread

    # In paho's thread

    def _on_connect(
        self, client: paho.Client, data: object, flags: object, code: Any, properties: object
    ) -> None:
        if code.is_failure:
            self._call(self._settle, OSError(f"the broker refused: {code}"))
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self, client: paho.Client, data: object, mid: int, codes: Any, properties: object
    ) -> None:
        refused = [code for code in codes if code.is_failure]
        error = OSError(f"the broker refused a subscription: {refused[0]}") if refused else None
        self._call(self._settle, error)

    def _on_disconnect(
        self, client: paho.Client, data: object, flags: object, code: Any, properties: object
    ) -> None:
        self._call(self._lost, f"the broker is gone ({code})")

    def _on_message(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        def acknowledge() -> None:
            client.ack(message.mid, message.qos)

        self._call(self._deliver, message.topic, bytes(message.payload), acknowledge)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    # In the event loop

    def _settle(self, error: OSError | None) -> None:
        if not self._ready.done():
            if error is None:
                self._ready.set_result(None)
            else:
                self._ready.set_exception(error)

    def _lost(self, reason: str) -> None:
        self._settle(OSError(reason))
        if self.on_lost is not None:
            self.on_lost(reason)

    def _deliver(self, topic: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
        if self.on_message is not None:
            self.on_message(topic, payload, acknowledge)


class MqttChannel:
    """The frames of one link, as transport/pump.py moves them."""

    def __init__(self, broker: Broker, topic: str, owns_broker: bool = False) -> None:
        """owns_broker: no other link shares the connection, which ends with this one."""
        self._owns_broker = owns_broker
        self._broker = broker
        self._topic = topic
        self._inbox: deque[tuple[bytes, Callable[[], None]]] = deque()
        self._arrived = asyncio.Event()
        self._handled: Callable[[], None] | None = None
        self._lost = ""

    def damaged_count(self) -> int:
        return 0  # the broker's connection is checked by TCP

    def deliver(self, payload: bytes, acknowledge: Callable[[], None]) -> None:
        """Take a message from the broker; one too many is left to it, unacknowledged."""
        if len(self._inbox) < INBOX_COUNT_MAX:
            self._inbox.append((payload, acknowledge))
            self._arrived.set()

    def lose(self, reason: str) -> None:
        self._lost = reason
        self._arrived.set()

    async def receive(self) -> list[bytes]:
        if self._handled is not None:
            self._handled()
            self._handled = None
        while not self._inbox:
            if self._lost:
                raise OSError(self._lost)
            self._arrived.clear()
            await self._arrived.wait()
        payload, self._handled = self._inbox.popleft()
        if not payload:  # the broker says so, as the other side has asked it to
            self._handled()
            raise OSError("the other side is gone")
        return [payload]

    async def send(self, frames: list[bytes]) -> None:
        if self._lost:
            raise OSError(self._lost)
        for frame in frames:
            self._broker.publish(self._topic, frame)

    async def close(self) -> None:
        if self._owns_broker:
            await self._broker.stop()
