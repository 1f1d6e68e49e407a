"""
Changes as messages of the Big Peer's own MQTT broker: what a webhook of "mqtt:TOPIC" tells.

QoS 1: a message is told when the broker has acknowledged it. The connection is made with
the first message, and anew after it was lost.
"""

import asyncio
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion

from edge_peer.host.broker import Broker

SCHEME = "mqtt:"
TOPIC_BYTES_MAX = 1_024
OURS = "edge-peer/"  # topics below it carry sync


def check_topic(topic: str) -> None:
    """Raises ValueError for what nobody can publish to, or should not."""
    is_topic = 0 < len(topic.encode(errors="replace")) <= TOPIC_BYTES_MAX and topic.isprintable()
    if not is_topic or set(topic) & {"+", "#"} or topic.startswith(("$", "/", OURS)):
        raise ValueError(f'"url" with mqtt: names a topic, without + and #, and not {OURS}…')


class Publisher:
    def __init__(self, settings: dict[str, Any], client_id: str) -> None:
        """settings: as for a link (host/mqtt.py)."""
        self._settings = settings
        self._client_id = client_id
        self._connection: _Connection | None = None
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Return when the broker has it. Raises OSError."""
        async with self._one_at_a_time:
            if self._connection is None or self._connection.is_lost:
                connection = _Connection(self._settings, self._client_id)
                await connection.start()
                self._connection = connection
        await self._connection.told(topic, payload)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.stop()


class _Connection(Broker):
    def __init__(self, settings: dict[str, Any], client_id: str) -> None:
        super().__init__(settings, client_id, [f"{OURS}{client_id}"])
        self.is_lost = False
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self.on_lost = self._fail

    def _new_client(self, version: MQTTProtocolVersion) -> paho.Client:
        client = super()._new_client(version)
        client.on_publish = lambda client, data, mid, code, properties: self._call(
            self._acknowledged, mid
        )
        return client

    async def told(self, topic: str, payload: bytes) -> None:
        if self.is_lost:
            raise OSError("the broker is gone")
        sent = self._client.publish(topic, payload, qos=1)
        # The acknowledgement comes by way of the event loop, so not before this.
        done = self._waiting[sent.mid] = self._loop.create_future()
        try:
            await done
        finally:
            self._waiting.pop(sent.mid, None)

    def _acknowledged(self, mid: int) -> None:
        done = self._waiting.get(mid)
        if done is not None and not done.done():
            done.set_result(None)

    def _fail(self, reason: str) -> None:
        self.is_lost = True
        self._client.disconnect()  # it would connect again by itself
        for done in self._waiting.values():
            if not done.done():
                done.set_exception(OSError(reason))
