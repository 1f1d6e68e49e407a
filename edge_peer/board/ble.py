"""
Bluetooth LE as a link, on MicroPython's own `bluetooth` module.

    {"kind": "ble", "role": "peripheral", "interval_ms": 250}

role: "peripheral" waits to be visited, "central" visits who has news (board/ble_central.py),
"both" does both; interval_ms: between two advertisements. A board's radio holds one connection,
as a Pico W can hold no more: a board takes one link at a time, until nothing is left to say.

The interrupt handler only copies: values into a ring with room for all that this side gives
credit for (transport/gatt.py), answers of a GATT server into a short list, the rest into a
variable each. `wait` is how everything else hears of them.
"""

import asyncio
from binascii import crc32
from collections import deque

import bluetooth

from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.core.sync.session import Medium
from edge_peer.transport import advertisement
from edge_peer.transport.gatt import VALUE_SIZE_MAX, VALUE_SIZE_MIN, WINDOW, GattChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Two frames make a message of the largest size, as on its other links: heap is scarce.
MEDIUM = Medium("ble", 4, 523, 1024, 5_000, 100)
QUIET_MS = 1_500  # silence after which a link makes room: longer than a lost frame takes
ROLES = ("peripheral", "central", "both")

INTERVAL_MS = 250
NEWS_MS = 1_000  # how often to look whether the advertisement is still true
FULL_MS_MAX = 5_000  # a radio that takes nothing for so long has lost its connection
RETRY_MS = 2  # while the radio has no room for a value

# Events of `bluetooth`
CENTRAL_CONNECT, CENTRAL_DISCONNECT, WRITTEN, HEARD = 1, 2, 3, 5
CONNECT, DISCONNECT, NOTIFIED, MTU = 7, 8, 18, 21
_NO_ROOM = (12, 16, 114)  # ENOMEM, EBUSY, EALREADY: the stack's buffers are full

_WRITE_NO_RESPONSE, _WRITE, _NOTIFY = 0x04, 0x08, 0x10
_ANSWER_COUNT_MAX = 32  # of a GATT server, between two turns of the event loop


def label(settings: "dict[str, Any]") -> str:
    return "ble"


def finds(settings: "dict[str, Any]") -> bool:
    """Return whether `keep` finds the neighbours, or `connect` has one."""
    return True


async def keep(settings: "dict[str, Any]", links: "Any", system: "Any") -> None:
    """Be visited, and visit, for ever. Raises ConfigError."""
    role = settings.get("role", "peripheral")
    if role not in ROLES:
        raise ConfigError("the role of a ble link is one of " + ", ".join(ROLES))
    interval_ms = 0 if role == "central" else settings.get("interval_ms", INTERVAL_MS)
    radio = Radio(links.local, system, interval_ms)
    central = None
    if role != "peripheral":
        from edge_peer.board.ble_central import Central

        central = Central(radio, links, system)
    while True:
        radio.begin()
        while radio.visitor is None:
            if central is not None:
                await central.visit()
                radio.begin()
            radio.advertise()
            await radio.wait(NEWS_MS)
        if central is not None:
            central.scan(0)
        session = await run(radio, links, system, radio.visitor, True)
        if session is not None and not session.is_idle():
            radio.cut_count += 1


async def run(radio: "Radio", links: "Any", system: "Any", name: "Any", waits: bool) -> "Any":
    """Run the link of a connection; return its session, None if it failed."""
    channel = GattChannel(radio, MEDIUM.frame_size_max, system)
    hint = crc32(name[1]) & 0xFFFFFFFF | 1
    session = None
    try:
        session = await links.visit(MEDIUM, channel, waits, hint, QUIET_MS)
        reason = session.close_reason
    except EdgeError as error:
        reason = str(error)
    system.log("ble %s: %s" % (advertisement.address_text(name[1]), reason))
    return session


class Radio:
    """The board's radio and its one connection: a port for transport/gatt.py."""

    def __init__(self, local: "Any", system: "Any", interval_ms: int) -> None:
        """interval_ms: of advertisements, 0 for none."""
        self.value_size = VALUE_SIZE_MIN
        self.signal_dbm: int | None = None
        self.visitor: Any = None  # (address type, address) of who has connected to us
        self.connection: int | None = None
        self.cut_count = 0  # visits that ended too early: a reason for another one
        self.theirs = 0  # the handle to write to at the other side; 0: we are the GATT server
        self.answers = deque((), _ANSWER_COUNT_MAX, 1)
        self.heard: dict[Any, Any] = {}  # see ble_central.py
        self.app = advertisement.app_hash(local.keyring.app_id)
        self.store = local.store
        self.ble = ble = bluetooth.BLE()
        self._system, self._interval_ms = system, interval_ms
        self._name = advertisement.encode_name(local.keyring.certificate.name)
        self._flag = asyncio.ThreadSafeFlag()
        self._values = deque((), WINDOW + 8, 1)  # with room for credit beside data
        self._advertised: Any = None
        ble.active(True)
        ble.config(mtu=VALUE_SIZE_MAX + 3)
        ble.irq(self._irq)
        ((self._in, self._out),) = ble.gatts_register_services((_service(),))
        ble.gatts_set_buffer(self._in, VALUE_SIZE_MAX)

    def begin(self) -> None:
        """Be somebody who is not connected."""
        while self._values:
            self._values.popleft()
        while self.answers:
            self.answers.popleft()
        if self.connection is None:
            self.visitor, self.theirs = None, 0
            self.value_size, self.signal_dbm = VALUE_SIZE_MIN, None

    def advertise(self, on: bool = True) -> None:
        """Tell the air what there is, or nothing more."""
        news = None
        if on and self._interval_ms:
            news = self.store.arrival + self.cut_count & 0xFFFF
        if self.connection is None and news != self._advertised:
            if news is None:
                self.ble.gap_advertise(None)
            else:
                payload = advertisement.encode(self.app, news)
                self.ble.gap_advertise(self._interval_ms * 1000, payload, resp_data=self._name)
            self._advertised = news

    async def wait(self, timeout_ms: int) -> None:
        """Wait until anything has happened, at most so long."""
        try:
            await asyncio.wait_for_ms(self._flag.wait(), timeout_ms)
        except asyncio.TimeoutError:
            pass

    # The port

    async def read(self) -> bytes:
        while not self._values:
            if self.connection is None:
                raise OSError("the connection is gone")
            await self._flag.wait()
        return self._values.popleft()

    async def write(self, value: bytes) -> None:
        due_ms = self._system.now_ms() + FULL_MS_MAX
        while True:
            if self.connection is None:
                raise OSError("the connection is gone")
            try:
                if self.theirs:
                    self.ble.gattc_write(self.connection, self.theirs, value, 0)
                else:
                    self.ble.gatts_notify(self.connection, self._out, value)
                return
            except OSError as error:
                if error.errno not in _NO_ROOM or self._system.now_ms() > due_ms:
                    raise
            await asyncio.sleep_ms(RETRY_MS)

    async def close(self) -> None:
        due_ms = self._system.now_ms() + FULL_MS_MAX
        if self.connection is not None:
            try:
                self.ble.gap_disconnect(self.connection)
            except OSError:
                pass  # it is gone already, and the event on its way
        while self.connection is not None and self._system.now_ms() < due_ms:
            await self.wait(NEWS_MS)
        self.connection = None

    # In the radio's time

    def _irq(self, event: int, data: "Any") -> None:
        if event == WRITTEN:
            if data[0] == self.connection:
                self._values.append(self.ble.gatts_read(data[1]))
        elif event == NOTIFIED:
            self._values.append(bytes(data[2]))
        elif event == HEARD:
            self._hear(data)
            return
        elif event in (CENTRAL_CONNECT, CONNECT):
            self.connection = data[0]
            self._advertised = None  # the radio stops by itself
            if event == CENTRAL_CONNECT:
                self.visitor = (data[1], bytes(data[2]))
        elif event in (CENTRAL_DISCONNECT, DISCONNECT):
            if data[0] == self.connection or event == DISCONNECT:
                self.connection = None
        elif event == MTU:
            self.value_size = max(VALUE_SIZE_MIN, min(data[1] - 3, VALUE_SIZE_MAX))
        if event > CONNECT and event not in (DISCONNECT, NOTIFIED):
            self.answers.append((event,) + tuple([_copied(one) for one in data]))
        self._flag.set()

    def _hear(self, data: "Any") -> None:
        heard = advertisement.decode(data[4])
        if heard is not None and heard.app == self.app:
            if len(self.heard) < _ANSWER_COUNT_MAX:
                self.heard[(data[0], bytes(data[1]))] = (heard.news, data[3])
            self._flag.set()


def _copied(one: "Any") -> "Any":
    return one if isinstance(one, int) else bytes(one)


def _service() -> "Any":
    uuid = bluetooth.UUID
    incoming = (uuid(advertisement.TO_PERIPHERAL_TEXT), _WRITE_NO_RESPONSE | _WRITE)
    outgoing = (uuid(advertisement.TO_CENTRAL_TEXT), _NOTIFY)
    return uuid(advertisement.SERVICE_TEXT), (incoming, outgoing)
