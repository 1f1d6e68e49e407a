"""Frames over GATT values, of every size and with every mishap; no radio."""

import asyncio

from helpers import Random, raises

from edge_peer import runtime
from edge_peer.transport.gatt import STUCK_MS_MAX, WINDOW, Fragments, GattChannel

FRAME_MAX = 1035
system = runtime.load("system")


def values_of(fragments, frame, value_size):
    size = value_size - 1
    return [
        fragments.value(frame[start : start + size], start + size >= len(frame))
        for start in range(0, len(frame), size)
    ]


def test_frames_arrive_whole_at_every_value_size():
    random = Random(1)
    for value_size in (20, 21, 61, 182, 244):
        sender, receiver = Fragments(FRAME_MAX), Fragments(FRAME_MAX)
        for size in (1, value_size - 2, value_size - 1, value_size, 300, FRAME_MAX):
            frame = random.bytes(size)
            arrived = []
            for value in values_of(sender, frame, value_size):
                assert len(value) <= value_size
                arrived.append(receiver.receive(value))
                credit = receiver.credit()
                if credit:
                    assert sender.receive(credit) is None
            assert arrived[-1] == frame and not any(arrived[:-1])
        assert receiver.damaged_count == 0


def test_nothing_leaves_without_credit():
    sender, receiver = Fragments(FRAME_MAX), Fragments(FRAME_MAX)
    values = []
    while sender.may_send():
        values.append(sender.value(b"x", False))
    assert len(values) == WINDOW
    for value in values[: WINDOW // 2]:
        receiver.receive(value)
    sender.receive(receiver.credit())
    count = 0
    while sender.may_send():
        sender.value(b"x", False)
        count += 1
    assert count == WINDOW // 2


def test_who_sends_without_credit_is_cut_off():
    sender, receiver = Fragments(FRAME_MAX), Fragments(FRAME_MAX)
    for _ in range(WINDOW):
        receiver.receive(sender.value(b"x", True))
    with raises(OSError, "room"):
        receiver.receive(sender.value(b"x", True))


def test_a_lost_value_costs_the_frames_that_it_touches():
    for lost in range(4):
        sender, receiver = Fragments(FRAME_MAX), Fragments(FRAME_MAX)
        arrived = []
        for number in range(4):
            values = values_of(sender, bytes([number]) * 50, 20)
            if number == 1 and lost < len(values):
                values.pop(lost)
            arrived += [receiver.receive(value) for value in values]
        whole = [frame[0] for frame in arrived if frame]
        expected = {0: [0, 2, 3], 1: [0, 2, 3], 2: [0, 3], 3: [0, 1, 2, 3]}[lost]
        assert whole == expected, (lost, whole)


def test_a_frame_that_is_too_long_is_dropped_and_the_next_one_arrives():
    sender, receiver = Fragments(100), Fragments(100)
    values = values_of(sender, bytes(200), 20) + values_of(sender, b"short", 20)
    arrived = [receiver.receive(value) for value in values]
    assert [frame for frame in arrived if frame] == [b"short"] and receiver.damaged_count >= 1


def test_what_is_no_value_of_ours_ends_the_connection():
    for value in (b"", b"\xc0", b"\x80\x00", b"\xffhello"):
        with raises(OSError):
            Fragments(FRAME_MAX).receive(value)


def test_any_bytes_are_a_frame_or_nothing_or_the_end():
    for seed in range(300):
        random, receiver = Random(seed), Fragments(100)
        try:
            for _ in range(100):
                frame = receiver.receive(random.bytes(random.below(40)))
                assert frame is None or len(frame) <= 100
                assert len(receiver.credit()) <= 1
        except OSError:
            pass


class Wire:
    """Two ports that are connected, with a queue of `room` values between them."""

    def __init__(self, value_size):
        self.value_size = value_size
        self.signal_dbm = None
        self.other = None
        self.values = []
        self.most = 0
        self.changed = asyncio.Event()
        self.is_closed = False

    async def read(self):
        while not self.values:
            if self.is_closed:
                raise OSError("closed")
            self.changed.clear()
            await self.changed.wait()
        return self.values.pop(0)

    async def write(self, value):
        self.other.values.append(value)
        self.other.most = max(self.other.most, len(self.other.values))
        self.other.changed.set()
        await asyncio.sleep(0)

    async def close(self):
        self.is_closed = self.other.is_closed = True
        self.changed.set()
        self.other.changed.set()


def wires(value_size):
    one, other = Wire(value_size), Wire(value_size)
    one.other, other.other = other, one
    return one, other


def test_a_channel_paces_itself_by_what_the_other_side_reads():
    async def main():
        for value_size in (20, 244):
            one, other = wires(value_size)
            sender, receiver = (
                GattChannel(one, FRAME_MAX, system),
                GattChannel(other, FRAME_MAX, system),
            )
            frames = [bytes([n]) * (7 * n + 1) for n in range(120)]
            task = asyncio.create_task(sender.send(frames))
            listening = asyncio.create_task(sender.receive())
            arrived = []
            while len(arrived) < len(frames):
                arrived += await receiver.receive()
            await task
            listening.cancel()
            assert arrived == frames
            assert other.most <= WINDOW

    asyncio.run(main())


class Clock:
    """A system whose waits take no time."""

    def __init__(self):
        self.ms = 0

    def now_ms(self):
        return self.ms

    async def wait(self, event, timeout_ms):
        self.ms += timeout_ms
        await asyncio.sleep(0)


def test_who_never_gives_credit_is_given_up():
    async def main():
        one, _ = wires(20)
        clock = Clock()
        with raises(OSError, "no room"):
            await GattChannel(one, FRAME_MAX, clock).send([bytes(FRAME_MAX)])
        assert clock.ms == STUCK_MS_MAX
        assert len(one.other.values) == WINDOW

    asyncio.run(main())


def test_a_connection_that_ends_in_the_middle_ends_both_directions():
    async def main():
        one, other = wires(20)
        channel = GattChannel(one, FRAME_MAX, system)
        reading = asyncio.create_task(channel.receive())
        await asyncio.sleep(0)
        await other.close()
        with raises(OSError, "closed"):
            await reading

    asyncio.run(main())
