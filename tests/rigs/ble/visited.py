"""
Peers of this process that wait to be visited over the virtual air, without MicroPython.

What host/ble_peripheral.py is on BlueZ: a GATT server, on bumble, with one link at a time.
"""

import asyncio
import errno
from collections import deque
from zlib import crc32

from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from edge_peer.host import system
from edge_peer.host.ble import MEDIUM, QUIET_MS
from edge_peer.transport import advertisement
from edge_peer.transport.gatt import VALUE_SIZE_MAX, VALUE_SIZE_MIN, GattChannel

ATT_HEADER = 3
FULL_WAIT_S = 0.002


class Visited:
    """`peer`'s radio; `peer` is a Peer of tests/peers.py."""

    def __init__(self, device, peer):
        self.device, self.peer = device, peer
        self._port = None
        self._task = None
        properties = Characteristic.Properties
        self._incoming = Characteristic(
            UUID(advertisement.TO_PERIPHERAL_TEXT),
            properties.WRITE_WITHOUT_RESPONSE | properties.WRITE,
            Characteristic.WRITEABLE,
            CharacteristicValue(write=lambda *written: self.written(*written)),
        )
        self.outgoing = Characteristic(
            UUID(advertisement.TO_CENTRAL_TEXT), properties.NOTIFY, Characteristic.READABLE, b""
        )
        service = Service(UUID(advertisement.SERVICE_TEXT), [self._incoming, self.outgoing])
        device.add_service(service)
        device.on("connection", self._connected)

    async def stop(self):
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def start(self):
        """Say what there is, from now on."""
        local = self.peer.links.local
        app = advertisement.app_hash(local.keyring.app_id)
        self.device.advertising_data = advertisement.encode(app, local.store.arrival)
        name = local.keyring.certificate.name
        self.device.scan_response_data = advertisement.encode_name(name)
        if self.device.is_advertising:
            await self.device.stop_advertising()
        await self.device.start_advertising(auto_restart=False)

    def _connected(self, connection):
        self._port = Port(self, connection)
        self._task = asyncio.get_running_loop().create_task(self._serve(self._port))

    def written(self, connection, value):
        self._port.take(bytes(value))

    async def _serve(self, port):
        channel = GattChannel(port, MEDIUM.frame_size_max, system)
        hint = crc32(str(port.connection.peer_address).encode()) | 1
        await self.peer.links.visit(MEDIUM, channel, True, hint, QUIET_MS)
        await self.start()


class Port:
    """A connection, as a port for transport/gatt.py."""

    signal_dbm = None

    def __init__(self, owner, connection):
        self.connection = connection
        self._owner = owner
        self._values = deque()
        self._changed = asyncio.Event()
        self._is_lost = False
        connection.on("disconnection", self._lose)

    @property
    def value_size(self):
        return max(VALUE_SIZE_MIN, min(self.connection.att_mtu - ATT_HEADER, VALUE_SIZE_MAX))

    def take(self, value):
        self._values.append(value)
        self._changed.set()

    def _lose(self, reason):
        self._is_lost = True
        self._changed.set()

    async def read(self):
        while not self._values:
            self._check()
            self._changed.clear()
            await self._changed.wait()
        return self._values.popleft()

    async def write(self, value):
        device = self._owner.device
        while device.radio.is_full():
            await asyncio.sleep(FULL_WAIT_S)
            self._check()
        self._check()
        await device.gatt_server.notify_subscriber(
            self.connection, self._owner.outgoing, value, force=True
        )

    async def close(self):
        if not self._is_lost:
            await self.connection.disconnect()

    def _check(self):
        if self._is_lost:
            raise OSError(errno.ENOTCONN, "the connection is gone")


class Flaky:
    """It advertises news all the time, as of that app, and has no service when one comes."""

    def __init__(self, device):
        self._device = device
        self.count = 0  # visits
        device.on("connection", self._connected)

    async def start(self, app_id):
        app = advertisement.app_hash(app_id)
        self._device.advertising_data = advertisement.encode(app, self.count)
        self._app_id = app_id
        await self._device.start_advertising(auto_restart=False)

    def _connected(self, connection):
        self.count += 1
        again = self.start(self._app_id)
        connection.on("disconnection", lambda _: asyncio.ensure_future(again))
