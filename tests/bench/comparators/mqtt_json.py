"""
MQTT with JSON, as most devices send their readings: paho to a mosquitto of our own.

Each reading is one message of QoS 1, since only that is as safe as the others; sessions
are persistent. What counts is the publisher's TCP payload. A broker keeps no documents:
a subscriber that comes later gets nothing, so there is nothing to compare there.
"""

import asyncio
import json
import socket
import subprocess
from pathlib import Path

from counting_proxy import CountingProxy

from comparators.common import NotInstalled, deflated_size

MOSQUITTO = Path(__file__).parents[3] / ".cache/bin/mosquitto"
TOPIC = "readings"
WINDOW = 1_000  # messages in flight
QUIET_S = 0.3
LIMIT_S = 20


def measure(readings, changed, plan, folder):
    """Return {figure: bytes}. Raises NotInstalled."""
    if not MOSQUITTO.exists():
        raise NotInstalled("mosquitto, which `make setup` unpacks")
    return asyncio.run(with_broker(readings, changed, folder))


async def with_broker(readings, changed, folder):
    port = free_port()
    config = Path(folder) / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
        f"max_inflight_messages {WINDOW}\nmax_queued_messages 0\n"
    )
    broker = subprocess.Popen(
        [MOSQUITTO, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await answers(port)
        async with CountingProxy(port) as proxy:
            return await publish_all(proxy, readings, changed)
    finally:
        broker.terminate()
        broker.wait(LIMIT_S)


async def publish_all(proxy, readings, changed):
    figures = {
        "idle_reconnect_bytes": await session(proxy, []),
        "full_copy_bytes": await session(proxy, readings),
        "ten_changed_bytes": await session(proxy, changed),
    }
    figures["full_copy_random_order_bytes"] = figures["full_copy_bytes"]
    figures["idle_reconnect_many_authors_bytes"] = figures["idle_reconnect_bytes"]
    figures["full_copy_deflated_bytes"] = deflated_size([message(one) for one in readings])
    return figures


async def session(proxy, readings):
    """Connect, publish, wait until all are acknowledged; return the bytes."""
    proxy.take()
    await asyncio.to_thread(publish, proxy.port, readings)
    await proxy.quiet(QUIET_S)
    return proxy.take().total


def publish(port, readings):
    import paho.mqtt.client as paho

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "writer", clean_session=False)
    client.max_inflight_messages_set(WINDOW)
    client.connect("127.0.0.1", port, keepalive=60)
    client.loop_start()
    for one in [client.publish(TOPIC, compact(reading), qos=1) for reading in readings]:
        one.wait_for_publish(LIMIT_S)
    while not client.is_connected():
        pass
    client.disconnect()
    client.loop_stop()


def compact(reading):
    return json.dumps(reading, separators=(",", ":"))


def message(reading):
    """Return a PUBLISH as it travels, but for the packet id's value (MQTT 3.1.1, 3.3)."""
    topic, payload = TOPIC.encode(), compact(reading).encode()
    body = len(topic).to_bytes(2, "big") + topic + b"\0\1" + payload
    return bytes([0x32, len(body)]) + body


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def answers(port):
    """Return when the broker listens."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
