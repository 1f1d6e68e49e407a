"""
MicroPython's `bluetooth` for the unix port, which has none: its radio is in another process.

Lies beside an application as bluetooth.py; `bluetooth.port` beside it holds the TCP port of a
sidecar (sidecar.py, which also has the protocol). As on a board, a call returns at once or
raises OSError, and events come between two instructions of others: here, while they wait.
"""

import asyncio
import json
import select
import socket
from binascii import hexlify, unhexlify

_ANSWER_MS_MAX = 5_000
_EIO = 5
_RECEIVE_BYTES = 256  # it shares the board's heap, where a radio does not
_WRITTEN, _HEARD = 3, 5


class UUID:
    """Of a number of 16 bits, or of text; as bytes it is in the order of the air."""

    def __init__(self, value):
        if isinstance(value, int):
            self._bytes = value.to_bytes(2, "little")
        elif isinstance(value, str):
            self._bytes = bytes(reversed(unhexlify(value.replace("-", ""))))
        else:
            self._bytes = bytes(value)

    def __eq__(self, other):
        return isinstance(other, UUID) and self._bytes == other._bytes

    def __hash__(self):
        return hash(self._bytes)

    def __iter__(self):
        return iter(self._bytes)

    def __len__(self):
        return len(self._bytes)


class BLE:
    _one = None

    def __new__(cls):
        if BLE._one is None:
            BLE._one = object.__new__(cls)
            BLE._one._socket = None
        return BLE._one

    def active(self, on=None):
        if on and self._socket is None:
            self._start()
        return self._socket is not None

    def config(self, *names, **values):
        if names:
            return {"mac": (0, bytes(6)), "mtu": self._mtu}[names[0]]
        if "mtu" in values:
            self._mtu = values["mtu"]
            self._call("mtu", self._mtu)

    def irq(self, handler):
        self._handler = handler

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        self._call("advertise", interval_us, _hex(adv_data or b""), _hex(resp_data or b""))

    def gap_scan(self, duration_ms, interval_us=1280000, window_us=11250, active=False):
        self._call("scan", duration_ms)

    def gap_connect(self, addr_type, addr, scan_duration_ms=2000):
        self._call("connect", addr_type, _hex(addr), scan_duration_ms)

    def gap_disconnect(self, conn_handle):
        self._call("disconnect", conn_handle)

    def gatts_register_services(self, services):
        plain = [
            [_hex(uuid), [[_hex(one[0]), one[1]] for one in characteristics]]
            for uuid, characteristics in services
        ]
        return tuple([tuple(handles) for handles in self._call("register", plain)])

    def gatts_set_buffer(self, value_handle, len, append=False):
        self._sizes[value_handle] = len

    def gatts_read(self, value_handle):
        return self._values.get(value_handle, b"")

    def gatts_notify(self, conn_handle, value_handle, data):
        self._call("notify", conn_handle, value_handle, _hex(data))

    def gattc_exchange_mtu(self, conn_handle):
        self._call("exchange_mtu", conn_handle)

    def gattc_discover_services(self, conn_handle, uuid):
        self._call("services", conn_handle, _hex(uuid))

    def gattc_discover_characteristics(self, conn_handle, start_handle, end_handle):
        self._call("characteristics", conn_handle, start_handle, end_handle)

    def gattc_discover_descriptors(self, conn_handle, start_handle, end_handle):
        self._call("descriptors", conn_handle, start_handle, end_handle)

    def gattc_write(self, conn_handle, value_handle, data, mode=0):
        self._call("write", conn_handle, value_handle, _hex(data), bool(mode))

    # The other process

    def _start(self):
        with open("bluetooth.port") as file:
            port = int(file.read())
        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._part = b""
        self._events, self._values, self._sizes = [], {}, {}
        self._handler = None
        self._mtu = 256
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        while True:
            self._receive(0)
            while self._events:
                self._tell(self._events.pop(0))
            await asyncio.sleep_ms(1)

    def _call(self, *call):
        self._socket.send(json.dumps(call).encode() + b"\n")
        self._answer = None
        while self._answer is None:
            if not self._receive(_ANSWER_MS_MAX):
                raise OSError(_EIO)
        kind, value = self._answer
        if kind == "!":
            raise OSError(value)
        return value

    def _receive(self, timeout_ms):
        """Take what has come; return whether anything has."""
        if not self._poll.poll(timeout_ms):
            return False
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise OSError(_EIO)
        self._part += data
        while b"\n" in self._part:
            end = self._part.index(b"\n")
            message, self._part = json.loads(self._part[:end]), self._part[end + 1 :]
            if message[0] in ("=", "!"):
                self._answer = message
            else:
                self._events.append(message)
        return True

    def _tell(self, message):
        event = message[0]
        data = [unhexlify(one) if isinstance(one, str) else one for one in message[1:]]
        if event == _WRITTEN:
            self._values[data[1]] = data[2][: self._sizes.get(data[1], 20)]
            data.pop()
        if self._handler is not None:
            self._handler(event, tuple(data))


def _hex(data):
    return hexlify(bytes(data)).decode()
