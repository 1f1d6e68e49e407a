"""
A UART as a link.

    {"kind": "serial", "uart": 0, "tx": 0, "rx": 1, "baud": 115200}
    {"kind": "serial", "uart": 0, "tx": 0, "rx": 1, "bus": "node", "de": 2}

"baud" may be "auto": common speeds are tried until somebody is heard (transport/dialling.py).
The second one is a line that many share (transport/bus.py), RS-485 or a radio modem; "de" is
the pin that makes the transceiver speak, where it does not do so by itself.
"""

import asyncio

from machine import UART

from edge_peer.core.sync.session import Medium
from edge_peer.transport.stream import StreamChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.sync.session import Local

BAUD = 115_200
AUTO = "auto"
RECEIVE_BUFFER_BYTES = 1024  # 90 ms at that speed: longer than any collection of garbage
MEDIUM = Medium("serial", 2, 256, 1024, 5_000, 250)


def label(settings: "dict[str, Any]") -> str:
    return "serial %s" % settings.get("uart", 0)


def finds(settings: "dict[str, Any]") -> bool:
    """Return whether `keep` finds the neighbours, or `connect` has one."""
    return "bus" in settings or settings.get("baud") == AUTO


async def keep(settings: "dict[str, Any]", links: "Any", system: "Any") -> None:
    from edge_peer.board import serial_lines

    await serial_lines.keep(settings, links, system)


async def connect(settings: "dict[str, Any]", local: "Local") -> "tuple[Medium, StreamChannel]":
    return MEDIUM, SerialChannel(open_uart(settings))


def open_uart(settings: "dict[str, Any]") -> "UART":
    pins = {name: settings[name] for name in ("tx", "rx") if name in settings}
    baud = settings.get("baud", BAUD)
    baud = BAUD if baud == AUTO else baud
    return UART(settings.get("uart", 0), baud, rxbuf=RECEIVE_BUFFER_BYTES, **pins)


class SerialChannel(StreamChannel):
    def __init__(self, uart: "UART") -> None:
        stream = asyncio.StreamReader(uart)
        super().__init__(stream, stream, MEDIUM.frame_size_max)
        self._uart = uart

    async def close(self) -> None:
        self._uart.deinit()  # it has no close(), which the stream would call
