"""
A UART as a link.

    {"kind": "serial", "uart": 0, "tx": 0, "rx": 1, "baud": 115200}
"""

import asyncio

from machine import UART

from edge_peer.core.session import Medium
from edge_peer.transport.stream import StreamChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.session import Local

BAUD = 115_200
RECEIVE_BUFFER_BYTES = 1024  # 90 ms at that speed: longer than any collection of garbage
MEDIUM = Medium("serial", 2, 256, 1024, 5_000, 250)


def label(settings: "dict[str, Any]") -> str:
    return "serial %s" % settings.get("uart", 0)


async def connect(settings: "dict[str, Any]", local: "Local") -> "tuple[Medium, StreamChannel]":
    pins = {name: settings[name] for name in ("tx", "rx") if name in settings}
    uart = UART(
        settings.get("uart", 0), settings.get("baud", BAUD), rxbuf=RECEIVE_BUFFER_BYTES, **pins
    )
    return MEDIUM, SerialChannel(uart)


class SerialChannel(StreamChannel):
    def __init__(self, uart: "UART") -> None:
        stream = asyncio.StreamReader(uart)
        super().__init__(stream, stream, MEDIUM.frame_size_max)
        self._uart = uart

    async def close(self) -> None:
        self._uart.deinit()  # it has no close(), which the stream would call
