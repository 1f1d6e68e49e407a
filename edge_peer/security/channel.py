"""
One link's way from strangers to sealed records. Sans I/O, driven by core/sync/session.py.

    channel.receive_frame(frame, now_ms) -> a payload that was sealed for us, or None
    channel.step(now_ms)                 -> one stretch of what takes long; True while there is more
    channel.frames_to_send(now_ms)       -> frames of the handshake
    channel.seal(payload)                -> a record, once `is_ready`
    channel.deadline_ms()

Messages: M1, M2, M3 of a full handshake (handshake.py), R1, R2 of a resumption
(ticket.py) with NO and BEHIND, and records. Whoever waits for an answer repeats its
message; who gets a message again repeats the answer. On a wire without a listening side
both begin; the lesser M1 or R1 gives way, M1 being above R1, then by their bytes.

Messages that prove nothing are passed over, and cost one hash. M2 and M3 that do not
authenticate end the link, with the reason. Once `is_ready` nothing that an outsider sends
changes anything: an M1 or R1 only sets `is_suspect`, and the session asks the other side
whether it is still there.
"""

from edge_peer.core.errors import RemoteProtocolError
from edge_peer.security.record import OVERHEAD_BYTES, RECORD, Opener, Sealer
from edge_peer.security.wire import BEHIND, M1, M1_SIZE, M2, M3, NO, PART_SIZE, R1, R2, Joiner, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from edge_peer.security.certificate import Certificate
    from edge_peer.security.keyring import Keyring
    from edge_peer.security.ticket import Ticket

    Steps = Generator[None, None, None]

REPEAT_MS_FIRST = 500
REPEAT_MS_MAX = 8_000
ASK_MS_MIN = 100  # between what is said and what is said again because of the answer
ANSWERS_MAX = 6  # times that M2 is said without being asked for it
M1_INTERVAL_MS = 2_000  # between two M1 of others that are answered on one link
GIVE_UP_MS = 30_000  # a listener's patience with who has connected and proves nothing

WAITING = "waiting"
STARTED = "started"  # M1 is out
RESUMING = "resuming"  # R1 is out
ANSWERED = "answered"  # M2 is out
OFFERED = "offered"  # R2 is out
READY = "ready"

# The whole protocol: state -> kinds that are acted on. Any other is passed over.
ACCEPTS = {
    WAITING: (M1, R1),
    STARTED: (M1, R1, M2),
    RESUMING: (M1, R1, R2, NO, BEHIND),
    ANSWERED: (M1, R1, M3, RECORD),
    OFFERED: (M1, R1, RECORD),
    READY: (M1, R1, M2, RECORD),
}


class Channel:
    def __init__(
        self,
        keyring: "Keyring",
        frame_size_max: int,
        is_ordered: bool,
        waits: bool,
        hint: int,
        now_ms: int,
    ) -> None:
        """
        is_ordered: the transport loses, repeats and reorders nothing. waits: the other side
        begins. hint: a number of this link, by which tickets are found again, 0 for none.
        """
        self.overhead_bytes = OVERHEAD_BYTES  # of a record
        self.certificate: Certificate | None = None  # the other side's, once `is_ready`
        self.is_suspect = False
        self.is_ready = False
        self.was_repeated = False  # something had to be said again: the wire may lose frames
        self.passed_over_count = 0
        self._keyring = keyring
        self._frame_size_max = frame_size_max
        self._is_ordered = is_ordered
        self._waits = waits
        self._hint = hint
        self._state = WAITING
        self._joiner = Joiner()
        self._work: Steps | None = None
        self._sent = b""  # the message that is repeated
        self._due_ms: int | None = None
        self._interval_ms = REPEAT_MS_FIRST
        self._repeats = 0
        self._said_ms = now_ms
        self._once: list[bytes] = []
        self._theirs = b""  # the message that was answered last
        self._handshake: Any = None
        self._ticket: Ticket | None = None
        self._step_key = b""
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._m1_due_ms = now_ms  # when M1 of others is answered again
        self._give_up_ms = now_ms + GIVE_UP_MS if waits else None
        if not waits:
            self._begin(now_ms)

    def receive_frame(self, frame: bytes, now_ms: int) -> "bytes | None":
        """Raises RemoteProtocolError where the other side is not who it should be."""
        if not frame:
            return None
        is_record = frame[0] & RECORD
        message = frame if is_record else self._joiner.join(frame)
        if message is None:
            if self._joiner.lacks_parts:
                self._ask_again(now_ms)
            return None
        kind = RECORD if is_record else message[0]
        if self._work is not None and not self.is_ready or kind not in ACCEPTS[self._state]:
            self.passed_over_count += 1
            return None
        if is_record:
            return self._take_record(message, now_ms)
        _HANDLERS[kind](self, message, now_ms)
        return None

    def step(self, now_ms: int) -> bool:
        """Raises RemoteProtocolError as `receive_frame` does."""
        if self._work is None:
            return False
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        except RemoteProtocolError:
            self._work = None
            raise
        return self._work is not None

    def frames_to_send(self, now_ms: int) -> "list[bytes]":
        frames, self._once = self._once, []
        if self._work is not None and not self.is_ready:
            return frames
        if self._due_ms is not None and now_ms >= self._due_ms:
            self._repeats += 1
            self._said_ms = now_ms
            size = self._frame_size_max
            if self._repeats > 1:
                self.was_repeated = True
                size = min(size, PART_SIZE)
            frames += cut(self._sent, size)
            self._due_ms = None
            is_asking = self._state in (STARTED, RESUMING)
            if is_asking or (self._state == ANSWERED and self._repeats < ANSWERS_MAX):
                self._due_ms = now_ms + self._interval_ms
                self._interval_ms = min(self._interval_ms * 3 // 2, REPEAT_MS_MAX)
        return frames

    def seal(self, payload: bytes) -> bytes:
        assert self._sealer is not None
        return self._sealer.seal(payload)

    def deadline_ms(self) -> "int | None":
        due = [time for time in (self._due_ms, self._give_up_ms) if time is not None]
        return min(due) if due else None

    def handle_timeout(self, now_ms: int) -> None:
        if self._give_up_ms is not None and now_ms >= self._give_up_ms:
            raise RemoteProtocolError("no handshake for %d s" % (GIVE_UP_MS // 1000))

    def _ask_again(self, now_ms: int) -> None:
        """An answer came with holes: what is said again brings the same one again.

        M3, too: whoever repeats M2 has not had it.
        """
        if self._state in (STARTED, ANSWERED) or (self._theirs[:1] == bytes((M2,))):
            self._say_again(now_ms, ASK_MS_MIN)

    def _say_again(self, now_ms: int, after_ms: int = 0) -> None:
        """It was heard of: repeat the last message, at the earliest so long after it was said."""
        self._due_ms = max(now_ms, self._said_ms + after_ms)
        self._interval_ms = REPEAT_MS_FIRST
        self._repeats = min(self._repeats, 1)

    # Beginning

    def _begin(self, now_ms: int) -> None:
        self._ticket = self._keyring.ticket_for(self._hint)
        if self._ticket is None:
            self._work = self._start_full(now_ms)
            return
        self._ask(now_ms)

    def _ask(self, now_ms: int) -> None:
        assert self._ticket is not None
        random = self._keyring.random(16)
        r1, self._step_key = self._ticket.ask(random, self._keyring.save)
        self._say(r1, RESUMING, now_ms)

    def _start_full(self, now_ms: int) -> "Steps":
        self._handshake = yield from self._keyring.begin_handshake()
        m1 = yield from self._handshake.write_m1()
        self._say(m1, STARTED, now_ms)

    def _say(self, message: bytes, state: str, now_ms: int) -> None:
        self._sent, self._state = message, state
        self._due_ms, self._interval_ms = now_ms, REPEAT_MS_FIRST
        self._repeats = 0

    def _gives_way(self, message: bytes) -> bool:
        """Return whether the other side's beginning goes before ours, if we have begun."""
        if self._state not in (STARTED, RESUMING):
            return True
        if (message[0] == M1) != (self._sent[0] == M1):
            return message[0] == M1
        return message > self._sent

    # Full

    def _take_m1(self, m1: bytes, now_ms: int) -> None:
        if m1 == self._theirs:
            if self._state == ANSWERED:
                self._say_again(now_ms)
            return
        number = self._keyring.network_of(m1) if len(m1) == M1_SIZE else None
        if number is None or self._keyring.was_seen(m1):
            self.passed_over_count += 1
        elif self.is_ready:
            self.is_suspect = True
        elif now_ms >= self._m1_due_ms and self._gives_way(m1):
            self._m1_due_ms = now_ms + M1_INTERVAL_MS
            self._keyring.note_seen(m1)
            self._theirs = m1
            self._work = self._answer_full(number, m1, now_ms)

    def _answer_full(self, number: int, m1: bytes, now_ms: int) -> "Steps":
        self._handshake = yield from self._keyring.begin_handshake(number)
        yield from self._handshake.read_m1(m1)
        m2 = yield from self._handshake.write_m2()
        self._say(m2, ANSWERED, now_ms)

    def _take_m2(self, m2: bytes, now_ms: int) -> None:
        if self.is_ready:
            if m2 == self._theirs:
                self._say_again(now_ms)  # M3 was lost
            return
        self._theirs = m2
        self._due_ms = None
        self._work = self._finish_full(m2, now_ms)

    def _finish_full(self, m2: bytes, now_ms: int) -> "Steps":
        yield from self._handshake.read_m2(m2)
        m3 = yield from self._handshake.write_m3()
        self._say(m3, self._state, now_ms)
        yield from self._settle(True, now_ms)

    def _take_m3(self, m3: bytes, now_ms: int) -> None:
        self._due_ms = None
        self._work = self._read_m3(m3, now_ms)

    def _read_m3(self, m3: bytes, now_ms: int) -> "Steps":
        yield from self._handshake.read_m3(m3)
        yield from self._settle(False, now_ms)

    def _settle(self, is_initiator: bool, now_ms: int) -> "Steps":
        agreed = self._handshake.agreed()
        self._handshake = None
        yield
        raw = agreed.certificate.raw
        ticket = self._keyring.new_ticket(agreed.ticket_secret, is_initiator, raw, self._hint)
        yield from ticket.reserve(self._keyring.save)
        yield
        self._keyring.end_handshake()
        yield
        self._set_keys(agreed.send_key, agreed.receive_key)
        self._become_ready(agreed.certificate)

    # Resumed

    def _take_r1(self, r1: bytes, now_ms: int) -> None:
        if r1 == self._theirs:
            if self._state == OFFERED:
                self._say_again(now_ms)
            return
        ticket = self._keyring.ticket(r1[1:9])
        if self.is_ready:
            self.is_suspect = ticket is not None
        elif ticket is None:
            self._refuse(r1)
        elif self._gives_way(r1):
            random = self._keyring.random(16)
            resumed = ticket.answer(r1, random, self._keyring.save)
            if resumed is None:
                self._refuse(r1, ticket.behind(r1))
                return
            self._theirs, self._ticket = r1, ticket
            self._set_keys(resumed.send_key, resumed.receive_key)
            self._say(resumed.answer, OFFERED, now_ms)

    def _refuse(self, r1: bytes, behind: bytes = b"") -> None:
        self.passed_over_count += 1
        self._once = [behind or bytes((NO,)) + r1[1:9]]

    def _take_behind(self, behind: bytes, now_ms: int) -> None:
        assert self._ticket is not None
        if self._ticket.skip(self._sent, behind):
            self._ask(now_ms)

    def _take_r2(self, r2: bytes, now_ms: int) -> None:
        assert self._ticket is not None
        resumed = self._ticket.finish(self._sent, self._step_key, r2)
        if resumed is None:
            self.passed_over_count += 1
            return
        self._due_ms = None
        self._set_keys(resumed.send_key, resumed.receive_key)
        self._resume()

    def _take_no(self, no: bytes, now_ms: int) -> None:
        if no[1:] == self._sent[1:9]:
            self._due_ms = None
            self._work = self._start_full(now_ms)

    def _resume(self) -> None:
        assert self._ticket is not None
        self._become_ready(self._keyring.holder_of(self._ticket))
        if self._ticket.is_low():
            self._work = self._ticket.reserve(self._keyring.save)

    # Records

    def _set_keys(self, send_key: bytes, receive_key: bytes) -> None:
        crypto = self._keyring.crypto
        self._sealer = Sealer(crypto, send_key)
        self._opener = Opener(crypto, receive_key, self._is_ordered)

    def _become_ready(self, certificate: "Certificate") -> None:
        self.certificate = certificate
        self.is_ready = True
        self._state = READY
        self._step_key = b""
        self._give_up_ms = None

    def _take_record(self, record: bytes, now_ms: int) -> "bytes | None":
        if self._state == ANSWERED:  # M3 was lost, it seems: M2 brings another one
            self._say_again(now_ms, REPEAT_MS_FIRST)
            return None
        assert self._opener is not None
        payload = self._opener.open(record)
        if payload is None:
            return None
        if not self.is_ready:
            self._resume()
        self.is_suspect = False
        return payload


_HANDLERS: "dict[int, Callable[[Channel, bytes, int], None]]" = {
    M1: Channel._take_m1,
    M2: Channel._take_m2,
    M3: Channel._take_m3,
    R1: Channel._take_r1,
    R2: Channel._take_r2,
    NO: Channel._take_no,
    BEHIND: Channel._take_behind,
}
