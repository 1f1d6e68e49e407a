"""The portable codec: one encoding of each value, and nothing read that is not one value."""

from binascii import hexlify, unhexlify
from hashlib import sha256

from helpers import Random, raises
from vectors.cases import load, same, value

from edge_peer.core.codec import DEPTH_MAX, pack, unpack
from edge_peer.core.errors import FormatError
from edge_peer.core.unpack import value_end


def is_storable(item):
    """Whether a document may hold it: no NaN, no infinity, no integer of 64 bits without sign."""
    if isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, (list, tuple)):
        return all([is_storable(one) for one in item])
    if isinstance(item, float):
        return item - item == 0
    return not isinstance(item, int) or item < 1 << 63


def ends(data, item):
    """Whether value_end finds the end of `item`, or refuses what no document may hold."""
    try:
        return value_end(data, 0) == len(data) and is_storable(item)
    except FormatError:
        return not is_storable(item)


def test_every_vector_is_written_and_read():
    for case in load("codec")["values"]:
        if case.get("host_only"):
            continue
        built = value(case["value"])
        data = pack(built)
        if "hex" in case:
            assert hexlify(data).decode() == case["hex"], case["name"]
        else:
            assert len(data) == case["size"], case["name"]
            assert hexlify(sha256(data).digest()).decode() == case["sha256"], case["name"]
        assert same(unpack(data), built), case["name"]
        assert ends(data, unpack(data)), case["name"]


def test_legal_forms_that_are_not_ours_are_read():
    for case in load("codec")["read_only"]:
        data = unhexlify(case["hex"])
        assert same(unpack(data), value(case["value"])), case["name"]
        assert ends(data, unpack(data)), case["name"]
        assert same(unpack(pack(unpack(data))), unpack(data)), case["name"]


def test_what_is_not_one_value_is_refused():
    for case in load("codec")["refused"]:
        try:
            found = unpack(unhexlify(case["hex"]))
        except FormatError:
            continue
        raise AssertionError("%s was read as %r" % (case["name"], found))


def test_what_nobody_could_unpack_has_no_end():
    for case in load("codec")["refused"]:
        data = unhexlify(case["hex"])
        try:
            end = value_end(data, 0)
        except FormatError:
            continue
        assert end < len(data), case["name"]  # one whole value, and bytes behind it


def test_a_value_ends_where_the_next_begins():
    values = [None, 1, -200, 1.5, "text", b"bytes", [1, [2]], {"a": {"b": []}}, 1 << 60, "é" * 99]
    data = b"".join([pack(item) for item in values])
    position = 0
    for item in values:
        end = value_end(data, position)
        assert same(unpack(data[position:end]), item)
        position = end
    assert position == len(data)


def test_every_cut_is_noticed():
    data = pack({"a": [1, -1, 1000, 1.5, True, None], "b": "text", "c": b"bytes", "d": "x" * 40})
    for size in range(len(data)):
        with raises(FormatError):
            unpack(data[:size])
        with raises(FormatError):
            value_end(data[:size], 0)


def test_a_map_has_one_encoding_whatever_its_order():
    names = ["b", "a", "", "é", "aa", "B", "z", "€", "\uffff", "\U00010000"]
    expected = pack({name: 0 for name in names})
    for seed in range(20):
        random = Random(seed)
        left = list(names)
        fields = {}
        while left:
            fields[left.pop(random.below(len(left)))] = 0
        assert pack(fields) == expected, "seed %d" % seed
    assert [key.encode() for key in names if key] and unpack(expected) == {n: 0 for n in names}


def test_tuples_and_bytearrays_are_written_as_arrays_and_bin():
    assert pack((1, (2,))) == pack([1, [2]])
    assert pack(bytearray(b"raw")) == pack(b"raw")


def test_what_messagepack_cannot_say_is_the_callers_mistake():
    for bad in (
        object(),
        {1, 2},
        1 << 64,
        -(1 << 63) - 1,
        {1: 2},
        {b"a": 1},
        {"a": {None: 1}},
        len,
    ):
        with raises(TypeError):
            pack(bad)
        with raises(TypeError):
            pack([bad])


def test_half_a_surrogate_pair_is_not_text():
    for bad in (chr(0xD83D), "a" + chr(0xDE00), {chr(0xD800): 1}):
        with raises(TypeError):
            pack(bad)


def test_nesting_has_a_bound_in_both_directions():
    deepest = []
    for _ in range(DEPTH_MAX):
        deepest = [deepest]
    assert unpack(pack(deepest)) == deepest
    with raises(TypeError, "nested"):
        pack([deepest])
    data = b"\x91" + pack(deepest)
    with raises(FormatError, "nested"):
        unpack(data)
    with raises(FormatError, "nested"):
        value_end(data, 0)
    assert value_end(pack([]), 0, DEPTH_MAX) == 1


def test_a_list_that_contains_itself_is_refused():
    endless = []
    endless.append(endless)
    with raises(TypeError, "nested"):
        pack(endless)


def test_a_claimed_length_costs_no_memory():
    for head in (b"\xdd", b"\xdf", b"\xdb", b"\xc6"):
        for claimed in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"):
            with raises(FormatError):
                unpack(head + claimed + b"\xc0" * 8)
            with raises(FormatError):
                value_end(head + claimed + b"\xc0" * 8, 0)


def test_any_values_read_back_as_themselves():
    for seed in range(200):
        random = Random(seed)
        item = any_value(random, 4)
        data = pack(item)
        assert same(unpack(data), item), "seed %d" % seed
        assert ends(data, item), "seed %d" % seed


def test_damaged_bytes_are_read_or_refused_and_the_two_readers_agree():
    for seed in range(500):
        random = Random(seed)
        data = bytearray(pack(any_value(random, 3)))
        for _ in range(1 + random.below(3)):
            data[random.below(len(data))] = random.below(256)
        data = bytes(data)
        try:
            item = unpack(data)
        except FormatError:
            try:
                assert value_end(data, 0) != len(data), "seed %d" % seed
            except FormatError:
                pass
        else:
            assert ends(data, item), "seed %d" % seed


def any_value(random, depth):
    kind = random.below(8 if depth else 6)
    if kind == 0:
        return random.choice((None, True, False))
    if kind == 1:
        return random.below(1 << random.below(31)) - random.below(1 << random.below(31))
    if kind == 2:
        return random.below(1000) * (1 << random.below(54)) * random.choice((1, -1))
    if kind == 3:
        return (random.below(2000) - 1000) / 8
    if kind == 4:
        return "".join([random.choice("ab \x00é€\U0001f600") for _ in range(random.below(40))])
    if kind == 5:
        return random.bytes(random.below(300))
    if kind == 6:
        return [any_value(random, depth - 1) for _ in range(random.below(20))]
    fields = {}
    for _ in range(random.below(20)):
        key = str(random.below(100))  # first, on every runtime
        fields[key] = any_value(random, depth - 1)
    return fields
