"""
The virtual air: Bluetooth LE controllers in this process that hear each other.

`bumble` has the hosts (L2CAP, ATT, GATT), the controllers and a link between them. Here the
link gets what a radio has and it lacks: connection events, a queue that fills up, packets of
at most 251 bytes. Nothing is lost in it, and nothing disturbs it: for that there are real radios.

    air = Air(interval_ms=15, packets_per_event=6)
    device = await air.device("name")         # a bumble host, for bleak (bleak_backend.py)
    port = await air.board("name")            # for a board's bluetooth.py
    await air.close()
"""

import asyncio
import itertools
from collections import deque

from bumble import hci
from bumble.controller import Controller
from bumble.device import Device, DeviceConfiguration
from bumble.hci import Address
from bumble.link import LocalLink

from rigs.ble.sidecar import Sidecar

PACKET_BYTES_MAX = 251
QUEUE_COUNT_MAX = 12  # packets that a controller takes before it says that it is full
ADVERTISING_MS = 60


class Air:
    def __init__(self, interval_ms=15, packets_per_event=6):
        """interval_ms: of a connection; packets_per_event: each way, as controllers manage."""
        self.link = _Link()
        self._interval_s = interval_ms / 1000
        self._packets_per_event = packets_per_event
        self._numbers = itertools.count(1)
        self._open = []

    def host(self, name, number):
        """Return a bumble host, not switched on yet, whose addresses end in that number."""
        controller = _Controller(name, self.link, f"F0:F1:F2:F3:F4:{number:02X}")
        controller.interval_s = self._interval_s
        controller.packets_per_event = self._packets_per_event
        config = DeviceConfiguration(
            name=name,
            address=Address(f"C0:00:00:00:10:{number:02X}"),
            advertising_interval_min=ADVERTISING_MS,
            advertising_interval_max=ADVERTISING_MS,
        )
        device = Device.from_config_with_hci(config, controller, controller)
        device.radio = controller
        return device

    async def device(self, name):
        device = self.host(name, next(self._numbers))
        await device.power_on()
        return device

    async def board(self, name):
        """Return the TCP port at which a board's bluetooth.py finds its radio."""
        number = next(self._numbers)

        async def serve(reader, writer):
            device = self.host(name, number)
            try:
                await Sidecar(device, writer).serve(reader)
            finally:
                self.link.remove_controller(device.radio)
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._open.append(server)
        return server.sockets[0].getsockname()[1]

    async def close(self):
        for server in self._open:
            server.close()


class _Link(LocalLink):
    def send_acl_data(self, sender_controller, destination_address, transport, data):
        receiver = self.find_le_controller(destination_address)
        addresses = [
            one.self_address
            for one in sender_controller.le_connections.values()
            if one.peer_address == destination_address
        ]
        sender = (addresses or [sender_controller.random_address])[0]
        if receiver is not None:
            loop = asyncio.get_running_loop()
            loop.call_soon(receiver.on_link_acl_data, sender, transport, data)


class _Controller(Controller):
    """With connection events, and without what bumble's link does not carry."""

    interval_s = 0.015
    packets_per_event = 6

    def __init__(self, name, link, address):
        super().__init__(name, link=link, public_address=address)
        self.le_acl_data_packet_length = PACKET_BYTES_MAX
        self.total_num_le_acl_data_packets = QUEUE_COUNT_MAX
        self.le_features &= ~(
            hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        )
        self._queue = deque()
        self._pump = None

    def is_full(self):
        return len(self._queue) >= QUEUE_COUNT_MAX

    def on_hci_acl_data_packet(self, packet):
        self._queue.append(packet)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._send_queue())

    def on_link_acl_data(self, sender_address, transport, data):
        connection = self.le_connections.get(sender_address)
        if connection is None:
            return
        for start in range(0, len(data), PACKET_BYTES_MAX):
            part = data[start : start + PACKET_BYTES_MAX]
            boundary = 2 if start == 0 else 1
            packet = hci.HCI_AclDataPacket(connection.handle, boundary, 0, len(part), part)
            self.send_hci_packet(packet)

    async def _send_queue(self):
        while self._queue:
            await asyncio.sleep(self.interval_s)
            for _ in range(min(self.packets_per_event, len(self._queue))):
                super().on_hci_acl_data_packet(self._queue.popleft())
