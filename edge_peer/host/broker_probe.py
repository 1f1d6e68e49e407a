"""
Whether a broker's shared subscriptions work, to be asked before anything depends on them.

Brokers are known that grant `$share/…` and deliver nothing, and one that has never heard of it
may take it for a topic like any other. So a grant proves nothing: two members of a group are sent a
few messages of their own, and each must come to one of the two, once. Behind them goes a message
that both have subscribed to by itself.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from edge_peer.host.broker import Broker

MESSAGE_COUNT = 8
_END = b"end"
WAIT_S_MAX = 3  # a broker on the other side of the world answers in a tenth of that


async def sharing_fault(settings: dict[str, Any], app_id: bytes) -> str:
    """Return "" if a shared subscription divides messages among its members, else why not.

    settings: of a link (host/mqtt.py). Topics are below edge-peer/<appID>/probe/, and nothing stays
    at the broker. Takes a few round trips, or WAIT_S_MAX where too little is delivered. Raises
    OSError when the broker cannot be reached.
    """
    run = os.urandom(6).hex()
    topic = f"edge-peer/{app_id.hex()}/probe/{run}"
    topics = [f"$share/edge-peer-probe-{run}/{topic}", f"{topic}/end"]
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    sender, *members = [
        Broker(settings, f"edge-peer-probe-{run}-{number}", told, is_kept=False)
        for number, told in enumerate(([f"{topic}/none"], topics, topics))
    ]
    await sender.start()
    try:
        for member in members:
            member.on_message = _keeper(heard)
            await member.start()
        for number in range(MESSAGE_COUNT):
            sender.publish(topic, bytes([number]))
        sender.publish(f"{topic}/end", _END)
        return await _judge(heard)
    except OSError as error:
        return str(error)
    finally:
        for broker in (sender, *members):
            await broker.stop()


def _keeper(heard: "asyncio.Queue[bytes]") -> Callable[[str, bytes, Callable[[], None]], None]:
    def keep(topic: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
        acknowledge()
        heard.put_nowait(payload)

    return keep


async def _judge(heard: "asyncio.Queue[bytes]") -> str:
    """Wait for all messages, and for both ends, behind which no member gets another one."""
    all_heard: list[bytes] = []
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            while len(all_heard) < MESSAGE_COUNT + 2 or all_heard.count(_END) < 2:
                all_heard.append(await heard.get())
    except TimeoutError:
        pass
    shared = [payload for payload in all_heard if payload != _END]
    if not shared:
        return "it grants a shared subscription and delivers nothing"
    if len(set(shared)) < MESSAGE_COUNT:
        return f"of {MESSAGE_COUNT} messages to a shared subscription {len(set(shared))} came"
    if len(shared) > MESSAGE_COUNT:
        return "it gives a shared subscription's messages to more than one member"
    return ""
