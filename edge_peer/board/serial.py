"""
A UART as a link.

    {"kind": "serial", "uart": 0, "tx": 0, "rx": 1, "baud": 115200}
    {"kind": "serial", "uart": 0, "tx": 0, "rx": 1, "bus": "node", "de": 2}

The second one is a line that many share (transport/bus.py), RS-485 or a radio modem; "de" is
the pin that makes the transceiver speak, where it does not do so by itself.
"""

import asyncio

from machine import UART

from edge_peer.core.errors import ConfigError
from edge_peer.core.sync.session import Medium
from edge_peer.transport.stream import StreamChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.sync.session import Local

BAUD = 115_200
RECEIVE_BUFFER_BYTES = 1024  # 90 ms at that speed: longer than any collection of garbage
MEDIUM = Medium("serial", 2, 256, 1024, 5_000, 250)


def label(settings: "dict[str, Any]") -> str:
    return "serial %s" % settings.get("uart", 0)


def finds(settings: "dict[str, Any]") -> bool:
    """Return whether `keep` finds the neighbours, or `connect` has one."""
    return "bus" in settings


async def keep(settings: "dict[str, Any]", links: "Any", system: "Any") -> None:
    """Be a station of a shared line. Raises ConfigError."""
    from edge_peer.transport import bus_pump

    if settings["bus"] not in ("controller", "node"):
        raise ConfigError('"bus" of a serial link is "controller" or "node"')
    uart = _open(settings)
    stream = asyncio.StreamReader(uart)
    if "de" in settings:
        from machine import Pin

        stream = HalfDuplex(stream, uart, Pin(settings["de"], Pin.OUT, value=0))
    try:
        await bus_pump.run(settings, links, system, stream, settings.get("baud", BAUD))
    finally:
        uart.deinit()


async def connect(settings: "dict[str, Any]", local: "Local") -> "tuple[Medium, StreamChannel]":
    return MEDIUM, SerialChannel(_open(settings))


def _open(settings: "dict[str, Any]") -> "UART":
    pins = {name: settings[name] for name in ("tx", "rx") if name in settings}
    return UART(
        settings.get("uart", 0), settings.get("baud", BAUD), rxbuf=RECEIVE_BUFFER_BYTES, **pins
    )


class HalfDuplex:
    """A stream whose transceiver speaks only while a pin says so."""

    def __init__(self, stream: "Any", uart: "UART", pin: "Any") -> None:
        self.read = stream.read
        self._stream, self._uart, self._pin = stream, uart, pin

    def write(self, data: bytes) -> None:
        self._pin.value(1)
        self._stream.write(data)

    async def drain(self) -> None:
        await self._stream.drain()
        while not self._uart.txdone():
            await asyncio.sleep(0)
        self._pin.value(0)


class SerialChannel(StreamChannel):
    def __init__(self, uart: "UART") -> None:
        stream = asyncio.StreamReader(uart)
        super().__init__(stream, stream, MEDIUM.frame_size_max)
        self._uart = uart

    async def close(self) -> None:
        self._uart.deinit()  # it has no close(), which the stream would call
