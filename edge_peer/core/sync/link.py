"""
One link to one neighbour: open it, keep it alive, carry messages in order, once.

Frames go in and out; what carries them may lose, repeat or delay any of them
(a UART, a radio, an MQTT broker that delivers yesterday's). This module performs
no I/O and reads no clock. Whoever owns the wire (edge_peer/transport) drives it:

    link.receive_frame(frame, now_ms)  a frame arrived
    link.next_event()                  what happened, None when there is no more
    link.frames_to_send(now_ms)        frames for the wire, [] if none
    link.deadline_ms()                 when to call handle_timeout, None for never
    link.handle_timeout(now_ms)        that time has come

An acknowledgement leaves with `frames_to_send`. Take the events first and handle
them, durably where that matters: then what is acknowledged is handled, and no other
acknowledgement is needed anywhere above.

Frames (SPEC.md, "Link"), integers big-endian:

    OPEN, OPENED   kind u8 | version u8 | nonce u32 | echo u32 | window u8 |
                   frame size varint | message size varint | identity
    DATA           kind u8, + 0x80 if the message goes on | seq u8 | ack u8 | payload
    ACK            kind u8 | ack u8
    CLOSE          kind u8

On every wire each of these frames travels sealed, with keys of this link alone
(edge_peer/security/channel.py): whoever can change the wire can lose them, and nothing
else, and no frame of an earlier link is one of this.

Each side draws a nonce; a link is open once the other has echoed it, or has said anything
but OPEN, which it only does when it has. Lost frames are sent again from the first one on
(go-back-N); the timer follows RFC 6298, and a repeated acknowledgement is answered at once.
Where frames are lost those that follow are shorter: one of 256 bytes hardly ever gets
through a line that damages one byte in a hundred, one of 70 does every second time.
"""

from collections import namedtuple

from edge_peer.core.errors import FormatError, LocalProtocolError, RemoteProtocolError
from edge_peer.core.packing import Reader, put_varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Event: TypeAlias = "Opened | MessageReceived | Closed"

VERSION = 1
WINDOW = 4  # frames in flight: bounds what either side holds for the other
IDENTITY_BYTES_MAX = 128
KEEPALIVE_MS = 5_000
SILENCE_FACTOR = 3  # keep-alives missed before the link counts as gone
OPEN_MS_FIRST = 500  # OPEN is repeated after this, then after half as long again each time
OPEN_MS_MAX = 8_000
ACK_DELAY_MS = 100  # an acknowledgement waits this long for data to travel with
RETRANSMIT_MS_FIRST = 1_000  # RFC 6298, 2.1
RETRANSMIT_MS_MIN = 250  # above ACK_DELAY_MS and a frame of 256 bytes at 19,200 baud
RETRANSMIT_MS_MAX = 8_000
PATIENCE_FACTOR_MAX = 2  # a timer grows to that many times what round trips say
RETRIES_MAX = 20  # silence ends a link earlier; this is for who talks and takes nothing
FRAGMENT_SIZE_MIN = 48  # bytes of a message: of a shorter frame more than a third is heads
FRAGMENT_PARTS_MAX = 8  # a fragment of the full size in so many, at most
GROWS_AFTER = 16  # frames in a row that needed no repetition

# Frame kinds. Zero is left out so that a line held low never parses as a frame.
OPEN = 1
OPENED = 2
DATA = 3
ACK = 4
CLOSE = 5
MORE = 0x80

HEADER_SIZE = 3  # of DATA: what a frame needs beside its payload

# States, as strings so that a log line needs no lookup.
OPENING = "opening"
ESTABLISHED = "established"
CLOSED = "closed"

# The whole protocol: state -> frame kinds that are acted on. Any other known kind
# is ignored; an unknown kind closes the link.
ACCEPTS = {
    OPENING: (OPEN, OPENED, DATA, ACK),
    ESTABLISHED: (OPEN, OPENED, DATA, ACK, CLOSE),
    CLOSED: (),
}

Opened = namedtuple("Opened", ("identity",))
MessageReceived = namedtuple("MessageReceived", ("message",))
Closed = namedtuple("Closed", ("reason",))


class Link:
    """`identity` is handed to the other side's Opened; what it means is not this module's."""

    def __init__(
        self,
        identity: bytes,
        nonce: int,
        now_ms: int,
        frame_size_max: int = 256,
        message_size_max: int = 1024,
        keepalive_ms: int = KEEPALIVE_MS,
        retransmit_ms_min: int = RETRANSMIT_MS_MIN,
        ack_delay_ms: int = ACK_DELAY_MS,
    ) -> None:
        """
        nonce: 32 random bits. Sizes in bytes: what this side is ready to receive.
        ack_delay_ms: how long an acknowledgement may wait for data to travel with.
        """
        assert 0 < nonce < 1 << 32 and len(identity) <= IDENTITY_BYTES_MAX
        self.state = OPENING
        self.message_size_max = message_size_max  # after opening: the smaller of both sides'
        self.frame_count = 0  # of data, without those that were sent again
        self.retransmitted_count = 0
        self.stale_count = 0
        self._identity = identity
        self._nonce = nonce
        self._echo = 0
        self._limits: tuple[int, int, int, bytes] | None = None  # what their OPEN said
        self._window = WINDOW
        self._frame_size_max = frame_size_max
        self._receive_max = message_size_max
        self._keepalive_ms = keepalive_ms
        self._events: list[Event] = []
        self._answers: list[bytes] = []  # OPEN, OPENED and CLOSE frames that wait to leave
        self._open_due_ms = now_ms
        self._open_interval_ms = OPEN_MS_FIRST
        self._heard_ms = now_ms
        self._spoke_ms = now_ms
        # Sending. In flight is what was sent and not yet acknowledged.
        self._outgoing = b""  # the message whose fragments leave, and how far they are
        self._outgoing_at = 0
        self._fragment_size = 0
        self._is_lossy = False
        self._intact_count = 0  # frames in a row
        self._in_flight: list[tuple[int, bytes]] = []
        self._next_seq = 0
        self._resend = False
        self._resent = False  # since the last progress
        self._retries = 0
        self._retransmit_ms_min = retransmit_ms_min
        self._ack_delay_ms = ack_delay_ms
        self._timer_ms = max(RETRANSMIT_MS_FIRST, retransmit_ms_min)
        self._smoothed_ms: int | None = None
        self._variation_ms = 0
        self._sent_ms = now_ms  # when the oldest frame in flight left
        # Receiving
        self._expected = 0
        self._part = bytearray()
        self._unacknowledged_count = 0
        self._ack_due_ms: int | None = None

    @property
    def salt(self) -> bytes:
        """8 bytes of an open link, the same at both ends, and of no other one."""
        both = sorted([self._nonce, self._echo])
        return both[0].to_bytes(4, "big") + both[1].to_bytes(4, "big")

    def expect_losses(self) -> None:
        """The wire is known to lose frames: begin with short ones. To be said before it is open."""
        self._is_lossy = True

    def receive_frame(self, frame: bytes, now_ms: int) -> None:
        """Take one frame; raise RemoteProtocolError, closed, if it breaks the protocol."""
        if self.state == CLOSED or not frame:
            return
        try:
            self._receive(Reader(frame), now_ms)
        except RemoteProtocolError as error:
            self.close(str(error))
            raise

    def can_send(self) -> bool:
        """Return whether `send_message` would take a message: the window has room for its start."""
        is_idle = self.state == ESTABLISHED and not self._outgoing
        return is_idle and len(self._in_flight) < self._window

    def is_idle(self) -> bool:
        """Return whether all that was sent has been acknowledged, also after the end."""
        return not self._outgoing and not self._in_flight

    def send_message(self, message: bytes) -> None:
        if not self.can_send():
            raise LocalProtocolError("send_message on a link that is %s or full" % self.state)
        assert 0 < len(message) <= self.message_size_max
        self._outgoing = message

    def close(self, reason: str) -> None:
        """Say goodbye; closing a closed link does nothing."""
        if self.state == ESTABLISHED:
            self._answers.append(bytes([CLOSE]))
        if self.state != CLOSED:
            self.state = CLOSED
            self._events.append(Closed(reason))

    def probe(self) -> None:
        """Ask the other side of an open link to say anything at all."""
        if self.state == ESTABLISHED:
            self._answers.append(self._opening(OPEN))

    def next_event(self) -> "Event | None":
        """Return the oldest unread event, or None."""
        return self._events.pop(0) if self._events else None

    def frames_to_send(self, now_ms: int) -> "list[bytes]":
        """Hand over every frame that may leave now."""
        if self.state == OPENING and now_ms >= self._open_due_ms:
            self._answers.append(self._opening(OPEN))
            self._open_due_ms = now_ms + self._open_interval_ms
            self._open_interval_ms = min(self._open_interval_ms * 3 // 2, OPEN_MS_MAX)
        frames, self._answers = self._answers, []
        if self.state == ESTABLISHED:
            frames += self._data_frames(now_ms)
            if not frames and self._ack_due_ms is not None and now_ms >= self._ack_due_ms:
                frames.append(bytes([ACK]) + self._ack())
        if frames:
            self._spoke_ms = now_ms
        return frames

    def deadline_ms(self) -> "int | None":
        """Return the time at which handle_timeout is due, or None."""
        if self.state == CLOSED:
            return None
        if self.state == OPENING:
            return self._open_due_ms
        deadline = min(
            self._spoke_ms + self._keepalive_ms,
            self._heard_ms + SILENCE_FACTOR * self._keepalive_ms,
        )
        if self._ack_due_ms is not None:
            deadline = min(deadline, self._ack_due_ms)
        if self._in_flight:
            deadline = min(deadline, self._sent_ms + self._timer_ms)
        return deadline

    def handle_timeout(self, now_ms: int) -> None:
        """Do what is due at `now_ms`; calling early or twice is harmless."""
        if self.state != ESTABLISHED:
            return
        if now_ms - self._heard_ms >= SILENCE_FACTOR * self._keepalive_ms:
            self.close("silent")
        elif self._in_flight and now_ms - self._sent_ms >= self._timer_ms:
            self._retry(now_ms)
        elif now_ms - self._spoke_ms >= self._keepalive_ms:
            self._ack_due_ms = now_ms

    # Receiving

    def _receive(self, reader: Reader, now_ms: int) -> None:
        first = reader.byte()
        kind = first & ~MORE
        if kind not in (OPEN, OPENED, DATA, ACK, CLOSE) or (first & MORE and kind != DATA):
            raise RemoteProtocolError("frame kind %d is not known here" % first)
        if kind not in ACCEPTS[self.state]:
            self.stale_count += 1
        elif kind in (OPEN, OPENED):
            self._receive_opening(kind, reader, now_ms)
        elif self.state == OPENING and self._limits is None:
            self.stale_count += 1
        else:
            if self.state == OPENING:  # it has had our nonce, or it would not say this
                self._establish(now_ms)
            self._heard_ms = now_ms
            if kind == DATA:
                self._receive_data(first, reader, now_ms)
            elif kind == ACK:
                self._receive_ack(reader.byte(), True, now_ms)
            else:
                self.state = CLOSED
                self._events.append(Closed("closed by the other side"))

    def _receive_opening(self, kind: int, reader: Reader, now_ms: int) -> None:
        version = reader.byte()
        if version != VERSION:
            raise RemoteProtocolError("link version %d, this side speaks %d" % (version, VERSION))
        nonce = int.from_bytes(reader.take(4), "big")
        echo = int.from_bytes(reader.take(4), "big")
        if self.state == ESTABLISHED:
            if nonce == self._echo:
                self._heard_ms = now_ms
                if kind == OPEN:
                    self._answers.append(self._opening(OPENED))
            elif kind == OPEN:
                self.state = CLOSED  # no goodbye: it knows nothing of this link
                self._events.append(Closed("the other side started again"))
            return
        if kind == OPENED and echo != self._nonce:
            self.stale_count += 1
            return
        self._echo = nonce
        self._limits = _limits(reader)
        if echo != self._nonce:
            self._open_due_ms = now_ms  # answer with its echo
            return
        self._establish(now_ms)
        if kind == OPEN:
            self._ack_due_ms = now_ms + ACK_DELAY_MS  # that, or DATA, says that we are open

    def _establish(self, now_ms: int) -> None:
        assert self._limits is not None
        window, frame_size, message_size, identity = self._limits
        self._window = min(WINDOW, window)
        self._frame_size_max = min(self._frame_size_max, frame_size)
        self._fragment_size = self._frame_size_max - HEADER_SIZE
        if self._is_lossy:
            self._fragment_size = self._fragment_size_min()
        self.message_size_max = min(self._receive_max, message_size)
        self._heard_ms = self._spoke_ms = now_ms
        self.state = ESTABLISHED
        self._events.append(Opened(identity))

    def _receive_data(self, first: int, reader: Reader, now_ms: int) -> None:
        seq = reader.byte()
        self._receive_ack(reader.byte(), False, now_ms)
        self._unacknowledged_count += 1
        if seq != self._expected:
            self._ack_due_ms = now_ms  # repeated, or behind a gap: say where we are
            return
        self._expected = (seq + 1) & 255
        if self._ack_due_ms is None:
            self._ack_due_ms = now_ms + self._ack_delay_ms
        if 2 * self._unacknowledged_count >= self._window:
            self._ack_due_ms = now_ms
        self._part += reader.data[reader.position :]
        if len(self._part) > self._receive_max:
            raise RemoteProtocolError("message above %d bytes" % self._receive_max)
        if not first & MORE:
            message, self._part = bytes(self._part), bytearray()
            self._events.append(MessageReceived(message))

    def _receive_ack(self, ack: int, alone: bool, now_ms: int) -> None:
        """`ack` is the next seq that the other side expects."""
        acknowledged = (ack - (self._next_seq - len(self._in_flight))) & 255
        if acknowledged > len(self._in_flight):
            return  # older than the last one
        if acknowledged:
            if not self._retries and not self._resent:
                self._measure(now_ms - self._sent_ms)
                self._grow(acknowledged)
            self._in_flight = self._in_flight[acknowledged:]
            self._sent_ms = now_ms
            self._retries = 0
            self._resent = False
            self._timer_ms = self._patience_ms()
        elif alone and self._in_flight and not self._resent:
            self._resend = self._resent = True
            self._shrink()

    def _measure(self, round_trip_ms: int) -> None:
        """RFC 6298, 2.2 and 2.3, in integers."""
        if self._smoothed_ms is None:
            self._smoothed_ms = round_trip_ms
            self._variation_ms = round_trip_ms // 2
        else:
            difference = abs(self._smoothed_ms - round_trip_ms)
            self._variation_ms = (3 * self._variation_ms + difference) // 4
            self._smoothed_ms = (7 * self._smoothed_ms + round_trip_ms) // 8

    def _patience_ms(self) -> int:
        if self._smoothed_ms is None:
            return max(RETRANSMIT_MS_FIRST, self._retransmit_ms_min)
        timer_ms = self._smoothed_ms + 4 * self._variation_ms + ACK_DELAY_MS
        return max(min(timer_ms, RETRANSMIT_MS_MAX), self._retransmit_ms_min)

    # Sending

    def _grow(self, intact_count: int) -> None:
        self._intact_count += intact_count
        if self._intact_count >= GROWS_AFTER:
            self._intact_count = 0
            self._fragment_size = min(2 * self._fragment_size, self._frame_size_max - HEADER_SIZE)

    def _shrink(self) -> None:
        self._intact_count = 0
        self._fragment_size = max(self._fragment_size // 2, self._fragment_size_min())

    def _fragment_size_min(self) -> int:
        whole = self._frame_size_max - HEADER_SIZE
        return min(max(FRAGMENT_SIZE_MIN, whole // FRAGMENT_PARTS_MAX), whole)

    def _next_fragment(self) -> "tuple[int, bytes]":
        end = self._outgoing_at + self._fragment_size
        fragment = self._outgoing[self._outgoing_at : end]
        if end < len(self._outgoing):
            self._outgoing_at = end
            return DATA | MORE, fragment
        self._outgoing, self._outgoing_at = b"", 0
        return DATA, fragment

    def _data_frames(self, now_ms: int) -> "list[bytes]":
        frames = []
        if self._resend:
            self._resend = False
            self.retransmitted_count += len(self._in_flight)
            self._sent_ms = now_ms
            seq = self._next_seq - len(self._in_flight)
            for kind, payload in self._in_flight:
                frames.append(self._data(kind, seq, payload))
                seq += 1
        while self._outgoing and len(self._in_flight) < self._window:
            if not self._in_flight:
                self._sent_ms = now_ms
            kind, payload = self._next_fragment()
            frames.append(self._data(kind, self._next_seq, payload))
            self._in_flight.append((kind, payload))
            self._next_seq = (self._next_seq + 1) & 255
            self.frame_count += 1
        return frames

    def _data(self, kind: int, seq: int, payload: bytes) -> bytes:
        return bytes([kind, seq & 255]) + self._ack() + payload

    def _ack(self) -> bytes:
        self._ack_due_ms = None
        self._unacknowledged_count = 0
        return bytes([self._expected])

    def _retry(self, now_ms: int) -> None:
        self._retries += 1
        if self._retries > RETRIES_MAX:
            self.close("no answer")
            return
        patience_ms = PATIENCE_FACTOR_MAX * self._patience_ms()
        self._timer_ms = min(2 * self._timer_ms, patience_ms, RETRANSMIT_MS_MAX)
        self._timer_ms = max(self._timer_ms, self._retransmit_ms_min)
        self._shrink()
        self._sent_ms = now_ms
        self._resend = True

    def _opening(self, kind: int) -> bytes:
        out = bytearray([kind, VERSION])
        out += self._nonce.to_bytes(4, "big")
        out += self._echo.to_bytes(4, "big")
        out.append(WINDOW)
        put_varint(out, self._frame_size_max)
        put_varint(out, self._receive_max)
        return bytes(out + self._identity)


def _limits(reader: Reader) -> "tuple[int, int, int, bytes]":
    """Read the rest of OPEN: window, frame size, message size, identity."""
    window, frame_size, message_size = reader.byte(), reader.varint(), reader.varint()
    identity = reader.data[reader.position :]
    if not 0 < window < 128 or frame_size <= HEADER_SIZE or not message_size:
        raise FormatError("link limits that nothing fits in")
    if len(identity) > IDENTITY_BYTES_MAX:
        raise FormatError("identity of %d bytes" % len(identity))
    return window, frame_size, message_size, bytes(identity)
