"""Names that follow from a write: short, sorted by time, and each its own."""

from helpers import Random

from edge_peer.core.clock import STAMP_MAX, stamp_of
from edge_peer.core.ids import author_of, automatic_id

AUTHOR_MAX = b"\xff" * 8


def test_an_id_is_19_characters_that_need_no_quoting():
    for stamp, author in ((1, bytes(8)), (STAMP_MAX, AUTHOR_MAX), (stamp_of(1 << 40), b"abcdefgh")):
        id = automatic_id(stamp, author)
        assert len(id) == 19
        assert all(
            [character.isalpha() or character.isdigit() or character in "-_" for character in id]
        )


def test_ids_are_what_the_specification_says():
    # 6 bits a character, most significant first; worked out by hand.
    assert automatic_id(1, bytes(8)) == "-------0" + "-" * 11
    assert automatic_id(63, bytes(7) + b"\x40") == "-------z" + "-" * 9 + "0-"
    assert automatic_id((1 << 48) - 1, AUTHOR_MAX) == "zzzzzzzz" + "E" + "z" * 10


def test_ids_sort_by_stamp_and_then_by_author():
    random = Random(7)
    dots = []
    for _ in range(60):
        dots.append((random.below(1 << 30) << random.below(19) | 1, random.bytes(8)))
        dots.append((dots[-1][0] + random.below(3), random.bytes(8)))
    dots.sort()
    ids = [automatic_id(stamp, author) for stamp, author in dots]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(set(dots))


def test_an_author_is_8_bytes_of_the_device_and_its_incarnation():
    # printf 'edge-author-v1device\1\2\3\4' | sha256sum
    assert author_of(b"device", b"\1\2\3\4") == bytes.fromhex("bdb2375cbf7dbe8d")


def test_a_device_that_lost_its_flash_is_another_author():
    authors = set()
    for device in (b"", b"a", b"b", b"a" * 16):
        for incarnation in (b"\0\0\0\0", b"\0\0\0\1", b"a\0\0\0"):
            authors.add(author_of(device, incarnation))
    assert len(authors) == 12
