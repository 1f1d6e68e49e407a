"""Link: opening, a wire that loses and repeats, silence, and frames that no peer may send."""

from helpers import Random, raises

from edge_peer.core.errors import LocalProtocolError, RemoteProtocolError
from edge_peer.core.sync.link import (
    ACK_DELAY_MS,
    CLOSED,
    DATA,
    ESTABLISHED,
    KEEPALIVE_MS,
    RETRANSMIT_MS_MAX,
    RETRIES_MAX,
    SILENCE_FACTOR,
    WINDOW,
    Closed,
    Link,
    MessageReceived,
    Opened,
)


def pair(frame_size_max=64, message_size_max=512):
    return (
        Link(b"a", 0x11111111, 0, frame_size_max, message_size_max),
        Link(b"b", 0x22222222, 0, frame_size_max, message_size_max),
    )


def exchange(a, b, now_ms=0):
    """Carry frames both ways until both sides are quiet."""
    while True:
        to_b, to_a = a.frames_to_send(now_ms), b.frames_to_send(now_ms)
        if not to_b and not to_a:
            return
        for frame in to_b:
            b.receive_frame(frame, now_ms)
        for frame in to_a:
            a.receive_frame(frame, now_ms)


def opened(**sizes):
    a, b = pair(**sizes)
    exchange(a, b)
    assert events(a) == [Opened(b"b")] and events(b) == [Opened(b"a")]
    return a, b


def events(link):
    found = []
    event = link.next_event()
    while event is not None:
        found.append(event)
        event = link.next_event()
    return found


def step(a, b, now_ms, random, loss_percent):
    """Let time reach `now_ms`, then carry frames once, losing and repeating some."""
    for source, sink in ((a, b), (b, a)):
        source.handle_timeout(now_ms)
        for frame in source.frames_to_send(now_ms):
            fate = random.below(100)
            if fate >= loss_percent:
                sink.receive_frame(frame, now_ms)
            if fate > 95:
                sink.receive_frame(frame, now_ms)


def test_two_links_open_and_carry_a_message_each_way():
    a, b = opened()
    a.send_message(b"hello")
    b.send_message(b"world")
    exchange(a, b)
    assert events(b) == [MessageReceived(b"hello")]
    assert events(a) == [MessageReceived(b"world")]


def test_a_message_larger_than_a_frame_arrives_whole():
    a, b = opened(frame_size_max=16)
    message = bytes(range(200))
    a.send_message(message)
    exchange(a, b)
    assert events(b) == [MessageReceived(message)]


def test_a_message_waits_until_the_one_before_is_on_its_way():
    a, _b = opened(frame_size_max=16)
    a.send_message(b"x" * 200)
    assert not a.can_send()
    with raises(LocalProtocolError):
        a.send_message(b"y")


def test_the_smaller_limits_of_both_sides_hold():
    a = Link(b"a", 1, 0, 64, 512)
    b = Link(b"b", 2, 0, 32, 100)
    exchange(a, b)
    assert a.message_size_max == b.message_size_max == 100
    a.send_message(b"x" * 100)
    assert all([len(frame) <= 32 for frame in a.frames_to_send(0)])


def test_every_message_arrives_once_and_in_order_whatever_the_wire_does():
    for seed in range(20):
        random = Random(seed)
        a, b = pair(frame_size_max=24)
        sent = {a: 0, b: 0}
        received = {a: [], b: []}
        now_ms = 0
        while now_ms < 600_000 and (len(received[a]) < 30 or len(received[b]) < 30):
            now_ms += 20
            step(a, b, now_ms, random, 20)
            for link in (a, b):
                received[link] += [e.message for e in events(link) if type(e) is MessageReceived]
                if link.can_send() and sent[link] < 30:
                    link.send_message(b"%d" % sent[link] + b"." * random.below(60))
                    sent[link] += 1
        for link in (a, b):
            numbers = [int(message.rstrip(b".")) for message in received[link]]
            assert numbers == list(range(30)), (seed, numbers)


def test_a_line_that_damages_one_byte_in_100_carries_messages_that_are_longer():
    """The longer a frame, the less likely it is whole: of 256 bytes one in 13."""
    for seed in range(10):
        random = Random(seed)
        a, b = pair(frame_size_max=256, message_size_max=1024)
        a.expect_losses()
        exchange(a, b)
        received = []
        now_ms = sent = 0
        while len(received) < 10:
            now_ms += 20
            assert now_ms < 120_000, (seed, len(received))
            for source, sink in ((a, b), (b, a)):
                source.handle_timeout(now_ms)
                for frame in source.frames_to_send(now_ms):
                    if all([random.below(100) for _ in frame]):
                        sink.receive_frame(frame, now_ms)
            received += [e.message for e in events(b) if type(e) is MessageReceived]
            if a.can_send() and sent < 10:
                a.send_message(bytes((sent,)) * 600)
                sent += 1
        assert received == [bytes((n,)) * 600 for n in range(10)]


def test_fragments_grow_again_when_the_line_is_clean():
    a, b = opened(frame_size_max=256, message_size_max=1024)
    now_ms = 0
    for _ in range(4):  # nobody hears it
        a.send_message(b"x") if a.can_send() else None
        a.frames_to_send(now_ms)
        now_ms = a.deadline_ms()
        a.handle_timeout(now_ms)
    exchange(a, b, now_ms)
    longest = []
    for _ in range(40):
        a.send_message(b"y" * 253)
        frames = a.frames_to_send(now_ms)
        longest.append(max([len(frame) for frame in frames]))
        for frame in frames:
            b.receive_frame(frame, now_ms)
        exchange(a, b, now_ms)
    assert longest[0] < 64 and longest[-1] == 256 and longest == sorted(longest)


def test_no_more_than_a_window_is_in_flight():
    a, _b = opened(frame_size_max=16)
    a.send_message(b"x" * 400)
    assert len(a.frames_to_send(0)) == WINDOW
    assert a.frames_to_send(0) == []


def test_an_acknowledgement_waits_for_data_to_travel_with():
    a, b = opened()
    a.send_message(b"x")
    for frame in a.frames_to_send(0):
        b.receive_frame(frame, 0)
    assert b.frames_to_send(0) == []
    assert b.deadline_ms() == ACK_DELAY_MS
    b.send_message(b"y")
    frames = b.frames_to_send(10)
    assert len(frames) == 1
    a.receive_frame(frames[0], 10)
    assert a.deadline_ms() > RETRIES_MAX  # nothing in flight: only its own acknowledgement is due


def test_a_lost_frame_is_sent_again_when_its_time_has_come():
    a, b = opened()
    a.send_message(b"x")
    a.frames_to_send(0)  # lost
    due_ms = a.deadline_ms()
    a.handle_timeout(due_ms)
    for frame in a.frames_to_send(due_ms):
        b.receive_frame(frame, due_ms)
    assert events(b) == [MessageReceived(b"x")]
    assert a.retransmitted_count == 1


def test_a_peer_that_never_answers_is_given_up():
    a, _b = opened()
    a.send_message(b"x")
    now_ms = 0
    while a.state != CLOSED:
        a.frames_to_send(now_ms)
        now_ms = a.deadline_ms()
        a.handle_timeout(now_ms)
    assert events(a)[0].reason in ("no answer", "silent")
    assert now_ms <= RETRIES_MAX * RETRANSMIT_MS_MAX
    assert a.deadline_ms() is None


def test_a_quiet_link_stays_open_and_a_dead_one_closes():
    a, b = opened()
    for now_ms in range(0, 10 * KEEPALIVE_MS, 500):
        a.handle_timeout(now_ms)
        b.handle_timeout(now_ms)
        exchange(a, b, now_ms)
    assert a.state == b.state == ESTABLISHED
    a.handle_timeout(now_ms + SILENCE_FACTOR * KEEPALIVE_MS)
    assert events(a) == [Closed("silent")]


def test_a_peer_that_started_again_is_noticed():
    a, b = opened()
    again = Link(b"b", 0x33333333, 0, 64, 512)
    for frame in again.frames_to_send(0):
        a.receive_frame(frame, 0)
    assert events(a) == [Closed("the other side started again")]


def test_an_opening_whose_answer_was_lost_is_answered_again():
    a, b = pair()
    for frame in a.frames_to_send(0):
        b.receive_frame(frame, 0)
    for frame in b.frames_to_send(0):
        a.receive_frame(frame, 0)
    a.frames_to_send(0)  # OPENED is lost
    assert a.state == ESTABLISHED and b.state != ESTABLISHED
    exchange(a, b, b.deadline_ms())
    assert b.state == ESTABLISHED


def test_data_says_that_the_link_is_open_as_well_as_an_answer_does():
    a, b = pair()
    for frame in a.frames_to_send(0):
        b.receive_frame(frame, 0)
    for frame in b.frames_to_send(0):
        a.receive_frame(frame, 0)
    a.send_message(b"x")
    (frame,) = a.frames_to_send(0)
    b.receive_frame(frame, 0)
    assert events(b) == [Opened(b"a"), MessageReceived(b"x")]


def test_what_comes_before_an_opening_is_ignored():
    a, _b = opened()
    a.send_message(b"early")
    early = a.frames_to_send(0)
    a2, b2 = pair()
    for frame in early:
        b2.receive_frame(frame, 0)
    exchange(a2, b2, ACK_DELAY_MS)
    assert events(b2) == [Opened(b"a")]
    assert b2.stale_count == 1


def test_an_acknowledgement_may_wait_for_the_next_sign_of_life():
    a = Link(b"a", 1, 0, 64, 512)
    b = Link(b"b", 2, 0, 64, 512, ack_delay_ms=2 * KEEPALIVE_MS)
    exchange(a, b)
    exchange(a, b, ACK_DELAY_MS)
    a.send_message(b"x")
    exchange(a, b)
    due_ms = ACK_DELAY_MS + KEEPALIVE_MS
    assert b.frames_to_send(due_ms - 1) == []
    b.handle_timeout(due_ms)
    assert len(b.frames_to_send(due_ms)) == 1


def test_goodbye_closes_the_other_side():
    a, b = opened()
    a.close("done")
    exchange(a, b)
    assert events(a) == [Closed("done")]
    assert events(b) == [Closed("closed by the other side")]


def test_a_frame_of_an_unknown_kind_is_the_remotes_mistake():
    for kind in (0, 6, 0x7F, 0x81, 0xFF):
        a, _b = opened()
        with raises(RemoteProtocolError, "kind"):
            a.receive_frame(bytes([kind, 0, 0, 0]), 0)
        assert a.state == CLOSED


def test_a_message_above_the_limit_is_the_remotes_mistake():
    _a, b = opened(frame_size_max=64, message_size_max=100)
    with raises(RemoteProtocolError, "above"):
        for seq in range(3):
            b.receive_frame(bytes([DATA | 0x80, seq, 0]) + b"x" * 50, 0)


def test_any_bytes_are_taken_or_refused_but_never_crash():
    for seed in range(300):
        random = Random(seed)
        a, b = opened() if seed % 2 else pair()
        b.send_message(b"hello") if b.can_send() else None
        for _ in range(20):
            frame = random.bytes(random.below(24))
            real = b.frames_to_send(0)
            if real and random.below(2):
                frame = bytearray(real[0])
                frame[random.below(len(frame))] ^= 1 << random.below(8)
                frame = bytes(frame)
            try:
                a.receive_frame(frame, 0)
            except RemoteProtocolError:
                assert a.state == CLOSED, seed
