"""Wires that note what passes, for `test_spec.py` to read along. The one file that knows ours."""

import asyncio
import contextlib
import os

import paho.mqtt.client as paho
import uvicorn
from peers import Mosquitto, running
from rigs.serial_bus import SerialBus
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from edge_peer.bigpeer import websocket
from edge_peer.bigpeer.ingress import MqttIngress
from edge_peer.host import lan, mqtt, serial, system
from edge_tools.cable import Cable

from . import wires

READ_SIZE = 4096
ADDRESS = 1  # of a bus's only node
WRITE_COMMAND, NOTIFICATION = 0x52, 0x1B  # Core Specification, volume 3, part F, 3.4.8


async def kept(peer, module, settings):
    """What SmallPeer does for a link of its configuration, in short."""
    while True:
        try:
            wire = await module.connect(settings, peer.links.local)
            await peer.links.run(*wire, hint=1)
        except OSError:
            await asyncio.sleep(0.05)


class Tap:
    """Two directions of a wire: forth from the peer that connects, and back."""

    def __init__(self):
        self.start()

    def start(self):
        """Forget what has passed."""
        self.forth, self.back = bytearray(), bytearray()


class TcpTap(Tap):
    """A proxy on loopback."""

    async def open(self, target_port):
        self._tasks = []  # a loop itself keeps none

        async def connected(reader, writer):
            self._tasks.append(asyncio.current_task())
            there, back = await asyncio.open_connection("127.0.0.1", target_port)
            await asyncio.gather(
                self._copy(reader, back, "forth"), self._copy(there, writer, "back")
            )

        self._server = await asyncio.start_server(connected, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _copy(self, reader, writer, direction):
        with contextlib.suppress(OSError):  # who is switched off resets its connection
            while data := await reader.read(READ_SIZE):
                getattr(self, direction).extend(data)
                writer.write(data)
        writer.close()


@contextlib.asynccontextmanager
async def over_tcp(small, big):
    async def handle(medium, channel, *_):
        await big.links.run(medium, channel, waits=True)

    server = await lan.serve("127.0.0.1", 0, handle)
    tap = TcpTap()
    link = {"host": "127.0.0.1", "port": await tap.open(server.sockets[0].getsockname()[1])}
    yield tap, wires.from_tcp, lambda: running(kept(small, lan, link))
    server.close()


@contextlib.asynccontextmanager
async def over_websocket(small, big):
    async def sync(socket):
        await websocket.serve(lambda: [big.links], socket)

    app = Starlette(routes=[WebSocketRoute(websocket.PATH, sync)])
    config = uvicorn.Config(app, port=0, log_config=None, ws_per_message_deflate=False)
    server = uvicorn.Server(config)
    async with running(server.serve()):
        while not server.started:
            await asyncio.sleep(0.01)
        tap = TcpTap()
        port = await tap.open(server.servers[0].sockets[0].getsockname()[1])
        link = {"url": f"ws://127.0.0.1:{port}{websocket.PATH}"}
        yield tap, wires.from_websocket, lambda: running(kept(small, lan, link))


@contextlib.asynccontextmanager
async def over_serial(small, big):
    tap, loop = Tap(), asyncio.get_running_loop()
    cables = Cable(), Cable()
    inner = [os.open(cables[0].paths[1], os.O_RDWR), os.open(cables[1].paths[0], os.O_RDWR)]

    def carry(direction):
        data = os.read(inner[direction], READ_SIZE)
        (tap.back if direction else tap.forth).extend(data)
        os.write(inner[1 - direction], data)

    for direction in (0, 1):
        loop.add_reader(inner[direction], carry, direction)
    ends = {"port": cables[0].paths[0]}, {"port": cables[1].paths[1]}
    yield (
        tap,
        wires.from_serial,
        lambda: running(kept(small, serial, ends[0]), kept(big, serial, ends[1])),
    )
    for descriptor, cable in zip(inner, cables, strict=True):
        loop.remove_reader(descriptor)
        os.close(descriptor)
        cable.close()


@contextlib.asynccontextmanager
async def over_bus(small, big):
    tap, loop = Tap(), asyncio.get_running_loop()
    bus = SerialBus(3)
    listener = os.open(bus.paths[2], os.O_RDWR)

    def hear():
        data = os.read(listener, READ_SIZE)
        tap.forth.extend(data)
        tap.back.extend(data)

    loop.add_reader(listener, hear)
    stations = [
        (peer, {"kind": "serial", "port": path, "bus": role})
        for peer, path, role in ((small, bus.paths[0], "node"), (big, bus.paths[1], "controller"))
    ]

    def read(data):
        return wires.from_bus(data, 6 if data is tap.forth else 5, ADDRESS)

    yield (
        tap,
        read,
        lambda: running(*(serial.keep(link, peer.links, system) for peer, link in stations)),
    )
    loop.remove_reader(listener)
    os.close(listener)
    bus.close()


class MqttTap(Tap):
    """A subscriber to everything; frames are messages, so there is nothing to put together."""

    def start(self):
        self.forth, self.back = [], []

    def open(self, port):
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.on_message = self._heard
        client.on_connect = lambda *_: client.subscribe("edge-peer/#", 1)
        client.connect("127.0.0.1", port)
        client.loop_start()
        return client

    def _heard(self, client, userdata, message):
        if message.payload:  # else it is somebody's last will
            (self.forth if "/to-big/" in message.topic else self.back).append(message.payload)


@contextlib.asynccontextmanager
async def over_mqtt(small, big, folder):
    broker = Mosquitto(folder)
    tap = MqttTap()
    client = tap.open(broker.port)
    try:
        async with running(MqttIngress(big.links, broker.settings()).run()):
            yield tap, list, lambda: running(kept(small, mqtt, broker.settings()))
    finally:
        client.loop_stop()
        broker.stop()


class AirTap(Tap):
    """Of a virtual air, what is written to a characteristic and what is notified (ATT)."""

    def __init__(self, air):
        super().__init__()
        send = air.link.send_acl_data

        def sent(sender, address, transport, data):
            opcode = data[4]
            if opcode in (WRITE_COMMAND, NOTIFICATION):
                (self.forth if opcode == WRITE_COMMAND else self.back).append(data[7:])
            send(sender, address, transport, data)

        air.link.send_acl_data = sent

    def start(self):
        self.forth, self.back = [], []
