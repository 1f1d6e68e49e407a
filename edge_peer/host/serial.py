"""
A serial port as a link: USB, a UART, a pty.

    {"kind": "serial", "port": "/dev/ttyACM0", "baud": 115200}
    {"kind": "serial", "ports": ["/dev/ttyACM*", "/dev/ttyUSB*"]}

    {"kind": "serial", "port": "/dev/ttyUSB0", "baud": 115200, "bus": "controller"}

"baud" may be "auto": common speeds are tried until somebody is heard (transport/dialling.py).
The second one takes every port that such a pattern names, as they are plugged in and pulled.
The third is a line that many share (RS-485, a radio modem; transport/bus.py): one station is
its "controller", which has to know the speed, the others each a "node".
"""

import asyncio
import errno
import os
from glob import glob
from typing import Any
from zlib import crc32

import serial

from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.core.sync.session import Local, Medium
from edge_peer.transport.dialling import dial
from edge_peer.transport.stream import StreamChannel

BAUD = 115_200
AUTO = "auto"
# Frames of 256 bytes take 22 ms at that speed: short enough to repeat, and to wait behind.
MEDIUM = Medium("serial", 2, 256, 1024, 5_000, 250)
STUCK_S_MAX = 5  # a port that takes nothing for so long is given up and opened again
LOOK_S = 1  # how often to look for ports that were plugged in
TAKEN_S = 15  # before a port is tried again that another program has
PORT_COUNT_MAX = 16
WRITE_RETRY_S = 0.01  # how often to look whether a full transmit buffer has room again


def label(settings: dict[str, Any]) -> str:
    return f"serial {settings.get('port')}"


def finds(settings: dict[str, Any]) -> bool:
    """Return whether `keep` finds the neighbours, or `connect` has one."""
    return "ports" in settings or "bus" in settings or settings.get("baud") == AUTO


async def keep(settings: dict[str, Any], links: Any, system: Any) -> None:
    """Run links over a shared line, or over each port that is there. Raises ConfigError."""
    if "bus" in settings:
        await _share(settings, links, system)
        return
    if "ports" not in settings:
        await _keep_port(settings, links, system)
        raise OSError("the port is gone")
    patterns = settings["ports"]
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise ConfigError('"ports" of a serial link is a list such as ["/dev/ttyACM*"]')
    tasks: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            there = [port for pattern in patterns for port in sorted(glob(pattern))]
            for port in there[:PORT_COUNT_MAX]:
                if port not in tasks or tasks[port].done():
                    link = settings | {"port": port}
                    tasks[port] = asyncio.create_task(_keep_port(link, links, system))
            await asyncio.sleep(LOOK_S)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _share(settings: dict[str, Any], links: Any, system: Any) -> None:
    """Be a station of a shared line, until the port is gone; raises OSError then."""
    from edge_peer.transport import bus_pump

    if settings["bus"] not in ("controller", "node"):
        raise ConfigError('"bus" of a serial link is "controller" or "node"')
    baud = settings.get("baud", BAUD)
    if baud == AUTO and settings["bus"] == "controller":
        raise ConfigError('the controller of a bus says its speed: "baud" cannot be "auto"')
    stream = _open(settings)
    try:
        if baud == AUTO:
            baud = await dial(stream, stream.set_baud, system, links.local.entropy, asks=False)
        await bus_pump.run(settings, links, system, stream, baud)
    finally:
        stream.close()


async def _keep_port(settings: dict[str, Any], links: Any, system: Any) -> None:
    """Run links over a port, one after the other, until it cannot be opened."""
    hint = crc32(label(settings).encode()) | 1
    baud = 0
    while True:
        try:
            medium, channel = await connect(settings, links.local)
            if settings.get("baud") == AUTO:
                baud = await _dial(settings, channel, links, system, baud)
        except OSError as error:
            system.log(f"{label(settings)}: {error}")
            await asyncio.sleep(TAKEN_S if os.path.exists(settings["port"]) else 0)
            return
        try:
            reason = await links.run(medium, channel, hint=hint)
        except EdgeError as error:
            reason = str(error)
        system.log(f"{label(settings)}: {reason}")
        await asyncio.sleep(LOOK_S)


async def _dial(
    settings: dict[str, Any], channel: StreamChannel, links: Any, system: Any, first: int
) -> int:
    try:
        baud = await dial(
            channel.reader, channel.reader.set_baud, system, links.local.entropy, first
        )
    except BaseException:
        await channel.close()
        raise
    if baud != first:
        system.log(f"{label(settings)}: somebody is there at {baud} baud")
    return baud


async def connect(settings: dict[str, Any], local: Local) -> tuple[Medium, StreamChannel]:
    """Open the port for this process alone; raises OSError when it is not there or taken."""
    stream = _open(settings)
    return MEDIUM, StreamChannel(stream, stream, MEDIUM.frame_size_max)


def _open(settings: dict[str, Any]) -> "SerialStream":
    port = settings.get("port")
    if not isinstance(port, str):
        raise ConfigError('a serial link needs its port, such as "/dev/ttyACM0"')
    try:
        baud = settings.get("baud", BAUD)
        return SerialStream(port, BAUD if baud == AUTO else baud)
    except OSError as error:
        raise OSError(f"{error}{_hint(error)}") from error


def _hint(error: OSError) -> str:
    """Return what a person may do about it."""
    if error.errno == errno.ENOENT:
        return "; is the board plugged in?"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "; add yourself to the group dialout and log in again"
    return "; does another program use it?"


class SerialStream:
    """pyserial's port with the methods of asyncio's StreamReader and StreamWriter."""

    def __init__(self, port: str, baud: int) -> None:
        # SerialException is an OSError.
        self._serial = serial.Serial(port, baud, timeout=0, write_timeout=0, exclusive=True)
        self._reader = asyncio.StreamReader()
        self._outgoing = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._serial.fileno(), self._readable)

    def set_baud(self, baud: int) -> None:
        self._serial.baudrate = baud

    async def read(self, size: int) -> bytes:
        return await self._reader.read(size)

    def write(self, data: bytes) -> None:
        self._outgoing += data

    async def drain(self) -> None:
        stuck_s = 0.0
        while self._outgoing:
            written = self._serial.write(bytes(self._outgoing)) or 0
            del self._outgoing[:written]
            if self._outgoing:
                await asyncio.sleep(WRITE_RETRY_S)
                stuck_s = 0.0 if written else stuck_s + WRITE_RETRY_S
                if stuck_s > STUCK_S_MAX:
                    raise OSError("the port takes no more bytes")

    def close(self) -> None:
        if self._serial.is_open:
            self._loop.remove_reader(self._serial.fileno())
            self._serial.close()

    async def wait_closed(self) -> None:
        pass

    def _readable(self) -> None:
        try:
            data = self._serial.read(4096)
        except OSError as error:  # the device was unplugged
            self._loop.remove_reader(self._serial.fileno())
            self._reader.set_exception(error)
            return
        self._reader.feed_data(data)
