"""The host's codec: core/codec.py's twin, by the msgpack package. CPython only."""

import enum
import hashlib

import msgpack
import pytest
from vectors.cases import load, same, value

from edge_peer.core import codec as portable
from edge_peer.core.errors import FormatError
from edge_peer.host import codec

VECTORS = load("codec")
BOTH = (codec, portable)


class Colour(enum.IntEnum):
    RED = 3


class Name(str):
    pass


class Fields(dict):
    pass


def names(cases):
    return [case["name"] for case in cases]


@pytest.mark.parametrize("case", VECTORS["values"], ids=names(VECTORS["values"]))
def test_every_vector_is_written_and_read_by_both(case):
    built = value(case["value"])
    for each in BOTH:
        data = each.pack(built)
        if "hex" in case:
            assert data.hex() == case["hex"]
        else:
            assert (len(data), hashlib.sha256(data).hexdigest()) == (case["size"], case["sha256"])
        assert same(each.unpack(data), built)


@pytest.mark.parametrize("case", VECTORS["read_only"], ids=names(VECTORS["read_only"]))
def test_legal_forms_that_are_not_ours_are_read(case):
    assert same(codec.unpack(bytes.fromhex(case["hex"])), value(case["value"]))


@pytest.mark.parametrize("case", VECTORS["refused"], ids=names(VECTORS["refused"]))
def test_what_is_not_one_value_is_refused(case):
    with pytest.raises(FormatError):
        codec.unpack(bytes.fromhex(case["hex"]))


@pytest.mark.parametrize(
    "bad",
    [
        object(),
        {1, 2},
        1 << 64,
        -(1 << 63) - 1,
        1j,
        range(3),
        memoryview(b"raw"),
        msgpack.Timestamp(0),
        {1: 2},
        {b"a": 1},
        {"a": {None: 1}},
        {1: 2, "a": 3},
        "half \ud800",
        {"\udfff": 1},
    ],
    ids=repr,
)
def test_what_messagepack_cannot_say_is_the_callers_mistake(bad):
    for each in BOTH:
        for whole in (bad, [bad], {"a": (bad,)}):
            with pytest.raises(TypeError):
                each.pack(whole)


@pytest.mark.parametrize(
    "item",
    [
        (1, (2, [])),
        bytearray(b"raw"),
        Colour.RED,
        Name("text"),
        Fields(b=1, a=Fields()),
        {Name("b"): 1, "a": Colour.RED},
        [True, 1, 1.0],
    ],
    ids=repr,
)
def test_what_python_takes_for_another_type_is_written_as_that(item):
    assert codec.pack(item) == portable.pack(item)
    assert codec.pack([item]) == portable.pack([item])


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1m"], ids=["arrays", "maps"])
@pytest.mark.parametrize("innermost", [b"\x90", b"\x80", b"\x01"], ids=["array", "map", "integer"])
@pytest.mark.parametrize("depth", [31, 32, 33, 34, 500, 5000])
def test_nesting_is_bounded_alike(opening, innermost, depth):
    data = opening * depth + innermost
    if depth <= portable.DEPTH_MAX:
        for each in BOTH:
            assert each.pack(each.unpack(data)) == data
        return
    for each in BOTH:
        with pytest.raises(FormatError):
            each.unpack(data)
    built = 1 if innermost == b"\x01" else [] if innermost == b"\x90" else {}
    for _ in range(min(depth, 500)):
        built = [built] if opening == b"\x91" else {"m": built}
    for each in BOTH:
        with pytest.raises(TypeError, match="nested"):
            each.pack(built)


def test_packing_leaves_the_value_as_it_is():
    item = {"b": [{"d": 1, "c": 2}], "a": 0}
    codec.pack(item)
    assert list(item) == ["b", "a"]
    assert list(item["b"][0]) == ["d", "c"]


def test_a_refused_value_leaves_nothing_behind_in_the_packer():
    for bad in ([1, 2, object()], ["text", 1 << 64], ["a", "\ud800"]):
        with pytest.raises(TypeError):
            codec.pack(bad)
        assert codec.pack(1) == b"\x01"
