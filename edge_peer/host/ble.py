"""
Bluetooth LE as a link.

    {"kind": "ble", "role": "central", "adapter": "hci0", "links": 3}

role: "central" visits the boards around that have news, through bleak; "peripheral" waits to be
visited (host/ble_peripheral.py, on Linux); "both" does both. adapter: of several on Linux.
links: how many boards are visited at a time; adapters manage 3 to 10.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.core.sync.session import Medium, Session
from edge_peer.transport.advertisement import (
    COMPANY,
    SERVICE_TEXT,
    TO_CENTRAL_TEXT,
    TO_PERIPHERAL_TEXT,
    app_hash,
    decode_facts,
)
from edge_peer.transport.gatt import VALUE_SIZE_MAX, WINDOW, GattChannel
from edge_peer.transport.turns import Turns

if TYPE_CHECKING:
    from edge_peer.peer import Links

# A message is one frame, with its record and header; boards take smaller ones.
MEDIUM = Medium("ble", 4, 4140, 4096, 5_000, 100)
QUIET_MS = 1_500  # silence after which a link makes room: longer than a lost frame takes
ROLES = ("peripheral", "central", "both")
LINK_COUNT, LINK_COUNT_MAX = 3, 16
CONNECT_S_MAX = 15
UNKNOWN_DBM = 127  # what controllers say that cannot tell
WAIT_MS_MAX = 60_000
VALUE_COUNT_MAX = WINDOW + 8  # with room for credit beside data


def label(settings: dict[str, Any]) -> str:
    return f"ble {settings.get('adapter', '')}".rstrip()


def finds(settings: dict[str, Any]) -> bool:
    """Return whether `keep` finds the neighbours, or `connect` has one."""
    return True


async def keep(settings: dict[str, Any], links: "Links", system: Any) -> None:
    """Visit, and be visited, for ever. Raises ConfigError; OSError when there is no radio."""
    role = settings.get("role", "central")
    if role not in ROLES:
        raise ConfigError("the role of a ble link is one of " + ", ".join(ROLES))
    async with asyncio.TaskGroup() as group:
        if role != "peripheral":
            group.create_task(Central(settings, links, system).run())
        if role != "central":
            from edge_peer.host.ble_peripheral import Peripheral

            group.create_task(Peripheral(settings, links, system).run())


class Central:
    def __init__(
        self,
        settings: dict[str, Any],
        links: "Links",
        system: Any,
        backends: tuple[Any, Any] = (None, None),
    ) -> None:
        """backends: the scanner and the client of bleak, if not those of this system."""
        count = settings.get("links", LINK_COUNT)
        if not isinstance(count, int) or not 0 < count <= LINK_COUNT_MAX:
            raise ConfigError(f'"links" of a ble link is 1 to {LINK_COUNT_MAX}')
        self._link_count = count
        self._links, self._system = links, system
        adapter = settings.get("adapter")
        self._bluez = cast(Any, {"adapter": adapter} if adapter else {})
        self._app = app_hash(links.local.keyring.app_id)
        self._client_backend = backends[1]
        self._turns = Turns(links.local.entropy)
        self._found: dict[str, tuple[BLEDevice, int]] = {}
        self._changed = asyncio.Event()
        self._calls = asyncio.Lock()  # radios make one connection at a time, and don't scan then
        self._scanner = BleakScanner(
            self._heard, [SERVICE_TEXT], bluez=self._bluez, backend=backends[0]
        )

    async def run(self) -> None:
        """Visit whoever is due, for ever; raises OSError when the radio is not there."""
        store, visits = self._links.local.store, set[asyncio.Task[None]]()

        def wake(*_: Any) -> None:
            self._changed.set()

        store.on_commit(wake)
        try:
            await self._listen(True)
            while True:
                ours = store.arrival & 0xFFFF
                name = None
                if len(visits) < self._link_count:
                    name = self._turns.begin(ours, self._system.now_ms())
                if isinstance(name, str):
                    task = asyncio.create_task(self._visit(name))
                    visits.add(task)
                    task.add_done_callback(visits.discard)
                    task.add_done_callback(wake)
                    continue
                await self._system.wait(self._changed, self._delay_ms(ours, len(visits)))
                self._changed.clear()
        finally:
            store.off_commit(wake)
            for task in visits:
                task.cancel()
            await asyncio.gather(*visits, return_exceptions=True)
            await self._listen(False)

    def _delay_ms(self, ours: int, visit_count: int) -> int:
        due_ms = self._turns.deadline_ms(ours)
        if due_ms is None or visit_count >= self._link_count:
            return WAIT_MS_MAX
        # Who is due and was not taken has not been heard of for a while.
        left_ms: int = due_ms - self._system.now_ms()
        return min(max(left_ms, 1_000), WAIT_MS_MAX)

    def _heard(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        heard = decode_facts(advertisement.manufacturer_data.get(COMPANY, b""))
        if heard is not None and heard.app == self._app:
            self._found[device.address] = (device, advertisement.rssi)
            self._turns.hear(device.address, heard.news, self._system.now_ms())
            self._changed.set()

    async def _visit(self, name: str) -> None:
        device, signal_dbm = self._found[name]
        session: Session | None = None
        try:
            port = await self._connect(device, signal_dbm)
            channel = GattChannel(port, MEDIUM.frame_size_max, self._system)
            hint = crc32(name.encode()) | 1
            session = await self._links.visit(MEDIUM, channel, False, hint, QUIET_MS)
            reason = session.close_reason
        except (OSError, EdgeError) as error:
            reason = str(error)
        sync = None if session is None else session.sync
        was_useful = sync is not None and sync.sent_count() + sync.received_count() > 0
        who = b"" if session is None or sync is None else session.neighbour
        self._turns.end(name, sync is not None, was_useful, self._system.now_ms(), who)
        if sync is None:
            self._system.log(f"ble {device.name or name}: {reason}")

    async def _connect(self, device: BLEDevice, signal_dbm: int) -> "BleakPort":
        port = BleakPort(None if signal_dbm == UNKNOWN_DBM else signal_dbm)
        async with self._calls:
            await self._listen(False)
            try:
                await port.open(device, self._bluez, self._client_backend)
            finally:
                await self._listen(True)
        return port

    async def _listen(self, on: bool) -> None:
        try:
            await (self._scanner.start() if on else self._scanner.stop())
        except (BleakError, EOFError) as error:
            raise OSError(f"{error}; is Bluetooth on, and bluetoothd running?") from error


class Inbox:
    """What has come over one connection: the half of a port for transport/gatt.py that reads."""

    def __init__(self) -> None:
        self._values: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._lost = ""

    async def read(self) -> bytes:
        while not self._values:
            if self._lost:
                raise OSError(self._lost)
            self._changed.clear()
            await self._changed.wait()
        return self._values.popleft()

    def _take(self, value: bytes) -> None:
        if len(self._values) < VALUE_COUNT_MAX:
            self._values.append(value)
            self._changed.set()
        else:
            self._lose("it sends more than there is room for")

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._changed.set()


class BleakPort(Inbox):
    """A connection through bleak, as a port for transport/gatt.py."""

    def __init__(self, signal_dbm: int | None) -> None:
        super().__init__()
        self.value_size = 0
        self.signal_dbm = signal_dbm
        self._client: BleakClient | None = None

    async def open(self, device: BLEDevice, bluez: Any, backend: Any) -> None:
        """Connect and subscribe; raises OSError."""
        client = BleakClient(
            device,
            lambda client: self._lose("the connection is gone"),
            timeout=CONNECT_S_MAX,
            bluez=bluez,
            backend=backend,
        )
        try:
            await client.connect()
            service = client.services.get_service(SERVICE_TEXT)
            theirs = service and service.get_characteristic(TO_PERIPHERAL_TEXT)
            if not theirs or not client.services.get_characteristic(TO_CENTRAL_TEXT):
                raise OSError("it has no service of ours")
            self._client, self._theirs = client, theirs
            await client.start_notify(TO_CENTRAL_TEXT, self._notified)
            self.value_size = min(theirs.max_write_without_response_size, VALUE_SIZE_MAX)
        except BaseException as error:
            await _quietly(client.disconnect)
            if isinstance(error, BleakError | TimeoutError | EOFError):
                raise OSError(str(error) or "does not answer") from error
            raise

    async def write(self, value: bytes) -> None:
        if self._lost or self._client is None:
            raise OSError(self._lost)
        try:
            await self._client.write_gatt_char(self._theirs, value, response=False)
        except (BleakError, EOFError) as error:
            raise OSError(str(error)) from error

    async def close(self) -> None:
        if self._client is not None:
            await _quietly(self._client.disconnect)

    def _notified(self, _: Any, value: bytearray) -> None:
        self._take(bytes(value))


async def _quietly(end: Callable[[], Any]) -> None:
    """End what may have ended already."""
    with suppress(BleakError, TimeoutError, EOFError, OSError):
        await end()
