"""Multicast DNS, to the byte, and whatever else arrives on that port."""

from helpers import Random

from edge_peer.transport import mdns
from edge_peer.transport.mdns import Place

PLACE = Place("0123456789abcdef", ["192.0.2.7"], 7700, False)
APP = b"\x01\x02\x03"


def test_a_query_is_as_the_standard_has_it():
    assert mdns.query() == bytes.fromhex(
        "000000000001000000000000095f6564676570656572045f746370056c6f63616c00000c0001"
    )


def test_who_answers_is_found_with_all_that_it_takes():
    said = mdns.answer(mdns.query(), PLACE, APP)
    assert mdns.found(said, APP) == [PLACE]
    assert mdns.found(said, b"\x03\x02\x01") == []


def test_the_question_of_somebody_else_is_not_answered():
    other = mdns.query().replace(b"_edgepeer", b"_edgepier")
    for packet in (other, b"", mdns.query()[:20], mdns.answer(mdns.query(), PLACE, APP)):
        assert mdns.answer(packet, PLACE, APP) == b""


def test_names_that_point_in_circles_end():
    circle = bytes.fromhex("000084000000000100000000c00c000c0001000000780000")
    assert mdns.found(circle, APP) == []


def test_a_thousand_records_are_too_many():
    said = mdns.answer(mdns.query(), PLACE, APP)
    for count in (33, 1_000, 65_535):
        assert mdns.found(said[:6] + count.to_bytes(2, "big") + said[8:], APP) == []
    assert mdns.found(said + bytes(2_000), APP) == []


def test_what_is_damaged_is_passed_over():
    said = mdns.answer(mdns.query(), PLACE, APP)
    for seed in range(400):
        random = Random(seed)
        damaged = bytearray(said[: random.below(len(said)) if seed & 1 else len(said)])
        for _ in range(1 + random.below(4)):
            if damaged:
                damaged[random.below(len(damaged))] = random.below(256)
        for place in mdns.found(bytes(damaged), APP):
            assert len(place.addresses) < 5
        mdns.answer(bytes(damaged), PLACE, APP)
