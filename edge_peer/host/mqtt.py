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

from edge_peer.core.sync.session import Local, Medium
from edge_peer.host.broker import Broker, port_of
from edge_peer.host.crypto import PAYLOAD_BYTES_MAX
from edge_peer.security.record import OVERHEAD_BYTES

FRAME_LIFE_S = 300  # its link is over long before, so the broker need not keep it
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
    return f"mqtt {settings.get('host')}:{port_of(settings)}"


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


class MqttChannel:
    """The frames of one link, as transport/pump.py moves them."""

    def __init__(self, broker: Broker, topic: str, owns_broker: bool = False) -> None:
        """owns_broker: no other link shares the connection, which ends with this one."""
        self._owns_broker = owns_broker
        self.broker = broker
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
            self.broker.publish(self._topic, frame, FRAME_LIFE_S)

    async def close(self) -> None:
        if self._owns_broker:
            await self.broker.stop()
