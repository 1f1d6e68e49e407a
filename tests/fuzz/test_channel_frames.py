"""Whatever comes from a wire or a shelf before anybody is proven: refused, and nothing more."""

from app import Pair, crypto, device
from helpers import Random
from hypothesis import given
from hypothesis import strategies as st

from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.security import ticket as tickets
from edge_peer.security.record import Opener, Sealer
from edge_peer.security.wire import MESSAGE_SIZE_MAX, Joiner, cut

# Their own random numbers: else who repeats all of a handshake would be who was there.
A, B = device("fuzz a", random=Random(11)), device("fuzz b", random=Random(12))
HONEST = [frame for _, frame in Pair(A, B, b_waits=True).run().frames]
HONEST += [frame for _, frame in Pair(A, B, b_waits=True).run().frames]


@st.composite
def damaged(draw):
    """An honest frame with some of its bytes changed, cut or repeated."""
    frame = bytearray(draw(st.sampled_from(HONEST)))
    for _ in range(draw(st.integers(0, 3))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))]) + draw(st.binary(max_size=4))


FRAMES = st.lists(st.binary(max_size=300) | damaged() | st.sampled_from(HONEST), max_size=12)


@given(FRAMES, st.booleans())
def test_no_frames_of_others_make_a_channel_ready(frames, waits):
    """Frames of earlier links among them: they are of other keys."""
    keyring = device("fuzz b")
    channel = keyring.channel(256, False, waits, 0, 0)
    try:
        for i, frame in enumerate(frames):
            while channel.step(i):
                pass
            assert channel.receive_frame(frame, i) is None
            for said in channel.frames_to_send(i):
                assert len(said) <= 256
        while channel.step(99):
            pass
    except RemoteProtocolError:
        pass
    assert not channel.is_ready and channel.certificate is None


@given(FRAMES, st.booleans())
def test_no_frames_of_others_move_a_ready_link(frames, reverse):
    pair = Pair(device("fuzz a"), device("fuzz b"), b_waits=True).run()
    channel = pair.channels[reverse]
    for frame in frames:
        assert channel.receive_frame(frame, 0) is None
        assert not channel.step(0)
    pair.talk()


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20))
def test_parts_in_any_order_make_no_more_than_one_message(frames):
    joiner = Joiner()
    for frame in frames:
        message = joiner.join(frame)
        assert message is None or 0 < len(message) <= MESSAGE_SIZE_MAX


@given(st.binary(min_size=1, max_size=400), st.integers(64, 300))
def test_what_was_cut_comes_together_again(rest, frame_size_max):
    message = b"\2" + rest
    frames = cut(message, frame_size_max)
    assert all(len(frame) <= frame_size_max and not frame[0] & 0x80 for frame in frames)
    joiner = Joiner()
    assert [joiner.join(frame) for frame in frames] == [None] * (len(frames) - 1) + [message]


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_no_record_opens_that_was_not_sealed(records):
    opener, sealer = Opener(crypto, bytes(20), False), Sealer(crypto, bytes(20))
    for record in records:
        assert opener.open(record) is None
    assert opener.open(sealer.seal(b"true")) == b"true"


@given(st.binary(max_size=400))
def test_a_damaged_ticket_is_none_and_resumes_nothing(raw):
    try:
        ticket = tickets.decode(raw)
    except FormatError:
        return
    assert ticket.answer(bytes(41), bytes(16), lambda id, data: None) is None


@given(st.integers(0, 121), st.integers(1, 255))
def test_a_ticket_with_one_byte_changed_is_refused_or_resumes_nothing(at, change):
    kept = {}
    made = tickets.new_ticket(bytes(32), True, A.certificate.raw, 7, 9)
    for _ in made.reserve(kept.__setitem__):
        pass
    raw = bytearray(kept[made.id])
    raw[at] ^= change
    other = tickets.new_ticket(bytes(32), False, A.certificate.raw, 7, 9)
    try:
        ticket = tickets.decode(bytes(raw))
        r1, key = ticket.ask(bytes(16), lambda id, data: None)
    except FormatError:
        return
    resumed = other.answer(r1, bytes(16), lambda id, data: None)
    if resumed is not None:  # what was changed is not of this chain
        assert ticket.finish(r1, key, resumed.answer) in (None, (b"", *resumed[2:0:-1]))
