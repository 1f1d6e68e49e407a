"""Somebody between two peers, on each kind of wire, learns nothing and changes nothing."""

from app import compute
from helpers import Random
from linked import BIG, Peer, Wire

from edge_peer.core.sync.link import Closed
from edge_peer.core.sync.session import Medium

SECRET = "open sesame"
COUNT = 3


class _Ordered(Medium):
    is_ordered = True


# As the transports have them (host/lan.py, by TCP and WebSocket; host/mqtt.py, board/serial.py,
# transport/gatt.py, transport/bus_pump.py)
MEDIA = (
    _Ordered("lan", 1, 4_085, 65_536, 10_000, 100),
    Medium("serial", 2, 256, 1_024, 5_000, 250),
    Medium("mqtt", 3, 65_546, 65_536, 20_000, 100),
    Medium("ble", 4, 120, 1_024, 5_000, 250),
    Medium("bus", 5, 256, 1_024, 20_000, 250),
)


class Middle(Wire):
    """A wire on which somebody does something to one frame."""

    def __init__(self, a, b, medium, number, change):
        Wire.__init__(self, a, b, medium)
        self.frames = []
        self.held = None
        self._number = number
        self._change = change

    def deliver(self, side, frame):
        self.frames.append(frame)
        if len(self.frames) - 1 == self._number:
            arriving = self._change(self, side, frame)
        else:
            arriving = [(side, frame)]
        if self.held is not None and len(self.frames) - 1 > self._number:
            arriving.append(self.held)
            self.held = None
        for to, one in arriving:
            Wire.deliver(self, to, one)
        for session in self.sessions:
            compute(session, self.now_ms)


def flipped(wire, side, frame):
    at = len(frame) // 2
    return [(side, frame[:at] + bytes([frame[at] ^ 4]) + frame[at + 1 :])]


def first_flipped(wire, side, frame):
    return [(side, bytes([frame[0] ^ 1]) + frame[1:])]


def cut(wire, side, frame):
    return [(side, frame[:-1])]


def dropped(wire, side, frame):
    return []


def repeated(wire, side, frame):
    return [(side, frame), (side, frame)]


def swapped(wire, side, frame):
    wire.held = side, frame
    return []


def reflected(wire, side, frame):
    return [(1 - side, frame), (side, frame)]


def replaced(wire, side, frame):
    return [(side, Random(len(frame)).bytes(len(frame)))]


def again(wire, side, frame):
    """All that went before comes once more, to both sides."""
    old = wire.frames[:-1]
    return [(side, frame)] + [(to, one) for one in old for to in (0, 1)]


CHANGES = (flipped, first_flipped, cut, dropped, repeated, swapped, reflected, replaced, again)


def between(medium, number=-1, change=dropped, seed=0):
    """Let two strangers exchange readings; return the peers and the wire."""
    board, big = Peer("the board", seed=seed), Peer("the big one", BIG, seed=2 * seed)
    for n in range(COUNT):
        board.insert(n=n, text=SECRET)
    wire = Middle(board, big, medium, number, change)
    wire.run(40_000)
    return board, big, wire


def test_who_listens_on_a_wire_learns_nothing():
    for medium in MEDIA:
        board, big, wire = between(medium)
        assert big.readings() == list(range(COUNT))
        heard = b"".join(wire.frames)
        key = board.local.keyring.certificate.key
        for text in (SECRET.encode(), b"readings", b"the board", b"the big one", key):
            assert text not in heard, (medium.name, text)


def test_who_changes_a_frame_changes_no_document():
    for place in range(len(MEDIA)):
        medium = MEDIA[place]
        frame_count = len(between(medium)[2].frames)
        # Every frame of the first two; of the others, which are like them, every second one.
        for number in range(place & 1 if place > 1 else 0, min(frame_count, 9), 1 + (place > 1)):
            for change in CHANGES:
                board, big, wire = between(medium, number, change)
                name = medium.name, number, change.__name__
                found = big.readings()
                is_closed = any([isinstance(event, Closed) for event in wire.events])
                assert found == list(range(COUNT)) or is_closed, name
                assert found == list(range(len(found))), name
                rows = big.executor.execute("SELECT * FROM readings").items
                assert all([row["text"] == SECRET for row in rows]), name


def test_frames_of_another_session_change_nothing():
    """Recorded yesterday, said again today, at every moment of the link."""
    for medium in MEDIA:
        yesterday = between(medium, seed=4_711)[2].frames

        def old(wire, side, frame, yesterday=yesterday):
            return [(side, frame)] + [(side, one) for one in yesterday]

        for number in range(8):
            _, big, wire = between(medium, number, old)
            is_closed = any([isinstance(event, Closed) for event in wire.events])
            found = big.readings()
            assert found == list(range(COUNT)) or is_closed, (medium.name, number)
            assert found == list(range(len(found))), (medium.name, number)
