"""
One HTTP connection, with bounds that uvicorn leaves open.

 1. The head of a request comes whole within HEAD_WAIT_S, from the first connect on, and has
    at most HEAD_BYTES_MAX: ten thousand clients that send a byte a minute hold nothing.
 2. Who does not read its answer for SENT_WAIT_S is cut off.
 3. One address has at most CONNECTIONS_OF_ADDRESS_MAX connections, all together have
    CONNECTION_COUNT_MAX; a proxy that is trusted stands for many, and may have all. Where all
    are taken the one whose head has been awaited longest gives way: a client that means
    well has sent its own by then.
 4. What is no HTTP at all is answered in JSON like every other mistake.

The body's bounds are those who read it (requests.py, forms.py, blobs.py).
"""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from edge_peer.bigpeer.answers import answer, encode
from edge_peer.bigpeer.refusal import Refusal

CONNECTION_COUNT_MAX = 1_000  # each open page is one
CONNECTIONS_OF_ADDRESS_MAX = 250
HEAD_BYTES_MAX = 32_768
HEAD_WAIT_S = 10
SENT_WAIT_S = 60


class Connection(HttpToolsProtocol):
    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_timer: asyncio.TimerHandle | None = None
        self._sent_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = True
        self._awaited_s = 0.0  # since when

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > CONNECTION_COUNT_MAX:
            self._make_room()
        if self._is_one_too_many():
            text = "there are too many connections; close some, or come back later"
            self._refuse(Refusal(503, "busy", text, retry_after_s=HEAD_WAIT_S))

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        super().connection_lost(exc)

    # The head

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX + len(data):
                text = f"the head of a request has at most {HEAD_BYTES_MAX} bytes"
                self._refuse(Refusal(431, "size", text))
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refusal(400, "request", "this is no HTTP request"))

    def handle_websocket_upgrade(self) -> None:
        self._cancel_timers()  # the WebSocket has its own
        super().handle_websocket_upgrade()

    # The answer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sent_timer = self.loop.call_later(SENT_WAIT_S, self._cut_off)

    def resume_writing(self) -> None:
        if self._sent_timer is not None:
            self._sent_timer.cancel()
        super().resume_writing()

    def _cut_off(self) -> None:
        """End the connection, and what the kernel still holds of the answer with it."""
        socket = self.transport.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _await_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._is_in_head, self._head_bytes = True, 0
        self._awaited_s = self.loop.time()
        self._head_timer = self.loop.call_later(HEAD_WAIT_S, self._give_up)

    def _give_up(self) -> None:
        self._refuse(Refusal(408, "request", f"no request came whole within {HEAD_WAIT_S} s"))

    def _make_room(self) -> None:
        waiting = [
            one
            for one in self.connections
            if isinstance(one, Connection) and one._is_in_head and one is not self
        ]
        if waiting:
            slowest = min(waiting, key=lambda one: one._awaited_s)
            self.connections.discard(slowest)  # it counts no more, also before it has gone
            slowest.transport.abort()

    def _is_one_too_many(self) -> bool:
        if len(self.connections) > CONNECTION_COUNT_MAX:
            return True
        address = self.client[0] if self.client else None
        if address is None or address in _trusted(self.config):
            return False
        same = [
            one for one in self.connections if (getattr(one, "client", None) or [0])[0] == address
        ]
        return len(same) > CONNECTIONS_OF_ADDRESS_MAX

    def _refuse(self, refusal: Refusal) -> None:
        if self.transport.is_closing():
            return
        body = encode(answer(None, error=refusal.error))
        headers = {"content-type": "application/json", "connection": "close"} | refusal.headers
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = "".join([*lines, f"content-length: {len(body)}\r\n\r\n"]).encode()
        self.transport.write(STATUS_LINE[refusal.status] + head + body)
        self.transport.close()

    def _cancel_timers(self) -> None:
        for timer in (self._head_timer, self._sent_timer):
            if timer is not None:
                timer.cancel()


def _trusted(config: Any) -> Any:
    """Return what answers `address in …`."""
    from uvicorn.middleware.proxy_headers import _TrustedHosts

    return _TrustedHosts(config.forwarded_allow_ips) if config.proxy_headers else ()
