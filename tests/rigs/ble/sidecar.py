"""
The radio of a MicroPython process: its `bluetooth` module (bluetooth.py) speaks to this.

Lines of JSON over TCP, bytes in hexadecimal. A call is [name, argument …] and is answered by
["=", value] or ["!", errno]; events are [number, …] as MicroPython's documentation has them,
but that 3, "written", carries the value.
"""

import asyncio
import contextlib
import errno
import json

from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address

READ_WRITE = Characteristic.READABLE | Characteristic.WRITEABLE
CONNECT_MS = 10_000


class Sidecar:
    def __init__(self, device, writer):
        """device: a bumble host that is not switched on yet; writer: to the process."""
        self._device = device
        self._connections = {}
        self._attributes = {}  # value handle -> characteristic
        self._is_on = False
        self._mtu = 256
        self._writer = writer
        self._tasks = set()
        device.on("connection", self._connected)
        device.on("advertisement", self._heard)

    async def serve(self, reader):
        """Do what the process says, until it is gone."""
        async for line in reader:
            name, *arguments = json.loads(line)
            try:
                answer = ["=", await getattr(self, "do_" + name)(*arguments)]
            except OSError as error:
                answer = ["!", error.errno]
            self._say(*answer)
        await self._power_off()

    def _say(self, *message):
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def _power_off(self):
        """The process is gone, and its radio with it."""
        with contextlib.suppress(Exception):  # whatever a cut leaves behind
            await self.do_advertise(None, "", "")
            await self.do_scan(None)
            for connection in list(self._connections.values()):
                await connection.disconnect()

    def _begin(self, coroutine, done=lambda status: None):
        """Run a question to the other side; done(0) or done(5) when it has ended."""

        async def run():
            try:
                await coroutine
                status = 0
            except Exception:  # bumble's, of many kinds: the other side said no, or is gone
                status = 5
            done(status)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Events

    def _connected(self, connection):
        handle = connection.handle
        is_visitor = connection.role.name == "PERIPHERAL"
        peer = _address(connection.peer_address)
        self._connections[handle] = connection

        def gone(reason):
            self._connections.pop(handle, None)
            self._say(2 if is_visitor else 8, handle, *peer)

        def notified(pdu):
            self._say(18, handle, pdu.attribute_handle, bytes(pdu.attribute_value).hex())

        connection.on("disconnection", gone)
        connection.on(
            "connection_att_mtu_update", lambda: self._say(21, handle, connection.att_mtu)
        )
        connection.gatt_client.on_att_handle_value_notification = notified
        self._say(1 if is_visitor else 7, handle, *peer)

    def _heard(self, advertisement):
        data = bytes(advertisement.data).hex()
        self._say(5, *_address(advertisement.address), 0, advertisement.rssi, data)

    # Calls

    async def do_mtu(self, mtu):
        self._mtu = self._device.gatt_server.max_mtu = mtu

    async def do_register(self, services):
        handles = []
        for uuid, characteristics in services:
            made = [self._characteristic(*one) for one in characteristics]
            self._device.add_services([Service(_uuid(uuid), made)])
            self._attributes |= {one.handle: one for one in made}
            handles.append([one.handle for one in made])
        return handles

    def _characteristic(self, uuid, flags):
        made = Characteristic(
            _uuid(uuid), Characteristic.Properties(flags & 0x3F), READ_WRITE, None
        )

        def write(connection, value):
            self._say(3, connection.handle, made.handle, bytes(value).hex())

        made.value = CharacteristicValue(read=lambda connection: b"", write=write)
        return made

    async def do_advertise(self, interval_us, data, response):
        await self._power_on()
        if self._device.is_advertising:
            await self._device.stop_advertising()
        if interval_us is not None:
            self._device.advertising_data = bytes.fromhex(data)
            self._device.scan_response_data = bytes.fromhex(response)
            await self._device.start_advertising(auto_restart=False)

    async def do_scan(self, duration_ms):
        await self._power_on()
        if duration_ms is None:
            if self._device.is_scanning:
                await self._device.stop_scanning(legacy=True)
                self._say(6)
            return
        await self._device.start_scanning(legacy=True, active=False, filter_duplicates=False)
        loop = asyncio.get_running_loop()
        loop.call_later(duration_ms / 1000, lambda: self._begin(self.do_scan(None)))

    async def do_connect(self, kind, address, timeout_ms):
        kinds = (Address.PUBLIC_DEVICE_ADDRESS, Address.RANDOM_DEVICE_ADDRESS)
        peer = Address(bytes.fromhex(address)[::-1], kinds[kind])
        self._begin(self._device.connect(peer, timeout=(timeout_ms or CONNECT_MS) / 1000))

    async def do_disconnect(self, handle):
        self._begin(self._connection(handle).disconnect())

    async def do_notify(self, handle, attribute, value):
        self._check_room()
        await self._device.gatt_server.notify_subscriber(
            self._connection(handle), self._attributes[attribute], bytes.fromhex(value), force=True
        )

    async def do_write(self, handle, attribute, value, with_response):
        client = self._connection(handle).gatt_client
        if with_response:
            written = client.write_value(attribute, bytes.fromhex(value), with_response=True)
            self._begin(written, lambda status: self._say(17, handle, attribute, status))
        else:
            self._check_room()
            await client.write_value(attribute, bytes.fromhex(value), with_response=False)

    async def do_exchange_mtu(self, handle):
        connection = self._connection(handle)
        asked = connection.gatt_client.request_mtu(self._mtu)
        self._begin(asked, lambda status: self._say(21, handle, connection.att_mtu))

    async def do_services(self, handle, uuid):
        async def find():
            for one in await self._connection(handle).gatt_client.discover_service(_uuid(uuid)):
                self._say(9, handle, one.handle, one.end_group_handle, uuid)

        self._begin(find(), lambda status: self._say(10, handle, status))

    async def do_characteristics(self, handle, start, end):
        async def find():
            client = self._connection(handle).gatt_client
            service = next(one for one in client.services if one.handle == start)
            for one in await client.discover_characteristics([], service):
                uuid = one.uuid.to_bytes().hex()
                properties = int(one.properties)
                self._say(11, handle, one.end_group_handle, one.handle, properties, uuid)

        self._begin(find(), lambda status: self._say(12, handle, status))

    async def do_descriptors(self, handle, start, end):
        async def find():
            client = self._connection(handle).gatt_client
            for one in await client.discover_descriptors(start_handle=start, end_handle=end):
                self._say(13, handle, one.handle, one.type.to_bytes().hex())

        self._begin(find(), lambda status: self._say(14, handle, status))

    async def _power_on(self):
        if not self._is_on:
            await self._device.power_on()
            self._is_on = True

    def _connection(self, handle):
        if handle not in self._connections:
            raise OSError(errno.ENOTCONN, "not connected")
        return self._connections[handle]

    def _check_room(self):
        if self._device.radio.is_full():
            raise OSError(errno.ENOMEM, "the controller's queue is full")


def _uuid(text):
    return UUID.from_bytes(bytes.fromhex(text))


def _address(address):
    return int(address.address_type) & 1, bytes(address)[::-1].hex()
