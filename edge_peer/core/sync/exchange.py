"""
Attachments over one link: who wants which pieces, who has them, what the Big Peer has.

    WANT     8 | id 16 | size | count | (number - end of the last range | pieces)*
    PIECES   9 | id 16 | number | length | bytes     from that piece on; no bytes: not here
    OFFER   10 | id 16 | size                        the Big Peer may not have this
    HAVE    11 | id 16                               the Big Peer has all of this

Each side asks for what it lacks, a window of pieces at a time, so whoever stops asking has
heard the last soon. What is not answered in ASKED_MS may be asked of another neighbour;
until then it is asked of none, so several neighbours send different pieces. A peer
that passes on what others want asks its other neighbours for what it lacks, and
sends it when it has come; one that does not says that it has nothing.

A Small Peer offers its own attachments to those who pass on, a few at a time; they offer
them further. The Big Peer asks for what it lacks of them, through those who offered, and
says HAVE when all is there; that goes back the same way. Nobody waits for an answer: what
was not heard is offered again after OFFER_MS.

Nothing of this is said while there is something to say of documents (core/sync/sync.py).
"""

from edge_peer.core.errors import FormatError
from edge_peer.core.kinds import ATTACHMENT_ID_SIZE
from edge_peer.core.limits import PIECE_BYTES
from edge_peer.core.packing import put_varint
from edge_peer.core.store.attachments import ASKED_MS, ATTACHMENT_BYTES_MAX, piece_count
from edge_peer.core.sync.messages import HAVE, OFFER, PIECES, RELAYS, WANT, WANTS_ALL, Attached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.packing import Reader
    from edge_peer.core.store.attachments import Attachments
    from edge_peer.core.sync.sender import Sender

    Runs = list[tuple[int, int]]

WINDOW_MIN = 2  # pieces asked for and not here yet,
WINDOW_MAX = 256  # in all of a link; between: what two of its messages take
RUN_COUNT_MAX = 16  # in a WANT
SERVED_COUNT_MAX = 4  # blobs that a neighbour is sent at once
LACKING_MS = 30_000  # a neighbour that lacks something is not asked for it so long
OFFER_MS = 60_000
OFFERED_COUNT_MAX = 4  # at once
ANSWER_COUNT_MAX = 32  # that wait to be said
PIECES_OVERHEAD_MAX = 1 + ATTACHMENT_ID_SIZE + 3 + 3


def take_message(kind: int, reader: "Reader") -> Attached:
    """Read what follows the kind; raise FormatError."""
    id = reader.take(ATTACHMENT_ID_SIZE)
    number = 0 if kind == HAVE else reader.count(ATTACHMENT_BYTES_MAX)
    runs: Runs = []
    data = b""
    if kind == WANT:
        end, count_max = 0, piece_count(number)
        for _ in range(reader.count(RUN_COUNT_MAX)):
            start = end + reader.count(count_max)
            end = start + reader.count(WINDOW_MAX)
            if end > count_max or end == start:
                raise FormatError("pieces that there cannot be")
            runs.append((start, end - start))
    elif kind == PIECES:
        data = reader.take(reader.count(ATTACHMENT_BYTES_MAX))
    return Attached(kind, id, number, runs, data)


def put_message(message: Attached) -> bytes:
    out = bytearray([message.kind])
    out += message.id
    if message.kind != HAVE:
        put_varint(out, message.number)
    if message.kind == WANT:
        put_varint(out, len(message.runs))
        end = 0
        for start, count in message.runs:
            put_varint(out, start - end)
            put_varint(out, count)
            end = start + count
    elif message.kind == PIECES:
        put_varint(out, len(message.data))
        out += message.data
    return bytes(out)


class Exchange:
    def __init__(
        self, attachments: "Attachments", sender: "Sender", flags: int, message_size_max: int
    ) -> None:
        """flags: what this side wants; sender: it knows theirs."""
        self._attachments = attachments
        self._sender = sender
        self._passes_on = bool(flags & (RELAYS | WANTS_ALL))
        window = 2 * message_size_max // PIECE_BYTES
        self._window = max(WINDOW_MIN, min(WINDOW_MAX, window))
        self._serving: dict[bytes, list[int]] = {}  # what they wait for, ascending
        self._lacks: list[tuple[bytes, int]] = []  # to be told that it is not here
        self._haves: list[bytes] = []  # to be told
        self._offered: dict[bytes, int] = {}  # id -> when to offer it again
        self._now_ms = 0

    def close(self) -> None:
        """The link is closed: whom it served and what it was asked for are nothing any more."""
        self._serving = {}
        self._attachments.forget_link(self)

    def tell_have(self, id: bytes) -> None:
        if len(self._haves) < ANSWER_COUNT_MAX:
            self._haves.append(id)

    def take(self, message: Attached, now_ms: int) -> None:
        """Handle one message, durably."""
        self._now_ms = now_ms
        if message.kind == WANT:
            self._take_want(message)
        elif message.kind == PIECES:
            self._take_pieces(message)
        elif message.kind == OFFER:
            if self._passes_on and self._attachments.take_offer(
                message.id, message.number, self, now_ms
            ):
                self.tell_have(message.id)
        elif self._sender.their_flags & (RELAYS | WANTS_ALL):
            self._attachments.take_have(message.id)

    def next_message(self, size_max: int, now_ms: int) -> bytes:
        """Return the next message, at most `size_max` bytes, or b""."""
        self._now_ms = now_ms
        if self._haves:
            return put_message(Attached(HAVE, self._haves.pop(0), 0, [], b""))
        if self._lacks:
            id, number = self._lacks.pop(0)
            return put_message(Attached(PIECES, id, number, [], b""))
        return self._next_want() or self._next_offer() or self._next_pieces(size_max)

    def deadline_ms(self) -> "int | None":
        """Return when next_message may have something without anything else happening."""
        due = list(self._offered.values())
        for want in self._attachments.wants.values():
            due += [due_ms for _, due_ms in want.asked.values()]
            due.append(want.lacking.get(self, 0))
        due = [due_ms for due_ms in due if due_ms > self._now_ms]
        return min(due) if due else None

    # As the one who lacks something

    def _next_want(self) -> bytes:
        attachments, now_ms = self._attachments, self._now_ms
        attachments.forget_wants(now_ms)
        room = self._window
        for want in attachments.wants.values():
            room -= len(want.asked_of(self, now_ms))
        if 2 * room < self._window:
            return b""  # many at once
        for want in attachments.wants.values():
            if want.id not in self._serving:
                runs = want.runs_for(self, now_ms, room, RUN_COUNT_MAX)
                if runs:
                    return put_message(Attached(WANT, want.id, want.size, runs, b""))
        return b""

    def _take_pieces(self, message: Attached) -> None:
        want = self._attachments.wants.get(message.id)
        if want is None:
            return
        if message.data:
            for number in want.asked_of(self, self._now_ms):  # they are on their way
                want.asked[number] = (self, self._now_ms + ASKED_MS)
            self._attachments.put(message.id, message.number, message.data, self._now_ms)
        else:
            want.forget(self)
            want.lacking[self] = self._now_ms + LACKING_MS
            self._attachments.wake()

    # As the one who has something

    def _take_want(self, message: Attached) -> None:
        attachments = self._attachments
        numbers = [n for start, count in message.runs for n in range(start, start + count)]
        want = attachments.wants.get(message.id)
        if want is not None:
            want.forget_some(self, numbers)  # they lack these themselves
        lacking = [n for n in numbers if attachments.read(message.id, n) is None]
        if lacking and not (
            self._passes_on
            and attachments.pass_on(message.id, message.number, lacking, self._now_ms)
        ):
            numbers = [n for n in numbers if n not in lacking]
            self._tell_lacking(message.id, lacking[0])
        if numbers:
            waiting = self._serving.pop(message.id, [])
            if len(self._serving) >= SERVED_COUNT_MAX:
                del self._serving[min(self._serving)]  # they will ask again
            numbers = sorted(set(waiting + numbers))
            self._serving[message.id] = numbers[:WINDOW_MAX]

    def _next_pieces(self, size_max: int) -> bytes:
        for id in sorted(self._serving):
            numbers = self._serving[id]
            want = self._attachments.wants.get(id)
            for number in numbers[:]:
                if want is not None and want.lacks(number):
                    continue  # on its way here
                data = self._read(id, number, size_max - PIECES_OVERHEAD_MAX)
                if not data:
                    numbers.remove(number)
                    self._tell_lacking(id, number)
                if not numbers:
                    del self._serving[id]
                if data:
                    return put_message(Attached(PIECES, id, number, [], data))
                if not numbers:
                    break
        return b""

    def _read(self, id: bytes, number: int, size_max: int) -> bytes:
        """Return as many pieces from this one on as they wait for; they wait no longer."""
        numbers = self._serving[id]
        data = bytearray()
        while number in numbers and len(data) + PIECE_BYTES <= size_max:
            piece = self._attachments.read(id, number)
            if piece is None:
                break
            data += piece
            numbers.remove(number)
            number += 1
        return bytes(data)

    def _tell_lacking(self, id: bytes, number: int) -> None:
        if len(self._lacks) < ANSWER_COUNT_MAX:
            self._lacks.append((id, number))

    # What the Big Peer should have

    def _next_offer(self) -> bytes:
        if not self._sender.their_flags & (RELAYS | WANTS_ALL):
            return b""
        now_ms = self._now_ms
        due: list[tuple[int, bytes, int]] = []
        offered: dict[bytes, int] = {}
        for id, size, links in self._attachments.offered():
            again_ms = self._offered.get(id, now_ms)
            if id in self._offered:
                offered[id] = again_ms
            if again_ms <= now_ms and self not in links:
                due.append((again_ms if id in self._offered else -1, id, size))
        self._offered = offered  # the others are safe
        on_their_way = [one for one in offered.values() if one > now_ms]
        if not due or len(on_their_way) >= OFFERED_COUNT_MAX:
            return b""
        _, id, size = min(due)
        self._offered[id] = now_ms + OFFER_MS
        return put_message(Attached(OFFER, id, size, [], b""))
