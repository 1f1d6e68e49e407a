"""Clocks, entropy and log lines of a host."""

import asyncio
import contextlib
import logging
import os
import platform
import time

_logger = logging.getLogger("edge_peer")


def now_ms() -> int:
    """Milliseconds of a clock that only runs forward; its zero means nothing."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Unix time in milliseconds; a host's clock is taken to be set."""
    return time.time_ns() // 1_000_000


async def wait(event: asyncio.Event, timeout_ms: int) -> None:
    """Wait until the event is set, at most so long.

    Not asyncio.wait_for: before Python 3.12 it may lose a cancellation that comes
    together with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_ms / 1000):
            await event.wait()


def firmware() -> str:
    """Return what runs here: the interpreter, its version, the machine."""
    return f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}"


def entropy(size: int) -> bytes:
    return os.urandom(size)


def log(text: str) -> None:
    _logger.info("%s", text)
