"""
A line that all hear and one may speak on at a time: RS-485, a radio modem. Sans I/O, with time.

One station is the controller, such as a gateway; it gives the word to the others in turn, so
nothing collides but those who want to join. Frames (SPEC.md, "Bus"), as on any serial line:

    HAIL     01 | slots u8               who has no address: say so, in one of the slots by chance
    JOIN     02 | id 4                   from a node; the id is drawn at its start
    WELCOME  03 | id 4 | address u8
    POLL     04 | address u8             that node has the word
    DOWN     05 | address u8 | payload   to that node
    UP       06 | address u8 | payload   from that node, when it has the word
    END      07 | address u8             it gives the word back

Nothing is repeated here: the links above do that. A node that does not answer is polled less
and less often, and forgotten after MISSED_MAX; one that hears LOST_HAILS hails and no poll
joins again.

    station.receive(frame, now_ms)        station.deadline_ms()
    station.frames_to_send(now_ms)        station.next_event() -> (kind, address, payload) or None
    station.can_send(address)             station.send(address, payload)
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Event = tuple[str, int, bytes]  # JOINED, LEFT or DATA, address, payload

HAIL, JOIN, WELCOME, POLL, DOWN, UP, END = 1, 2, 3, 4, 5, 6, 7
JOINED, LEFT, DATA = "joined", "left", "data"

HEADER_SIZE = 2
WRAP_SIZE = 7  # COBS, CRC-32 and the zero around a frame
NODE_COUNT_MAX = 32  # unit loads of an RS-485 line
TURN_FRAMES_MAX = 4  # a link's window: more would wait for its acknowledgement
SLOTS_MIN, SLOTS_MAX = 4, 32
HAIL_MS = 1_000  # between two, and at least
HAIL_SHARE = 10  # times as long as its slots are open
REPLY_MS = 40  # until a node has begun to answer: longer than most of a board's pauses
IDLE_MS = 30  # between rounds in which nobody had anything to say
MISSED_MAX = 8
LOST_HAILS = 4  # rounds in which a node was not polled: it was forgotten


class Controller:
    def __init__(self, byte_us: int, frame_size_max: int, now_ms: int) -> None:
        """byte_us: what a byte takes on the line; frame_size_max: of a payload."""
        self._byte_us = byte_us
        self._frame_ms = self._line_ms(frame_size_max + HEADER_SIZE + WRAP_SIZE)
        self._nodes: dict[int, _Seat] = {}
        self._events: list[Event] = []
        self._hail_ms = now_ms
        self._slots = SLOTS_MIN
        self._joins = True  # whether slots are open; also at the start: let the line fall silent
        self._polled = 0  # the address that has the word
        self._heard_join = False
        self._round = 0
        self._was_idle = True
        self._due_ms = now_ms + self._frame_ms

    def receive(self, frame: bytes, now_ms: int) -> None:
        kind = frame[0] if frame else 0
        if kind == JOIN and len(frame) == 5 and self._joins:
            self._heard_join = True
            self._seat(bytes(frame[1:]))
        elif kind in (UP, END) and self._polled and frame[1:2] == bytes([self._polled]):
            seat = self._nodes[self._polled]
            seat.missed = 0
            if kind == UP:
                self._was_idle = False
                self._events.append((DATA, self._polled, bytes(frame[2:])))
                self._due_ms = now_ms + REPLY_MS + self._frame_ms
            else:
                self._polled = 0
                self._due_ms = now_ms

    def note_damage(self) -> None:
        """Call when something unreadable has arrived: in the slots it is a collision."""
        if self._joins and not self._heard_join:
            self._slots = min(2 * self._slots, SLOTS_MAX)

    def next_event(self) -> "Event | None":
        return self._events.pop(0) if self._events else None

    def can_send(self, address: int) -> bool:
        seat = self._nodes.get(address)
        return seat is not None and len(seat.waiting) < TURN_FRAMES_MAX

    def send(self, address: int, payload: bytes) -> None:
        self._nodes[address].waiting.append(payload)
        self._was_idle = False

    def deadline_ms(self) -> int:
        return self._due_ms

    def frames_to_send(self, now_ms: int) -> "list[bytes]":
        if now_ms < self._due_ms:
            return []
        if self._polled:
            self._miss()
        if self._joins:
            self._joins = False
            frames = [bytes([WELCOME]) + one.id + bytes([address]) for address, one in self._new()]
            if frames:
                return self._said(frames, now_ms, 0)
        address = self._next_node()
        if not address and now_ms >= self._hail_ms:
            return self._hail(now_ms)
        if not address:
            if self._was_idle or not self._nodes:
                self._due_ms = min(now_ms + IDLE_MS, max(self._hail_ms, now_ms + 1))
            self._was_idle = True
            self._round += 1
            for seat in self._nodes.values():
                seat.is_done = False
            return []
        seat = self._nodes[address]
        frames = [bytes([DOWN, address]) + payload for payload in seat.waiting]
        seat.waiting, seat.is_done, self._polled = [], True, address
        return self._said(frames + [bytes([POLL, address])], now_ms, REPLY_MS + self._frame_ms)

    def _hail(self, now_ms: int) -> "list[bytes]":
        wait_ms = self._slots * slot_ms(self._byte_us) + REPLY_MS
        self._hail_ms = now_ms + max(HAIL_MS, HAIL_SHARE * wait_ms)
        if len(self._nodes) >= NODE_COUNT_MAX:
            return []
        self._joins, self._heard_join = True, False
        slots, self._slots = self._slots, max(SLOTS_MIN, self._slots // 2)
        return self._said([bytes([HAIL, slots])], now_ms, wait_ms)

    def _said(self, frames: "list[bytes]", now_ms: int, then_ms: int) -> "list[bytes]":
        size = sum([len(frame) + WRAP_SIZE for frame in frames])
        self._due_ms = now_ms + self._line_ms(size) + then_ms
        return frames

    def _line_ms(self, size: int) -> int:
        return (size * self._byte_us + 999) // 1000

    def _next_node(self) -> int:
        for address, seat in self._nodes.items():
            skips = (1 << min(seat.missed, 4)) - 1
            if not seat.is_done and not self._round & skips:
                return address
        return 0

    def _miss(self) -> None:
        seat = self._nodes[self._polled]
        seat.missed += 1
        if seat.missed > MISSED_MAX:
            self._leave(self._polled)
        self._polled = 0

    def _seat(self, id: bytes) -> None:
        for seat in self._nodes.values():
            if seat.id == id:  # it has not heard the welcome
                seat.is_new = True
                return
        free = [address for address in range(1, NODE_COUNT_MAX + 1) if address not in self._nodes]
        if free:
            self._nodes[free[0]] = _Seat(id)
            self._events.append((JOINED, free[0], b""))

    def _new(self) -> "list[tuple[int, _Seat]]":
        found = [(address, seat) for address, seat in self._nodes.items() if seat.is_new]
        for _, seat in found:
            seat.is_new = False
        return found

    def _leave(self, address: int) -> None:
        del self._nodes[address]
        self._events.append((LEFT, address, b""))


class _Seat:
    def __init__(self, id: bytes) -> None:
        self.id = id
        self.waiting: list[bytes] = []
        self.is_new = True  # has not been told its address
        self.is_done = False  # in this round
        self.missed = 0


class Node:
    def __init__(self, byte_us: int, entropy: "Callable[[int], bytes]", now_ms: int) -> None:
        self.address = 0  # none yet
        self._id = entropy(4)
        self._entropy = entropy
        self._byte_us = byte_us
        self._events: list[Event] = []
        self._waiting: list[bytes] = []
        self._join_ms: int | None = None
        self._has_word = False
        self._hails = 0  # since we were spoken to

    def receive(self, frame: bytes, now_ms: int) -> None:
        kind, size = (frame[0] if frame else 0), len(frame)
        self._has_word = False  # whoever speaks after our POLL has it by now
        if kind == HAIL and size == 2 and frame[1] and self._is_lost():
            slot = int.from_bytes(self._entropy(2), "big") % frame[1]
            self._join_ms = now_ms + slot * slot_ms(self._byte_us)
        elif kind == WELCOME and size == 6 and frame[1:5] == self._id and frame[5]:
            self._hails = 0
            if self.address != frame[5]:
                self._leave()
                self.address = frame[5]
                self._events.append((JOINED, self.address, b""))
        elif kind in (POLL, DOWN) and size >= 2 and self.address and frame[1] == self.address:
            self._hails = 0
            if kind == POLL:
                self._has_word = True
            else:
                self._events.append((DATA, self.address, bytes(frame[2:])))

    def note_damage(self) -> None:
        pass

    def next_event(self) -> "Event | None":
        return self._events.pop(0) if self._events else None

    def can_send(self, address: int) -> bool:
        return address == self.address != 0 and len(self._waiting) < TURN_FRAMES_MAX

    def send(self, address: int, payload: bytes) -> None:
        self._waiting.append(payload)

    def deadline_ms(self) -> "int | None":
        return self._join_ms

    def frames_to_send(self, now_ms: int) -> "list[bytes]":
        if self._join_ms is not None and now_ms >= self._join_ms:
            self._join_ms = None
            return [] if self.address else [bytes([JOIN]) + self._id]
        if not self._has_word:
            return []
        self._has_word = False
        frames = [bytes([UP, self.address]) + payload for payload in self._waiting]
        self._waiting = []
        return frames + [bytes([END, self.address])]

    def _is_lost(self) -> bool:
        self._hails += 1
        if self._hails > LOST_HAILS:
            self._leave()
        return not self.address

    def _leave(self) -> None:
        if self.address:
            self._events.append((LEFT, self.address, b""))
            self.address, self._waiting = 0, []


def slot_ms(byte_us: int) -> int:
    """Return how long a JOIN may take: its bytes, and as long as stations need to turn round."""
    return 10 + (5 + WRAP_SIZE) * byte_us // 1000
