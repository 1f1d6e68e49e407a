"""TCP and MQTT on this computer; MQTT beside paho with a reading in JSON for each message."""

import asyncio
import functools
import json
import os
import threading
import time
from statistics import median

import paho.mqtt.client as paho
import workload
from peers import Mosquitto, Peer, running, until

from edge_peer.bigpeer.ingress import MqttIngress, listen
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.host import lan, mqtt, storage
from edge_peer.host.broker import Broker

COUNT = 10_000
LIMIT_S = 60
RUNS = 3
WINDOW = 1_000  # messages in flight, for paho


async def measure(folder):
    broker = Mosquitto(folder, f"max_inflight_messages {WINDOW}\nmax_queued_messages 0\n")
    readings = workload.documents(COUNT, seed=1)
    try:
        theirs, ours = [], []
        for _ in range(RUNS):  # by turns, as the machine is busier at times
            theirs.append(await asyncio.to_thread(paho_s, broker, readings))
            *took_s, messages = await mqtt_s(broker, readings, folder)
            ours.append(took_s)
        theirs_s, theirs_cpu_s = [median(all_s) for all_s in zip(*theirs, strict=True)]
        ours_s, ours_cpu_s = [median(all_s) for all_s in zip(*ours, strict=True)]
        return {
            "lan_documents_per_s": round(COUNT / await lan_s(readings, folder)),
            "mqtt_documents_per_s": round(COUNT / ours_s),
            "mqtt_documents_per_message": round(COUNT / messages),
            "mqtt_times_paho": round(theirs_s / ours_s, 1),
            "mqtt_times_paho_cpu": round(theirs_cpu_s / ours_cpu_s, 1),
            "lan_first_document_ms": await first_over_lan_ms(folder),
            "mqtt_first_document_ms": await first_over_mqtt_ms(broker, folder),
            "failover_documents_twice": await twice_after_failover(broker, readings, folder),
        }
    finally:
        broker.stop()


def cpu_s(broker):
    """Return what this process and the broker have taken of processors."""
    return time.process_time() + broker.cpu_s()


def paho_s(broker, readings):
    """Publish each reading, QoS 1; return the seconds until the subscriber has all, and of CPU."""
    count, done = 0, threading.Event()

    def received(client, data, message):
        nonlocal count
        count += 1
        if count == len(readings):
            done.set()

    clients = [paho.Client(paho.CallbackAPIVersion.VERSION2, name) for name in ("w", "r")]
    for client in clients:
        client.max_inflight_messages_set(WINDOW)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
    writer, reader = clients
    subscribed = threading.Event()
    reader.on_subscribe = lambda *_: subscribed.set()
    reader.on_message = received
    reader.subscribe("readings", 1)
    assert subscribed.wait(LIMIT_S)
    begun_s, begun_cpu_s = time.monotonic(), cpu_s(broker)
    for one in readings:
        writer.publish("readings", json.dumps(one, separators=(",", ":")), qos=1)
    assert done.wait(LIMIT_S)
    took_s = time.monotonic() - begun_s, cpu_s(broker) - begun_cpu_s
    for client in clients:
        client.disconnect()
        client.loop_stop()
    return took_s


def on_disk(name, folder, flags=0):
    """A peer whose store is a real one, a new file."""
    settings = {"path": str(folder / f"{name}-{os.urandom(4).hex()}.db"), "quota_bytes": 1 << 28}
    return Peer(name, flags, lambda *hooks: storage.open_log(settings, *hooks))


def filled(readings, folder):
    board = on_disk("board", folder)
    for start in range(0, len(readings), 1_000):
        part = readings[start : start + 1_000]
        board.executor.execute("INSERT INTO readings DOCUMENTS (:d)", {"d": part})
    return board


async def linked(board, module, settings):
    medium, channel = await module.connect(settings, board.links.local)
    await board.links.run(medium, channel, hint=1)


async def mqtt_s(broker, readings, folder):
    """Return the seconds, those of CPU, handshake and all, and how many messages were published."""
    board, big, count = filled(readings, folder), on_disk("big", folder, WANTS_ALL), 0
    publish = Broker.publish

    def counted(broker, topic, payload, life_s=0):
        nonlocal count
        count += "/to-big/" in topic
        publish(broker, topic, payload, life_s)

    Broker.publish = counted
    try:
        async with running(MqttIngress(big.links, broker.settings()).run()):
            begun_s, begun_cpu_s = time.monotonic(), cpu_s(broker)
            async with running(linked(board, mqtt, broker.settings())):
                await until(lambda: board.store.unsynced_count() == 0, "everything durable")
                took_s = time.monotonic() - begun_s, cpu_s(broker) - begun_cpu_s
            return *took_s, count
    finally:
        Broker.publish = publish


async def lan_s(readings, folder):
    board, big = filled(readings, folder), on_disk("big", folder, WANTS_ALL)
    server = await listen(lambda: [big.links], "127.0.0.1", 0)
    settings = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    begun_s = time.monotonic()
    async with running(linked(board, lan, settings)):
        await until(lambda: board.store.unsynced_count() == 0, "everything durable")
    server.close()
    return time.monotonic() - begun_s


async def first_document_ms(board, big, link):
    """From the first byte of a link that comes back to the document it was made for.

    link() -> one link of the board's, until it is cancelled.
    """
    async with running(link()):
        await until(lambda: board.store.unsynced_count() == 0, "the first link")
    await until(lambda: not board.links.pumps and not big.links.pumps, "its end")
    board.insert(1, first=1)
    begun_s = time.monotonic()
    async with running(link()):
        while len(big.numbers()) < 2:
            await asyncio.sleep(0.001)
        return round(1000 * (time.monotonic() - begun_s))


def first_pair(folder):
    board, big = on_disk("board", folder), on_disk("big", folder, WANTS_ALL)
    board.insert(1)
    return board, big


async def first_over_lan_ms(folder):
    board, big = first_pair(folder)
    server = await listen(lambda: [big.links], "127.0.0.1", 0)
    settings = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    took_ms = await first_document_ms(board, big, lambda: linked(board, lan, settings))
    server.close()
    return took_ms


async def first_over_mqtt_ms(broker, folder):
    board, big = first_pair(folder)
    async with running(MqttIngress(big.links, broker.settings()).run()):
        link = functools.partial(linked, board, mqtt, broker.settings())
        return await first_document_ms(board, big, link)


async def twice_after_failover(broker, readings, folder):
    """Cut TCP in the middle; return how many documents went again over MQTT."""
    board, big, sessions = filled(readings, folder), on_disk("big", folder, WANTS_ALL), []
    board.links.on_open = sessions.append
    server = await listen(lambda: [big.links], "127.0.0.1", 0)
    settings = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}

    def sent(medium):
        return sum(one.sync.sent_count() for one in sessions if one.medium.name == medium)

    async with (
        running(MqttIngress(big.links, broker.settings()).run()),
        running(linked(board, mqtt, broker.settings())),
    ):
        await until(lambda: sessions, "MQTT")
        async with running(linked(board, lan, settings)):
            await until(lambda: sent("lan") > 0, "TCP to carry some")
        server.close()
        await until(lambda: board.store.unsynced_count() == 0, "the rest")
    return sent("lan") + sent("mqtt") - len(readings)
