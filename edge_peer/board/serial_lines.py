"""
UARTs that take more than opening them: lines that many share, lines of unknown speed.

Beside serial.py, so that a board with a plain line does not load it.
"""

import asyncio

from edge_peer.board.serial import AUTO, BAUD, MEDIUM, SerialChannel, label, open_uart
from edge_peer.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from machine import UART


async def keep(settings: "dict[str, Any]", links: "Any", system: "Any") -> None:
    """Be a station of a shared line, or find out the speed of one first. Raises ConfigError."""
    baud = settings.get("baud", BAUD)
    if "bus" not in settings:
        await _keep_auto(settings, links, system)
    if settings["bus"] not in ("controller", "node"):
        raise ConfigError('"bus" of a serial link is "controller" or "node"')
    if baud == AUTO and settings["bus"] == "controller":
        raise ConfigError("the controller of a bus says its speed")
    from edge_peer.transport import bus_pump

    uart = open_uart(settings)
    stream = asyncio.StreamReader(uart)
    if "de" in settings:
        from machine import Pin

        stream = HalfDuplex(stream, uart, Pin(settings["de"], Pin.OUT, value=0))
    try:
        if baud == AUTO:
            baud = await _dial(uart, stream, links, system, 0, False)
        await bus_pump.run(settings, links, system, stream, baud)
    finally:
        uart.deinit()


async def _keep_auto(settings: "dict[str, Any]", links: "Any", system: "Any") -> None:
    baud = 0
    while True:
        uart = open_uart(settings)
        channel = SerialChannel(uart)
        try:
            baud = await _dial(uart, channel.reader, links, system, baud, True)
        except OSError:
            await channel.close()
            raise
        system.log("%s: %s" % (label(settings), await links.run(MEDIUM, channel)))
        await asyncio.sleep(1)


async def _dial(
    uart: "Any", stream: "Any", links: "Any", system: "Any", first: int, asks: bool
) -> int:
    from edge_peer.transport.dialling import dial

    def set_baud(baud: int) -> None:
        uart.init(baudrate=baud)

    return await dial(stream, set_baud, system, links.local.entropy, first, asks)


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
