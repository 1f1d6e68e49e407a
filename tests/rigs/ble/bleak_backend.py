"""
bleak on the virtual air: a scanner and a client for its `backend=`.

They take the place of bleak's BlueZ code, which the lane with a real kernel runs.
"""

import asyncio

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Peer

_UUIDS = (
    AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
)
_PROPERTIES = {0x04: "write-without-response", 0x08: "write", 0x10: "notify"}
FULL_WAIT_S = 0.002


def backends(device, mtu=247):
    """Return (scanner class, client class) of a bumble host; mtu: that its client asks for."""
    scanner = type("Scanner", (_Scanner,), {"device": device})
    return scanner, type("Client", (_Client,), {"device": device, "mtu": mtu})


class _Scanner(BaseBleakScanner):
    device = None

    def __init__(self, detection_callback, service_uuids, scanning_mode, **ignored):
        super().__init__(detection_callback, service_uuids)

    async def start(self):
        self.seen_devices = {}
        self.device.on("advertisement", self._heard)
        await self.device.start_scanning(active=True, legacy=True, filter_duplicates=False)

    async def stop(self):
        self.device.remove_listener("advertisement", self._heard)
        await self.device.stop_scanning(legacy=True)

    def _heard(self, heard):
        uuids = [_text(uuid) for kind in _UUIDS for uuid in heard.data.get(kind) or []]
        if not self.is_allowed_uuid(uuids):
            return
        name = heard.data.get(AdvertisingData.COMPLETE_LOCAL_NAME)
        company = heard.data.get(AdvertisingData.MANUFACTURER_SPECIFIC_DATA)
        advertisement = AdvertisementData(
            local_name=name,
            manufacturer_data={company[0]: company[1]} if company else {},
            service_data={},
            service_uuids=uuids,
            tx_power=None,
            rssi=heard.rssi,
            platform_data=(heard,),
        )
        key = str(heard.address)
        found = self.create_or_update_device(key, key, name, heard, advertisement)
        self.call_detection_callbacks(found, advertisement)


class _Client(BaseBleakClient):
    device = None
    mtu = 247

    def __init__(self, found, *, disconnected_callback=None, timeout=30, **ignored):
        super().__init__(found, disconnected_callback=disconnected_callback, timeout=timeout)
        self._found = found
        self._connection = None
        self._subscribed = {}

    @property
    def name(self):
        return self._found.name or self.address

    @property
    def mtu_size(self):
        return self._connection.att_mtu

    @property
    def is_connected(self):
        return self._connection is not None

    async def connect(self, pair, **ignored):
        address = self._found.details.address
        try:
            connection = await self.device.connect(address, timeout=self._timeout)
        except BaseBumbleError as error:
            raise BleakError(str(error)) from error
        self._connection = connection

        def gone(reason):
            self._connection = None
            if self._disconnected_callback is not None:
                self._disconnected_callback()

        connection.on("disconnection", gone)
        peer = Peer(connection)
        try:
            await peer.request_mtu(self.mtu)
            await peer.discover_all()
        except BaseBumbleError as error:
            raise BleakError(str(error)) from error
        self.services = BleakGATTServiceCollection()
        for service in peer.services:
            made = BleakGATTService(service, service.handle, _text(service.uuid))
            self.services.add_service(made)
            for one in service.characteristics:
                names = [name for bit, name in _PROPERTIES.items() if int(one.properties) & bit]
                self.services.add_characteristic(
                    BleakGATTCharacteristic(
                        one,
                        one.handle - 1,
                        _text(one.uuid),
                        names,
                        lambda: connection.att_mtu - 3,
                        made,
                    )
                )

    async def disconnect(self):
        if self._connection is not None:
            await self._connection.disconnect()

    async def write_gatt_char(self, characteristic, data, response):
        while self.device.radio.is_full():
            await asyncio.sleep(FULL_WAIT_S)
        if self._connection is None:
            raise BleakError("not connected")
        await characteristic.obj.write_value(bytes(data), with_response=response)

    async def start_notify(self, characteristic, callback, **ignored):
        def notified(value):
            callback(bytearray(value))

        self._subscribed[characteristic.handle] = notified
        try:
            await characteristic.obj.subscribe(notified)
        except BaseBumbleError as error:
            raise BleakError(str(error)) from error

    async def stop_notify(self, characteristic):
        await characteristic.obj.unsubscribe(self._subscribed.pop(characteristic.handle))

    async def read_gatt_char(self, characteristic, **ignored):
        return bytearray(await characteristic.obj.read_value())

    async def read_gatt_descriptor(self, descriptor, **ignored):
        raise NotImplementedError

    async def write_gatt_descriptor(self, descriptor, data):
        raise NotImplementedError

    async def pair(self, *ignored):
        raise NotImplementedError

    async def unpair(self):
        raise NotImplementedError


def _text(uuid):
    text = uuid.to_hex_str("-").lower()
    return text if len(uuid.to_bytes()) == 16 else f"0000{text}-0000-1000-8000-00805f9b34fb"
