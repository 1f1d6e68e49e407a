"""Two ends of a serial line find the same speed, in virtual time."""

from helpers import Random

from edge_peer.core.sync.frame import encode
from edge_peer.transport.dialling import ANSWER, ASK, BAUDS, Dial


class Fixed:
    """A peer that has been told its speed: it answers who asks (stream.py)."""

    def __init__(self, baud):
        self.baud, self._out = baud, b""

    def receive(self, data):
        if encode(ASK) in data:
            self._out += encode(ANSWER)

    def data_to_send(self):
        data, self._out = self._out, b""
        return data

    def handle_timeout(self, now_ms):
        pass


def found_ms(one, other, until_ms=120_000):
    """Run both until both are at one speed and know it; what is said at another one is garbage."""
    on_wire = []  # [arrives at, its reader, the speed it was said at, bytes]
    for now_ms in range(until_ms):
        for speaker, hearer in ((one, other), (other, one)):
            data = speaker.data_to_send()
            if data:
                takes_ms = len(data) * 10_000 // speaker.baud + 20
                on_wire.append((now_ms + takes_ms, hearer, speaker.baud, data))
        for said in [said for said in on_wire if said[0] <= now_ms]:
            on_wire.remove(said)
            _, hearer, baud, data = said
            is_heard = hearer.baud == baud
            hearer.receive(data if is_heard else bytes([byte ^ 0x5A for byte in data]))
        if all([getattr(end, "is_found", True) for end in (one, other)]):
            return now_ms
        for end in (one, other):
            end.handle_timeout(now_ms)
    raise AssertionError("not found")


def test_each_speed_of_a_neighbour_is_found_within_two_rounds():
    for baud in BAUDS:
        for seed in range(1, 6):
            dialler = Dial(Random(seed).bytes, 0)
            found_ms(dialler, Fixed(baud), 20_000)
            assert dialler.baud == baud


def test_the_speed_of_last_time_is_tried_first():
    assert found_ms(Dial(Random(1).bytes, 0, 9_600), Fixed(9_600)) < 100


def test_two_that_both_try_meet_also_when_they_begin_apart():
    for seed in range(1, 9):
        one, other = Dial(Random(seed).bytes, 0, 4_800), Dial(Random(seed + 99).bytes, 0, 57_600)
        found_ms(one, other)
        assert one.baud == other.baud


def test_who_only_listens_says_nothing_until_it_is_asked():
    listener = Dial(Random(1).bytes, 0, asks=False)
    for now_ms in range(0, 60_000, 10):
        assert listener.data_to_send() == b""
        listener.handle_timeout(now_ms)
    baud = listener.baud
    listener.receive(b"noise" + encode(b"\x01\x04"))  # not whole: its beginning was missed
    assert not listener.is_found
    listener.receive(encode(b"\x01\x04"))
    listener.handle_timeout(1 << 30)
    assert listener.is_found and listener.baud == baud


def test_garbage_is_nobody():
    dialler = Dial(Random(1).bytes, 0)
    chance = Random(7)
    for now_ms in range(0, 5_000, 10):
        dialler.receive(chance.bytes(64))
        dialler.handle_timeout(now_ms)
    assert not dialler.is_found
