"""
Bluetooth LE as a link that others begin: a GATT server on BlueZ, by D-Bus (dbus-fast).

    await Peripheral(settings, links, system).run()

BlueZ notifies every subscriber of a value, and a link's values are for one: so one central at a
time is served, the one that has written first; nothing is advertised meanwhile, and whoever
else writes is disconnected. Who only subscribes gets records that it cannot open.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

from dbus_fast import BusType, Message, MessageType, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import (
    DBusBool,
    DBusBytes,
    DBusDict,
    DBusObjectPath,
    DBusSignature,
    DBusStr,
)
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from edge_peer.core.errors import EdgeError
from edge_peer.host.ble import MEDIUM, QUIET_MS, Inbox
from edge_peer.transport.advertisement import (
    COMPANY,
    SERVICE_TEXT,
    TO_CENTRAL_TEXT,
    TO_PERIPHERAL_TEXT,
    app_hash,
    encode_facts,
)
from edge_peer.transport.gatt import VALUE_SIZE_MAX, VALUE_SIZE_MIN, GattChannel

if TYPE_CHECKING:
    from edge_peer.peer import Links

BLUEZ = "org.bluez"
ROOT = "/org/edge_peer"
SERVICE, ADVERTISEMENT = ROOT + "/service", ROOT + "/advertisement"
NEWS_S = 1  # how often to look whether the advertisement is still true
ATT_HEADER = 3
_READ = PropertyAccess.READ
_Texts = Annotated[list[str], DBusSignature("as")]
_Companies = Annotated[dict[int, Variant], DBusSignature("a{qv}")]


class Peripheral:
    def __init__(self, settings: dict[str, Any], links: "Links", system: Any) -> None:
        self._adapter = f"/org/bluez/{settings.get('adapter', 'hci0')}"
        self._links, self._system = links, system
        self._app = app_hash(links.local.keyring.app_id)
        self._port: BluezPort | None = None
        self._came = asyncio.Event()
        self._advertised: int | None = None
        self._cut_count = 0  # visits that ended too early: a reason for another one

    async def run(self) -> None:
        """Be visited, for ever; raises OSError when BlueZ is not there, or goes."""
        try:
            self._bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        except (OSError, DBusError) as error:
            raise OSError(f"{error}; is the D-Bus system bus there?") from error
        try:
            self._export()
            await self._call("GattManager1", "RegisterApplication", ROOT)
            while self._bus.connected:
                await self._advertise()
                await self._serve()
            raise OSError("D-Bus has closed the connection")
        finally:
            self._bus.disconnect()

    async def _serve(self) -> None:
        """Wait for a central, for a little, and run its link."""
        await self._system.wait(self._came, NEWS_S * 1000)
        self._came.clear()
        port = self._port
        if port is None:
            return
        await self._withdraw()
        channel = GattChannel(port, MEDIUM.frame_size_max, self._system)
        try:
            hint = crc32(port.device.encode()) | 1
            session = await self._links.visit(MEDIUM, channel, True, hint, QUIET_MS)
            reason = session.close_reason
            self._cut_count += not session.is_idle()
        except (OSError, EdgeError) as error:
            reason = str(error)
        finally:
            self._port = None
        self._system.log(f"ble {port.device}: {reason}")

    # D-Bus

    def _export(self) -> None:
        self._outgoing = _Characteristic(TO_CENTRAL_TEXT, ["notify"], None)
        incoming = _Characteristic(
            TO_PERIPHERAL_TEXT, ["write-without-response", "write"], self._written
        )
        self._bus.export(ROOT, _Application())
        self._bus.export(SERVICE, _Service())
        self._bus.export(SERVICE + "/in", incoming)
        self._bus.export(SERVICE + "/out", self._outgoing)

    async def _advertise(self) -> None:
        news = self._links.local.store.arrival + self._cut_count & 0xFFFF
        if news == self._advertised:
            return
        await self._withdraw()
        name = self._links.local.keyring.certificate.name
        facts = encode_facts(self._app, news)
        self._bus.export(ADVERTISEMENT, _Advertisement(name, facts))
        await self._call("LEAdvertisingManager1", "RegisterAdvertisement", ADVERTISEMENT)
        self._advertised = news

    async def _withdraw(self) -> None:
        if self._advertised is not None:
            self._advertised = None
            await self._call("LEAdvertisingManager1", "UnregisterAdvertisement", ADVERTISEMENT)
            self._bus.unexport(ADVERTISEMENT)

    async def _call(self, interface: str, member: str, path: str) -> None:
        """Register or unregister one of our objects; raises OSError with BlueZ's reason."""
        is_first = member.startswith("Register")
        await self.call(
            self._adapter,
            f"{BLUEZ}.{interface}",
            member,
            "oa{sv}" if is_first else "o",
            [path, {}] if is_first else [path],
        )

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", body: Any = ()
    ) -> None:
        message = Message(BLUEZ, path, interface, member, signature=signature, body=list(body))
        answer = await self._bus.call(message)
        if answer is None or answer.message_type == MessageType.ERROR:
            told = None if answer is None else answer.body or answer.error_name
            raise OSError(f"BlueZ: {told}; is the adapter there, and on?")

    def _written(self, value: bytes, options: dict[str, Variant]) -> None:
        device = str(options["device"].value) if "device" in options else ""
        if self._port is None:
            self._port = BluezPort(self, device, self._outgoing)
            self._came.set()
        if device != self._port.device:
            asyncio.ensure_future(self.disconnect(device))
            return
        mtu = options["mtu"].value if "mtu" in options else VALUE_SIZE_MIN + ATT_HEADER
        self._port.take(value, mtu)

    async def disconnect(self, device: str) -> None:
        if device:
            with suppress(OSError):  # it has gone
                await self.call(device, f"{BLUEZ}.Device1", "Disconnect")


class BluezPort(Inbox):
    """The connection of one central, as a port for transport/gatt.py."""

    def __init__(self, owner: Peripheral, device: str, outgoing: "_Characteristic") -> None:
        super().__init__()
        self.value_size = VALUE_SIZE_MIN
        self.signal_dbm: int | None = None  # BlueZ tells it of who is scanned
        self.device = device
        self._owner = owner
        self._outgoing = outgoing
        outgoing.on_stop = self._stopped

    def take(self, value: bytes, mtu: int) -> None:
        self.value_size = max(VALUE_SIZE_MIN, min(mtu - ATT_HEADER, VALUE_SIZE_MAX))
        self._take(value)

    async def write(self, value: bytes) -> None:
        if self._lost:
            raise OSError(self._lost)
        self._outgoing.notify(value)
        await asyncio.sleep(0)  # the bus writes

    async def close(self) -> None:
        self._outgoing.on_stop = None
        await self._owner.disconnect(self.device)

    def _stopped(self) -> None:
        """No subscriber is left: the central is gone."""
        self._lose("the connection is gone")


class _Application(ServiceInterface):
    """BlueZ asks the object above all others which there are; dbus-fast answers."""

    def __init__(self) -> None:
        super().__init__("org.edge_peer.Application")


class _Service(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{BLUEZ}.GattService1")

    @dbus_property(access=_READ)
    def UUID(self) -> DBusStr:
        return SERVICE_TEXT

    @dbus_property(access=_READ)
    def Primary(self) -> DBusBool:
        return True


class _Characteristic(ServiceInterface):
    def __init__(self, uuid: str, flags: list[str], on_write: Any) -> None:
        super().__init__(f"{BLUEZ}.GattCharacteristic1")
        self._uuid, self._flags, self._on_write = uuid, flags, on_write
        self._value = b""
        self.on_stop: Any = None

    def notify(self, value: bytes) -> None:
        self._value = value
        self.emit_properties_changed({"Value": value})

    @dbus_property(access=_READ)
    def UUID(self) -> DBusStr:
        return self._uuid

    @dbus_property(access=_READ)
    def Service(self) -> DBusObjectPath:
        return SERVICE

    @dbus_property(access=_READ)
    def Flags(self) -> _Texts:
        return self._flags

    @dbus_property(access=_READ)
    def Value(self) -> DBusBytes:
        return self._value

    @dbus_method()
    def WriteValue(self, value: DBusBytes, options: DBusDict) -> None:
        if self._on_write is not None:
            self._on_write(bytes(value), options)

    @dbus_method()
    def StartNotify(self) -> None:
        pass

    @dbus_method()
    def StopNotify(self) -> None:
        if self.on_stop is not None:
            self.on_stop()


class _Advertisement(ServiceInterface):
    def __init__(self, name: str, facts: bytes) -> None:
        super().__init__(f"{BLUEZ}.LEAdvertisement1")
        self._name, self._facts = name, facts

    @dbus_property(access=_READ)
    def Type(self) -> DBusStr:
        return "peripheral"

    @dbus_property(access=_READ)
    def ServiceUUIDs(self) -> _Texts:
        return [SERVICE_TEXT]

    @dbus_property(access=_READ)
    def ManufacturerData(self) -> _Companies:
        return {COMPANY: Variant("ay", self._facts)}

    @dbus_property(access=_READ)
    def LocalName(self) -> DBusStr:
        return self._name

    @dbus_method()
    def Release(self) -> None:
        pass
