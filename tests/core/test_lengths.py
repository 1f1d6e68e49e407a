"""Frames on TCP, however the stream is cut."""

from helpers import raises

from edge_peer.transport.lengths import LengthDecoder, encode

FRAMES = [b"a", b"\0" * 127, b"b" * 128, b"c" * 4096]


def test_frames_arrive_however_they_are_cut():
    stream = b"".join([encode(frame) for frame in FRAMES])
    for step in (1, 2, 7, 128, 10_000):
        decoder = LengthDecoder(4096)
        found = []
        for start in range(0, len(stream), step):
            found += decoder.receive(stream[start : start + step])
        assert found == FRAMES


def test_what_is_no_frame_is_refused():
    for data in (b"\0", b"\x80\x00", b"\x81\x20", b"\xff\xff\xff", b"GET /"):
        with raises(OSError, "no frames"):
            LengthDecoder(64).receive(data)


def test_a_length_that_has_only_begun_is_waited_for():
    decoder = LengthDecoder(4096)
    assert decoder.receive(b"\x80") == []
    assert decoder.receive(b"\x01" + b"x" * 127) == []
    assert decoder.receive(b"x") == [b"x" * 128]


def test_a_frame_is_refused_with_all_that_came_before_it_handled():
    decoder = LengthDecoder(64)
    assert decoder.receive(encode(b"whole")) == [b"whole"]
    with raises(OSError, "no frames"):
        decoder.receive(encode(b"x" * 65))
