"""
A board that visits other peers over Bluetooth LE: loaded by board/ble.py where `role` says so.

It listens, takes the next of those that are due (transport/turns.py), finds the service there,
and runs a link, one after the other. While it listens it can be visited itself.
"""

import bluetooth

from edge_peer.board import ble
from edge_peer.transport import advertisement
from edge_peer.transport.turns import Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATIENCE_MS = 1_000  # two boards that hear each other are not to call at once
SCAN_MS = 3_000
SCAN_INTERVAL_US, SCAN_WINDOW_US = 60_000, 30_000  # half of the time: the rest is for others
CONNECT_MS = 5_000
STEP_MS = 3_000  # for each question to a GATT server

SIGNAL_COUNT_MAX = 32  # of how many neighbours it is remembered how loud they were

# Events of `bluetooth`
_SCAN_DONE, _SERVICE, _SERVICES_DONE, _CHARACTERISTIC, _CHARACTERISTICS_DONE = 6, 9, 10, 11, 12
_DESCRIPTOR, _DESCRIPTORS_DONE, _WRITE_DONE = 13, 14, 17

_CLIENT_CONFIGURATION = b"\x02\x29"  # the descriptor 2902, as it travels
_NOTIFY_ME = b"\x01\x00"


class Central:
    def __init__(self, radio: "Any", links: "Any", system: "Any") -> None:
        self._radio, self._links, self._system = radio, links, system
        self._turns = Turns(links.local.entropy, PATIENCE_MS)
        self._signals: dict[Any, int] = {}
        self._scanned_ms: int | None = None

    async def visit(self) -> None:
        """Run a link to whoever is next, if anybody is; raises nothing."""
        radio, now_ms = self._radio, self._system.now_ms()
        heard, radio.heard = radio.heard, {}
        if len(self._signals) > SIGNAL_COUNT_MAX:
            self._signals = {}
        for name, (news, signal_dbm) in heard.items():
            self._turns.hear(name, news, now_ms)
            self._signals[name] = signal_dbm
        name = self._turns.begin(radio.store.arrival, now_ms)
        if name is None:
            self.scan(SCAN_MS)
            return
        self.scan(0)
        radio.advertise(False)
        session = None
        try:
            await self._join(name)
            radio.signal_dbm = self._signals.get(name)
        except OSError as error:
            self._system.log("ble %s: %s" % (advertisement.address_text(name[1]), error))
            await radio.close()
        else:
            session = await ble.run(radio, self._links, self._system, name, False)
        sync = None if session is None else session.sync
        was_useful = sync is not None and sync.sent_count() + sync.received_count() > 0
        who = b"" if session is None or sync is None else session.neighbour
        self._turns.end(name, sync is not None, was_useful, self._system.now_ms(), who)

    def scan(self, duration_ms: int) -> None:
        """Listen for so long, if nobody does; 0: stop."""
        now_ms = self._system.now_ms()
        listens = self._scanned_ms is not None and now_ms < self._scanned_ms
        if duration_ms and not listens:
            self._radio.ble.gap_scan(duration_ms, SCAN_INTERVAL_US, SCAN_WINDOW_US)
            self._scanned_ms = now_ms + duration_ms
        elif listens and not duration_ms:
            self._radio.ble.gap_scan(None)
            self._scanned_ms = None

    async def _join(self, name: "Any") -> None:
        """Connect, find the service, and ask to be notified; raises OSError."""
        radio, client = self._radio, self._radio.ble
        client.gap_connect(name[0], name[1], CONNECT_MS)
        due_ms = self._system.now_ms() + CONNECT_MS + STEP_MS
        while radio.connection is None:
            if self._system.now_ms() > due_ms:
                raise OSError("does not answer")
            await radio.wait(STEP_MS)
        if radio.visitor is not None:
            raise OSError("has called at the same time")
        connection = radio.connection
        client.gattc_exchange_mtu(connection)
        await self._answers(ble.MTU, ble.MTU)
        client.gattc_discover_services(connection, bluetooth.UUID(advertisement.SERVICE_TEXT))
        services = await self._answers(_SERVICE, _SERVICES_DONE)
        if not services:
            raise OSError("has no service of ours")
        start, end = services[0][2:4]
        client.gattc_discover_characteristics(connection, start, end)
        found = await self._answers(_CHARACTERISTIC, _CHARACTERISTICS_DONE)
        handles = {one[5]: one[3] for one in found}
        theirs = handles.get(advertisement.uuid_bytes(advertisement.TO_PERIPHERAL_TEXT))
        ours = handles.get(advertisement.uuid_bytes(advertisement.TO_CENTRAL_TEXT))
        if theirs is None or ours is None:
            raise OSError("its service lacks a characteristic")
        client.gattc_discover_descriptors(connection, ours, end)
        for one in await self._answers(_DESCRIPTOR, _DESCRIPTORS_DONE):
            if one[3] == _CLIENT_CONFIGURATION:
                client.gattc_write(connection, one[2], _NOTIFY_ME, 1)
                await self._answers(_WRITE_DONE, _WRITE_DONE)
        radio.theirs = theirs

    async def _answers(self, kind: int, end: int) -> "list[Any]":
        """Return the answers of one kind to the last question; raises OSError without an end."""
        radio = self._radio
        due_ms = self._system.now_ms() + STEP_MS
        found = []
        while True:
            while radio.answers:
                answer = radio.answers.popleft()
                if answer[0] == kind:
                    found.append(answer)
                if answer[0] == end:
                    return found
            if radio.connection is None:
                raise OSError("the connection is gone")
            if self._system.now_ms() > due_ms:
                raise OSError("does not answer a question")
            await radio.wait(STEP_MS)
