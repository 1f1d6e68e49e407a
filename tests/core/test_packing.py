"""Varints, zigzag and text: one form for each value, and no end that is not looked at."""

from helpers import Random, raises

from edge_peer.core.errors import FormatError
from edge_peer.core.packing import (
    VARINT_SIZE_MAX,
    Reader,
    from_utf8,
    put_text,
    put_varint,
    put_zigzag,
    to_utf8,
)

VARINT_MAX = (1 << 63) - 1
BAD_UTF8 = (
    b"\x80",
    b"\xbf",
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xc3\x41",
    b"\xff",
    b"\xfe",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
)
# The first and the last character of every length, and around the surrogates.
EDGES = "\x00\x7f\x80\u07ff\u0800\u0fff\u1000\ucfff\ud7ff\ue000\uffff\U00010000\U0010ffff"


def varint(value):
    out = bytearray()
    put_varint(out, value)
    return bytes(out)


def numbers():
    """Both sides of every boundary of seven bits, as far as a varint goes."""
    found = {0, VARINT_MAX}
    for bits in range(1, 63):
        found.update(((1 << bits) - 1, 1 << bits, (1 << bits) + 1))
    return sorted(found)


def test_varints_are_leb128():
    # Source: the LEB128 examples of DWARF 5, section 7.6, and of Protocol Buffers.
    for value, hexed in ((2, "02"), (127, "7f"), (128, "8001"), (150, "9601"), (12857, "b964")):
        assert varint(value) == bytes.fromhex(hexed), value


def test_a_varint_reads_back_as_itself():
    for value in numbers():
        reader = Reader(varint(value))
        assert reader.varint() == value
        assert reader.at_end()


def test_a_varint_takes_at_most_nine_bytes():
    assert len(varint(VARINT_MAX)) == VARINT_SIZE_MAX
    for data in (b"\x80" * 9 + b"\x01", b"\xff" * 9 + b"\x01", b"\xff" * 100):
        with raises(FormatError, "too long"):
            Reader(data).varint()


def test_a_varint_longer_than_it_needs_to_be_is_refused():
    for data in (b"\x80\x00", b"\xff\x00", b"\x81\x80\x00"):
        with raises(FormatError, "shortest"):
            Reader(data).varint()


def test_a_zigzag_reads_back_as_itself():
    for value in numbers():
        if value < 1 << 62:
            for signed in (value, -value, -value - 1):
                out = bytearray()
                put_zigzag(out, signed)
                assert Reader(bytes(out)).zigzag() == signed


def test_small_zigzags_of_either_sign_are_short():
    for value, byte in ((0, 0), (-1, 1), (1, 2), (-2, 3), (2, 4), (-64, 127)):
        out = bytearray()
        put_zigzag(out, value)
        assert out == bytes([byte])


def test_text_reads_back_as_itself():
    for text in ("", "temp", EDGES, "é" * 100):
        out = bytearray()
        put_text(out, text)
        reader = Reader(bytes(out))
        assert reader.text(300) == text
        assert reader.at_end()


def test_every_cut_is_noticed():
    out = bytearray()
    put_varint(out, 300)
    put_zigzag(out, -5)
    put_text(out, "text")
    out += b"four"
    for size in range(len(out)):
        reader = Reader(bytes(out[:size]))
        with raises(FormatError):
            reader.varint()
            reader.zigzag()
            reader.text(100)
            reader.take(4)


def test_a_length_above_its_bound_is_refused_before_its_bytes_are_taken():
    reader = Reader(b"\x05hello")
    with raises(FormatError, "count 5 above 4"):
        reader.text(4)
    assert Reader(b"\x04").count(4) == 4


def test_bytes_that_are_not_utf8_are_refused_alike_on_every_runtime():
    for raw in BAD_UTF8:
        for data in (raw, b"a" + raw, raw + b"a", "é".encode() + raw):
            with raises(FormatError):
                from_utf8(data)


def test_every_character_reads_back_as_itself():
    for character in EDGES:
        assert from_utf8(to_utf8(character)) == character
    random = Random(1)
    for _ in range(200):
        code = random.below(0x110000)
        if not 0xD800 <= code < 0xE000:
            assert from_utf8(to_utf8(chr(code))) == chr(code), code


def test_half_a_surrogate_pair_has_no_utf8():
    for code in (0xD800, 0xDBFF, 0xDC00, 0xDFFF):
        for text in (chr(code), "é" + chr(code), chr(code) + "a"):
            with raises(ValueError):
                to_utf8(text)


def test_any_bytes_are_read_or_refused():
    for seed in range(300):
        random = Random(seed)
        data = random.bytes(random.below(40))
        reader = Reader(data)
        methods = (reader.byte, reader.varint, reader.zigzag)
        try:
            while True:
                before = reader.position
                if random.below(4):
                    random.choice(methods)()
                else:
                    reader.text(random.below(20))
                assert before < reader.position <= len(data), "seed %d" % seed
        except FormatError:
            pass
        assert reader.position <= len(data), "seed %d" % seed
