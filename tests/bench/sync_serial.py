"""
How long sync takes on a serial line of 250 bytes a second, in virtual time.

Two Sessions of the core over a modelled line: frames as they travel on a UART (COBS,
CRC-32), each direction at its own 250 B/s, no loss. Time begins when both sides have
opened the link and ends when what had to be told has arrived: the last message, or
the last document. Nothing here waits: the clock is a number.
"""

import heapq
import sys
from pathlib import Path

from endpoints import INSERT
from workload import changed, temperatures

from edge_peer.core.sync.frame import encode
from edge_peer.core.sync.link import DATA, MORE, OPEN, OPENED
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.core.sync.session import Session
from edge_peer.host.serial import MEDIUM
from edge_peer.security.record import RECORD

sys.path.append(str(Path(__file__).parents[1]))  # the helpers of the tests
from app import compute, seals_of  # noqa: E402
from peers import Peer  # noqa: E402

SLOW_BYTES_PER_S = 250
FAST_BYTES_PER_S = 1_000_000
DELAY_MS = 1  # of the wire itself
SETTLED_MS = 4_000  # after so long without a message nothing more will come: below the keep-alive


class Line:
    """Two sessions and the wire between them; `now_ms` moves as frames do."""

    def __init__(self, local, other, bytes_per_s):
        self.now_ms = 0
        self.opened_ms = self.message_ms = 0  # when the link was open, and the last DATA came
        self.byte_count = 0  # on the wire since the link was open, both ways
        self._bytes_per_s = bytes_per_s
        self._free_ms = [0, 0]  # when each side's transmitter is done
        self._moving = []  # (arrives at, order, receiver, frame, what it seals)
        self._order = 0
        self._sessions = [
            Session(local, MEDIUM, 0, self._on_event, hint=1),
            Session(other, MEDIUM, 0, self._on_event, waits=True),
        ]
        self._sealed = [seals_of(session) for session in self._sessions]

    def run(self):
        """Run until nothing has been said for a while."""
        while self.now_ms < self.message_ms + SETTLED_MS:
            for number, session in enumerate(self._sessions):
                compute(session, self.now_ms)
                session.handle_timeout(self.now_ms)
                for frame in session.frames_to_send(self.now_ms):
                    inside = self._sealed[number].pop(0) if frame[0] & RECORD else b""
                    self._transmit(number, frame, inside)
            times = [t for one in self._sessions if (t := one.deadline_ms()) is not None]
            due_ms = max(min(times), self.now_ms + 1)
            if self._moving and self._moving[0][0] <= due_ms:
                self.now_ms, _, receiver, frame, inside = heapq.heappop(self._moving)
                self._sessions[receiver].receive_frame(frame, self.now_ms)
                if inside and inside[0] & ~MORE == DATA:
                    self.message_ms = self.now_ms
            else:
                self.now_ms = due_ms
        return self

    def _transmit(self, sender, frame, inside):
        size = len(encode(frame))
        self.byte_count += size if inside and inside[0] not in (OPEN, OPENED) else 0
        begin_ms = max(self.now_ms, self._free_ms[sender])
        self._free_ms[sender] = begin_ms + size * 1_000 / self._bytes_per_s
        self._order += 1
        arrival_ms = int(self._free_ms[sender]) + DELAY_MS
        heapq.heappush(self._moving, (arrival_ms, self._order, 1 - sender, frame, inside))

    def _on_event(self, session, event):
        assert not session.is_closed(), session.close_reason
        session.set_active(True)
        self.opened_ms = self.message_ms = self.now_ms


def measure(readings, plan):
    """Return {figure: number}."""
    board, big = Peer("board"), Peer("big peer", WANTS_ALL)
    board.executor.execute(INSERT, {"new": readings})
    linked(board, big, FAST_BYTES_PER_S)
    idle = linked(board, big, SLOW_BYTES_PER_S)
    news = temperatures(changed(readings, plan.changed_count, plan.seed))
    board.executor.execute(INSERT, {"new": news})
    ten = linked(board, big, SLOW_BYTES_PER_S)
    return {
        "serial_idle_reconnect_ms": idle.message_ms - idle.opened_ms,
        "serial_ten_changed_ms": ten.message_ms - ten.opened_ms,
        "serial_handshake_ms": idle.opened_ms,
    }


def linked(board, big, bytes_per_s):
    line = Line(board.links.local, big.links.local, bytes_per_s).run()
    assert big.store.known(board.store.author) == board.store.own_seq
    return line
