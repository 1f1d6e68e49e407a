"""Frames on a wire that loses, adds and changes bytes."""

from binascii import crc32, hexlify, unhexlify

from helpers import Random
from vectors.cases import load

from edge_peer.core.sync.frame import FRAME_SIZE_MAX, FrameDecoder, encode, stuff, unstuff


def any_frame(random, size_max=40):
    """Not empty; often with zeros, sometimes with a block that COBS has to divide."""
    if random.below(8) == 0:
        return b"\1" * (240 + random.below(40))
    return bytes(
        [random.choice((0, 1, 255, random.below(256))) for _ in range(1 + random.below(size_max))]
    )


def received(wire, size_max=300, sizes=None):
    decoder = FrameDecoder(size_max)
    frames = []
    for part in cut(wire, sizes):
        frames += decoder.receive(part)
    return frames


def cut(data, sizes):
    """Divide into parts of these sizes in turn; into one part for None."""
    if sizes is None:
        return [data]
    parts = []
    i = 0
    while data:
        size = sizes[i % len(sizes)]
        parts.append(data[:size])
        data = data[size:]
        i += 1
    return parts


def test_public_cobs_vectors_are_written_and_read():
    for case in load("frame")["cobs"]:
        data, stuffed = unhexlify(case["data"]), unhexlify(case["stuffed"])
        assert stuff(data) == stuffed, case["name"]
        assert unstuff(stuffed) == data, case["name"]


def test_the_shorter_form_of_other_encoders_is_read():
    for case in load("frame")["cobs_read_only"]:
        assert unstuff(unhexlify(case["stuffed"])) == unhexlify(case["data"]), case["name"]


def test_frame_vectors_are_written_and_read():
    for case in load("frame")["frames"]:
        frame = unhexlify(case["frame"])
        assert hexlify(encode(frame)).decode() == case["wire"], case["name"]
        assert received(unhexlify(case["wire"])) == [frame], case["name"]


def test_the_checksum_is_the_crc_32_of_ethernet():
    assert crc32(b"123456789") & 0xFFFFFFFF == 0xCBF43926
    assert encode(b"123456789") == b"\x0e123456789" + unhexlify("cbf43926") + b"\0"


def test_stuffed_bytes_hold_no_zero_and_read_back():
    for seed in range(300):
        frame = any_frame(Random(seed), 600)
        stuffed = stuff(frame)
        assert 0 not in stuffed, "seed %d" % seed
        assert len(stuffed) <= len(frame) + len(frame) // 254 + 1, "seed %d" % seed
        assert unstuff(stuffed) == frame, "seed %d" % seed


def test_any_frames_cut_anywhere_arrive():
    for seed in range(100):
        random = Random(seed)
        frames = [any_frame(random) for _ in range(1 + random.below(6))]
        wire = b"".join([encode(frame) for frame in frames])
        assert received(wire) == frames, "seed %d" % seed
        assert received(wire, sizes=[1]) == frames, "seed %d" % seed
        sizes = [1 + random.below(30) for _ in range(5)]
        assert received(wire, sizes=sizes) == frames, "seed %d" % seed


def test_a_decoder_that_starts_in_the_middle_finds_the_next_frame():
    first, second = encode(b"first"), encode(b"second")
    for start in range(1, len(first)):
        assert received(first[start:] + second) == [b"second"], start


def test_zeros_between_frames_are_nothing():
    decoder = FrameDecoder()
    assert decoder.receive(b"\0\0" + encode(b"a") + b"\0\0\0" + encode(b"b") + b"\0") == [
        b"a",
        b"b",
    ]
    assert decoder.damaged_count == 0


def test_a_changed_byte_costs_only_the_frames_that_it_touches():
    damage_everywhere(lambda random, wire, at: change(random, wire, at))


def test_a_lost_byte_costs_only_the_frames_that_it_touches():
    damage_everywhere(lambda random, wire, at: wire[:at] + wire[at + 1 :])


def test_an_added_byte_costs_only_the_frames_that_it_touches():
    damage_everywhere(
        lambda random, wire, at: (
            wire[:at] + bytes([random.choice((0, 1, random.below(256)))]) + wire[at:]
        )
    )


def change(random, wire, at):
    byte = random.choice((0, wire[at] ^ 1 << random.below(8), random.below(256)))
    return wire[:at] + bytes([byte]) + wire[at + 1 :]


def damage_everywhere(damage):
    """Every frame but the damaged one arrives; a damaged closing zero costs the next one too."""
    for seed in range(12):
        random = Random(seed)
        frames = [b"%d " % i + any_frame(random) for i in range(4)]
        wires = [encode(frame) for frame in frames]
        wire = b"".join(wires)
        ends = [sum([len(part) for part in wires[: i + 1]]) for i in range(4)]
        for at in range(len(wire)):
            label = "seed %d, byte %d" % (seed, at)
            found = received(damage(random, wire, at))
            untouched = []
            for i in range(4):
                start = ends[i] - len(wires[i])
                if not start - 1 <= at < ends[i]:
                    untouched.append(frames[i])
            assert [frame for frame in found if frame not in frames] == [], label
            assert [frame for frame in found if frame in untouched] == untouched, label


def test_damage_anywhere_costs_no_frame_behind_the_next_zero():
    for seed in range(200):
        random = Random(seed)
        noise = random.bytes(random.below(400))
        decoder = FrameDecoder(300)
        decoder.receive(noise)
        decoder.receive(b"\0")
        assert decoder.receive(encode(b"good")) == [b"good"], "seed %d" % seed


def test_what_is_damaged_is_counted():
    decoder = FrameDecoder()
    wire = encode(b"frame")
    for damaged in (b"\x01\0", b"\x09abc\0", wire[1:], wire[:3] + b"\0", b"x" * 5000 + b"\0"):
        before = decoder.damaged_count
        assert decoder.receive(damaged) == []
        assert decoder.damaged_count == before + 1, damaged[:10]
    assert decoder.receive(wire) == [b"frame"]


def test_an_empty_frame_is_none():
    decoder = FrameDecoder()
    assert decoder.receive(encode(b"")) == []
    assert decoder.damaged_count == 1


def test_a_frame_of_the_largest_size_arrives_and_a_larger_one_does_not():
    for size_max in (1, 10, 249, 250, 251, 500, 1000):
        for fill in (b"\0", b"\1", b"\xff"):
            decoder = FrameDecoder(size_max)
            frame = fill * size_max
            assert decoder.receive(encode(frame)) == [frame], size_max
            for more in (1, 2, 5, 300):
                assert decoder.receive(encode(fill * (size_max + more))) == [], size_max
            assert decoder.damaged_count == 4
            assert decoder.receive(encode(frame)) == [frame], size_max


def test_an_endless_frame_takes_no_memory():
    decoder = FrameDecoder(64)
    for _ in range(200):
        assert decoder.receive(b"\xff" * 50) == []
        assert held_bytes(decoder) <= 64 + 4 + 2
    assert decoder.receive(b"\0" + encode(b"next")) == [b"next"]
    assert decoder.damaged_count == 1


def test_any_bytes_cut_anywhere_mean_the_same():
    for seed in range(200):
        random = Random(seed)
        wire = b""
        for _ in range(6):
            wire += random.choice(
                (random.bytes(random.below(60)), encode(any_frame(random)), b"\0")
            )
        frames = received(wire, 50)
        assert received(wire, 50, [1]) == frames, "seed %d" % seed
        assert received(wire, 50, [7, 1, 30]) == frames, "seed %d" % seed


def test_any_memory_that_holds_bytes_can_be_fed():
    wire = encode(b"frame")
    assert received(bytearray(wire)) == received(memoryview(wire)) == [b"frame"]


def test_the_largest_frame_of_a_link_has_room():
    frame = bytes([i % 251 for i in range(FRAME_SIZE_MAX)])
    assert FrameDecoder().receive(encode(frame)) == [frame]


def held_bytes(decoder):
    """The bytes in every buffer of the object, whatever its fields are called."""
    buffers = [getattr(decoder, name) for name in dir(decoder)]
    return sum([len(item) for item in buffers if isinstance(item, (bytes, bytearray))])
