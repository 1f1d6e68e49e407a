"""
One connection to an MQTT broker: paho's thread on one side, this event loop on the other.

MQTT 5 where the broker has it, else 3.1.1. A broker that speaks 5 is told how many messages we
hold at a time, how long each is of use, and forgets a session to which nobody has come back in
SESSION_LIFE_S; one that speaks 3.1.1 does as its own settings say.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_peer.core.errors import ConfigError

PORT, TLS_PORT = 1883, 8883
CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 5  # to the first words
KEEPALIVE_S = 30
SESSION_LIFE_S = 30 * 86_400
RECEIVE_COUNT_MAX = 1_024  # in flight to us; a window is far below, and a Big Peer has many links
MQTT_5, MQTT_3 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
_VERSION_IS_REFUSED = "Unsupported protocol version"


class _Older(OSError):
    """The broker does not speak the version that was tried, or does not say what it lacks."""


def port_of(settings: dict[str, Any]) -> Any:
    return settings.get("port", TLS_PORT if settings.get("tls") else PORT)


class Broker:
    def __init__(
        self,
        settings: dict[str, Any],
        client_id: str,
        topics: list[str],
        will_topic: str = "",
        is_kept: bool = True,
    ) -> None:
        """
        will_topic: where the broker says, by an empty message, that this client is gone.
        is_kept: the broker keeps what is not acknowledged, for when this client is back.
        """
        host, port = settings.get("host"), port_of(settings)
        if not isinstance(host, str) or not isinstance(port, int):
            raise ConfigError("an mqtt link needs a host, and a port if it is not 1883")
        self.on_message: Callable[[str, bytes, Callable[[], None]], None] | None = None
        self.on_lost: Callable[[str], None] | None = None
        self._host, self._port, self._topics = host, port, topics
        self._settings, self._client_id = settings, client_id
        self._will_topic, self._is_kept = will_topic, is_kept
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._client = self._new_client(MQTT_5)

    @property
    def version(self) -> str:
        """The MQTT that is spoken, for a person."""
        return "MQTT 5" if self._client.protocol == MQTT_5 else "MQTT 3.1.1"

    async def start(self) -> None:
        """Connect and subscribe; raises OSError if that fails."""
        try:
            await self._connect()
        except _Older:
            await self._end_client()
            self._ready = self._loop.create_future()
            self._client = self._new_client(MQTT_3)
            try:
                await self._connect()
            except OSError:
                await self.stop()
                raise
        except (OSError, ValueError):
            await self.stop()
            raise

    def publish(self, topic: str, payload: bytes, life_s: int = 0) -> None:
        """life_s: how long the broker may keep it for who is away, 0 for ever; MQTT 5 only."""
        properties = None
        if life_s and self._client.protocol == MQTT_5:
            properties = _properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = life_s
        told = self._client.publish(topic, payload, qos=1, properties=properties)
        if told.rc != paho.MQTT_ERR_SUCCESS:
            raise OSError("the broker is gone")

    async def stop(self) -> None:
        self.on_message = self.on_lost = None
        await self._end_client()

    def _new_client(self, version: MQTTProtocolVersion) -> paho.Client:
        settings = self._settings
        clean = None if version == MQTT_5 else not self._is_kept
        client = paho.Client(
            CallbackAPIVersion.VERSION2, self._client_id, clean, protocol=version, manual_ack=True
        )
        if self._will_topic:
            client.will_set(self._will_topic, b"", qos=1)
        if settings.get("user"):
            client.username_pw_set(settings["user"], settings.get("password"))
        if settings.get("tls"):
            _encrypt(client, settings["tls"])
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._loop.run_in_executor(None, self._open)
        except TimeoutError as error:
            raise OSError("no answer; is the broker up, and the port right?") from error
        except ConnectionRefusedError as error:
            raise OSError("no broker listens there; start it, or mend the port") from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._ready
        except TimeoutError as error:  # so does amqtt when it is spoken to in MQTT 5
            silent = _Older if self._client.protocol == MQTT_5 else OSError
            raise silent("no answer; is that a broker?") from error

    def _open(self) -> None:
        if self._client.protocol != MQTT_5:
            self._client.connect(self._host, self._port, KEEPALIVE_S)
            return
        properties = _properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = RECEIVE_COUNT_MAX
        if self._is_kept:
            properties.SessionExpiryInterval = SESSION_LIFE_S
        self._client.connect(
            self._host,
            self._port,
            KEEPALIVE_S,
            clean_start=not self._is_kept,
            properties=properties,
        )

    async def _end_client(self) -> None:
        client = self._client
        client.disconnect()
        await self._loop.run_in_executor(None, client.loop_stop)  # it waits for paho's thread

    # In paho's thread

    def _on_connect(
        self, client: paho.Client, data: object, flags: object, code: Any, properties: object
    ) -> None:
        if not code.is_failure:
            client.subscribe([(topic, 1) for topic in self._topics])
        elif str(code) == _VERSION_IS_REFUSED and client.protocol == MQTT_5:
            self._call(self._settle, _Older(_VERSION_IS_REFUSED))
        else:
            self._call(self._settle, OSError(f"the broker refused: {code}"))

    def _on_subscribe(
        self, client: paho.Client, data: object, mid: int, codes: Any, properties: object
    ) -> None:
        refused = [code for code in codes if code.is_failure]
        error = OSError(f"the broker refused a subscription: {refused[0]}") if refused else None
        self._call(self._settle, error)

    def _on_disconnect(
        self, client: paho.Client, data: object, flags: object, code: Any, properties: object
    ) -> None:
        self._call(self._lost, client, f"the broker is gone ({code})")

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

    def _lost(self, client: paho.Client, reason: str) -> None:
        if client is not self._client:
            return  # the one that spoke another version
        if not self._ready.done():
            # Some brokers answer a version that they do not know by hanging up.
            self._settle(_Older(reason) if client.protocol == MQTT_5 else OSError(reason))
        elif self._is_open() and self.on_lost is not None:
            self.on_lost(reason)

    def _is_open(self) -> bool:
        ready = self._ready
        return ready.done() and not ready.cancelled() and ready.exception() is None

    def _deliver(self, topic: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
        if self.on_message is not None:
            self.on_message(topic, payload, acknowledge)


def _properties(kind: int) -> Properties:
    return Properties(kind)  # type: ignore[no-untyped-call]


def _encrypt(client: paho.Client, tls: Any) -> None:
    """Raises ConfigError for files that cannot be used."""
    files = {} if tls is True else tls
    if not isinstance(files, dict) or not set(files) <= {"ca", "cert", "key"}:
        raise ConfigError('"tls" of an mqtt link is true, or has "ca", "cert" and "key"')
    try:
        client.tls_set(files.get("ca"), files.get("cert"), files.get("key"))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"an mqtt link's certificates cannot be used: {error}") from error
