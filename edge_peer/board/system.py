"""Clocks, entropy and log lines of a MicroPython board."""

import asyncio
import os
import sys
import time

_EPOCH_2000_S = 946_684_800
_EPOCH_S = _EPOCH_2000_S if time.gmtime(0)[0] == 2000 else 0  # most boards, and the unix port
_SET_MS_MIN = 1_735_689_600_000  # 2025-01-01: a clock before it was never set

_last = time.ticks_ms()
_total_ms = 0


def now_ms() -> int:
    """Milliseconds since start; unlike ticks_ms it never wraps. Call it once in six days."""
    global _last, _total_ms
    ticks = time.ticks_ms()
    _total_ms += time.ticks_diff(ticks, _last)
    _last = ticks
    return _total_ms


def wall_ms() -> "int | None":
    """Unix time in milliseconds, or None while the clock is not set."""
    wall = time.time_ns() // 1_000_000 + _EPOCH_S * 1000
    return wall if wall >= _SET_MS_MIN else None


async def wait(event: asyncio.Event, timeout_ms: int) -> None:
    """Wait until the event is set, at most so long."""
    try:
        await asyncio.wait_for_ms(event.wait(), timeout_ms)
    except asyncio.TimeoutError:
        pass


def firmware() -> str:
    """Return what runs here: the interpreter, its version, the board."""
    about = sys.implementation
    version = ".".join([str(part) for part in about[1][:3]])
    return "MicroPython %s, %s" % (version, getattr(about, "_machine", sys.platform))


def entropy(size: int) -> bytes:
    return os.urandom(size)


def log(text: str) -> None:
    print("edge-peer:", text)
