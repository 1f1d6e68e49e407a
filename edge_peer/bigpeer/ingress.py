"""
How peers reach the Big Peer: it listens on TCP, and reads from an MQTT broker.

Either way a link is a Session like any other's (edge_peer/peer.py, Links). Through
a broker all links share one connection; the topic tells them apart.
"""

import asyncio
from collections.abc import Callable, Iterable

from edge_peer.bigpeer import reception
from edge_peer.bigpeer.limits import MET_BURST, MET_RATE, Buckets
from edge_peer.core.errors import StorageError
from edge_peer.core.sync.session import Medium
from edge_peer.host import lan, mqtt, system
from edge_peer.host.broker import Broker
from edge_peer.host.doorstep import Doorstep, Stranger, is_linked
from edge_peer.peer import RECONNECT_MS_MAX, RECONNECT_MS_MIN, Links
from edge_peer.security.wire import NO, R1
from edge_peer.transport.pump import about
from edge_peer.transport.stream import StreamChannel

MQTT_LINK_COUNT_MAX = 10_000


async def listen(
    served: Callable[[], Iterable[Links]], host: str, port: int, doorstep: Doorstep | None = None
) -> asyncio.Server:
    """Serve peers over TCP; raises OSError when the port is taken.

    served: what apps there are now, by their links.
    """
    met = Buckets(MET_BURST, MET_RATE, system.now_ms)

    async def handle(medium: Medium, channel: StreamChannel, who: Stranger) -> None:
        try:
            found = await reception.receive(served, channel, lambda: not met.take(who.address))
            if found is None:
                await channel.close()
                return
            links, received = found
            who.is_linked = lambda: is_linked(links, received)
            reason = await links.run(medium, received, waits=True)
        except StorageError as error:
            reason = f"the store failed: {error}"
        except OSError:
            await channel.close()
            return  # a stranger: who floods does not fill the log
        system.log(f"tcp link closed: {reason}")

    return await lan.serve(host, port, handle, doorstep)


class MqttIngress:
    """Every peer that reaches us through one broker."""

    def __init__(self, links: Links, settings: dict[str, object]) -> None:
        self._links = links
        self._settings = settings
        self._app_id = links.local.keyring.app_id
        self._channels: dict[str, mqtt.MqttChannel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone: asyncio.Future[str] | None = None
        self.refused_count = 0  # messages that belong to no link and open none

    async def run(self) -> None:
        """Stay connected to the broker, for ever."""
        label = mqtt.label(self._settings)
        delay_ms = RECONNECT_MS_MIN
        while True:
            self._gone = gone = asyncio.get_running_loop().create_future()
            client_id = f"edge-peer-big-{self._links.local.store.author.hex()}"
            broker = Broker(self._settings, client_id, [mqtt.topic_to_big(self._app_id, "+")])
            broker.on_message = self._route(broker)
            broker.on_lost = self._lose
            try:
                await broker.start()
                system.log(f"{label}: connected, {broker.version}")
                delay_ms = RECONNECT_MS_MIN
                reason = await gone
            except OSError as error:
                reason = str(error)
            finally:
                for channel in list(self._channels.values()):
                    channel.lose("the broker is gone")
                await broker.stop()
            wait_ms = about(delay_ms, system.entropy)
            system.log(f"{label}: {reason}; trying again in {wait_ms} ms")
            await asyncio.sleep(wait_ms / 1000)
            delay_ms = min(2 * delay_ms, RECONNECT_MS_MAX)

    def _lose(self, reason: str) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(reason)

    def _route(self, broker: Broker) -> Callable[[str, bytes, Callable[[], None]], None]:
        def deliver(topic: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
            author = topic.rsplit("/", 1)[-1]
            if author not in self._channels:
                is_ours = reception.host_of([self._links], payload) is not None
                if not is_ours or len(self._channels) >= MQTT_LINK_COUNT_MAX:
                    self.refused_count += 1  # a stranger's, or left over from a link that is gone
                    if payload[:1] == bytes((R1,)):  # it begins anew, in full
                        answer = bytes((NO,)) + payload[reception.TICKET_ID]
                        topic = mqtt.topic_to_peer(self._app_id, author)
                        broker.publish(topic, answer, mqtt.FRAME_LIFE_S)
                    acknowledge()
                    return
                self._open(broker, author)
            self._channels[author].deliver(payload, acknowledge)

        return deliver

    def _open(self, broker: Broker, author: str) -> None:
        channel = mqtt.MqttChannel(broker, mqtt.topic_to_peer(self._app_id, author))
        self._channels[author] = channel
        task = asyncio.create_task(self._run_link(author, channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_link(self, author: str, channel: mqtt.MqttChannel) -> None:
        try:
            reason = await self._links.run(mqtt.MEDIUM, channel, waits=True)
            system.log(f"mqtt link to {author} closed: {reason}")
        except StorageError as error:
            # Connecting anew makes the broker deliver again what was not acknowledged.
            self._lose(f"the store failed: {error}")
        finally:
            self._channels.pop(author, None)
