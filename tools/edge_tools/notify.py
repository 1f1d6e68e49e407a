"""
What systemd is told by a service of Type=notify (sd_notify(3)): that it is ready, and alive.

A no-op where nobody listens: not under systemd, on macOS, on Windows.
"""

import asyncio
import os
import socket


def tell(state: str) -> None:
    """Send such as "READY=1"."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path or not hasattr(socket, "AF_UNIX"):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + path[1:] if path.startswith("@") else path)
        channel.sendall(state.encode())


async def keep_alive() -> None:
    """Say that it is ready, and that the event loop still turns, as often as was asked."""
    tell("READY=1")
    interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / 2
    while interval_s:
        tell("WATCHDOG=1")
        await asyncio.sleep(interval_s)
