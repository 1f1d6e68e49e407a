"""A line that all hear and one may speak on at a time, in virtual time."""

from helpers import Random

from edge_peer.transport.bus import DATA, JOINED, LEFT, WRAP_SIZE, Controller, Node

BYTE_US = 87  # 115,200 baud


class Line:
    """Stations that all hear each other; what overlaps is garbage to everybody."""

    def __init__(self, node_count, seed=1, byte_us=BYTE_US):
        self.now_ms = 0
        self.byte_us = byte_us
        self.stations = [Controller(byte_us, 256, 0)]
        self.stations += [Node(byte_us, Random(seed + n).bytes, 0) for n in range(node_count)]
        self.lost_in = 0  # one of so many frames is damaged on its way; 0: none
        self._chance = Random(seed)
        self.events = [[] for _ in self.stations]
        self.off = set()
        self.collisions = self.spoken_bytes = 0
        self._on_air = []  # [begins at, ends at, speaker, frame, is whole], in µs
        self._free_us = [0 for _ in self.stations]

    def run(self, until_ms, done=lambda: False):
        while self.now_ms < until_ms and not done():
            for number, station in enumerate(self.stations):
                if number in self.off:
                    continue
                for frame in station.frames_to_send(self.now_ms):
                    self._speak(number, frame)
                event = station.next_event()
                while event is not None:
                    self.events[number].append(event)
                    event = station.next_event()
            self.now_ms += 1
            self._deliver()

    def _speak(self, number, frame):
        size = len(frame) + WRAP_SIZE
        begin = max(self._free_us[number], self.now_ms * 1000)
        end = self._free_us[number] = begin + size * self.byte_us
        self.spoken_bytes += size
        said = [begin, end, number, frame, True]
        for other in self._on_air:
            if other[2] != number and other[0] < end and begin < other[1]:
                other[4] = said[4] = False
                self.collisions += 1
        self._on_air.append(said)

    def _deliver(self):
        now_us = self.now_ms * 1000
        for said in [one for one in self._on_air if one[1] <= now_us]:
            self._on_air.remove(said)
            for number, station in enumerate(self.stations):
                if number != said[2] and number not in self.off:
                    is_lost = self.lost_in and not self._chance.below(self.lost_in)
                    if said[4] and not is_lost:
                        station.receive(said[3], self.now_ms)
                    else:
                        station.note_damage()

    def addresses(self):
        return sorted([node.address for node in self.stations[1:]])


def joined_line(count, seed=1, byte_us=BYTE_US):
    line = Line(count, seed, byte_us)
    line.run(120_000, lambda: 0 not in line.addresses())
    return line


def test_all_nodes_join_and_have_an_address_of_their_own():
    for count in (1, 8, 32):
        for seed in (1, 100):
            line = joined_line(count, seed)
            assert line.addresses() == list(range(1, count + 1)), (count, line.now_ms)
            joined = [event for event in line.events[0] if event[0] == JOINED]
            assert len(joined) == count


def test_nobody_speaks_into_anothers_turn_once_all_have_joined():
    line = joined_line(8)
    line.run(line.now_ms + 100)
    before, until_ms = line.collisions, line.now_ms + 5_000
    while line.now_ms < until_ms:
        for node in line.stations[1:]:
            while node.can_send(node.address):
                node.send(node.address, bytes(256))
        line.run(line.now_ms + 1)
    assert line.collisions == before
    up = [event for event in line.events[0] if event[0] == DATA]
    by_node = [len([1 for event in up if event[1] == n]) for n in range(1, 9)]
    assert max(by_node) - min(by_node) <= 4
    assert sum(by_node) * 256 > 0.8 * 5_000_000 / BYTE_US


def test_what_the_controller_sends_reaches_that_node_alone_and_in_order():
    line = joined_line(3)
    sent = 0
    for n in range(40):
        line.run(line.now_ms + 2_000, lambda: line.stations[0].can_send(2))
        line.stations[0].send(2, bytes([n]))
        sent += 1
    line.run(line.now_ms + 1_000)
    for number, node in enumerate(line.stations[1:]):
        got = [event[2] for event in line.events[number + 1] if event[0] == DATA]
        assert got == ([bytes([n]) for n in range(sent)] if node.address == 2 else [])


def test_a_node_that_is_switched_off_is_missed_and_costs_the_others_little():
    line = joined_line(4)
    gone = line.stations[2].address
    line.off.add(2)
    line.run(line.now_ms + 120_000, lambda: (LEFT, gone, b"") in line.events[0])
    assert (LEFT, gone, b"") in line.events[0]
    line.off.clear()
    line.run(line.now_ms + 60_000, lambda: line.events[2][-1][0] == JOINED and line.events[2][1:])
    assert line.events[2][-1][0] == JOINED


def test_a_line_that_damages_frames_goes_on_and_knows_everybody():
    line = joined_line(6)
    line.lost_in = 10
    before = line.collisions
    for _ in range(600):
        for node in line.stations[1:]:
            if node.can_send(node.address):
                node.send(node.address, bytes(100))
        line.run(line.now_ms + 100)
    carried = len([event for event in line.events[0] if event[0] == DATA])
    line.lost_in = 0
    line.run(line.now_ms + 60_000, lambda: 0 not in line.addresses())
    assert len(set(line.addresses()) - {0}) == 6
    assert carried > 1_000 and line.collisions - before < carried // 20


def test_at_300_baud_it_is_slow_and_works():
    line = joined_line(2, byte_us=33_333)
    assert line.addresses() == [1, 2]
    node = line.stations[1]
    node.send(node.address, b"hello")
    line.run(line.now_ms + 60_000, lambda: (DATA, node.address, b"hello") in line.events[0])
    assert (DATA, node.address, b"hello") in line.events[0]


def test_any_frame_is_taken_by_any_station():
    for seed in range(100):
        random = Random(seed)
        stations = [Controller(BYTE_US, 256, 0), Node(BYTE_US, random.bytes, 0)]
        for now_ms in range(200):
            for station in stations:
                station.receive(bytes([random.below(9)]) + random.bytes(random.below(8)), now_ms)
                station.frames_to_send(now_ms)
                station.deadline_ms()
