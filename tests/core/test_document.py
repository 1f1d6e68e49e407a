"""Documents: one encoding, a merge that no order changes, and what applications see."""

from binascii import hexlify, unhexlify

from helpers import Random, raises
from vectors.cases import load, same, value

from edge_peer.core.clock import STAMP_MAX
from edge_peer.core.codec import DEPTH_MAX, pack, unpack
from edge_peer.core.document import (
    CELL_COUNT_MAX,
    PATH_BYTES_MAX,
    REGISTER,
    SEQ_MAX,
    VALUE_BYTES_MAX,
    Cell,
    decode,
    encode,
    flatten,
    make,
    merge,
    runs_of,
    take_cell_head,
    view,
)
from edge_peer.core.errors import FormatError
from edge_peer.core.packing import Reader

AUTHORS = (bytes(8), b"author-a", b"author-b", b"\xff" * 8)
PATHS = ("a", "b", "c", "m\0a", "m\0b", "m", "é")


def from_case(cells):
    document = {}
    for path, stamp, author, seq, packed in cells:
        document[path] = Cell(stamp, unhexlify(author), seq, REGISTER, unhexlify(packed))
    return document


def any_write(random, paths=PATHS):
    """One write: fields that share a stamp and a dot. Few stamps, so that many collide."""
    author = random.choice(AUTHORS)
    stamp = 1 + random.below(6)
    values = {}
    for _ in range(1 + random.below(3)):
        values[random.choice(paths)] = pack(random.below(3))
    return make(values, stamp, author, 1 + random.below(4))


def any_document(random):
    document = any_write(random)
    for _ in range(random.below(4)):
        merge(document, any_write(random))
    return document


def merged(*all_documents):
    result = {}
    for document in all_documents:
        merge(result, document)
    return result


def test_every_vector_is_written_and_read():
    for case in load("document")["documents"]:
        document = from_case(case["cells"])
        assert hexlify(encode(document)).decode() == case["hex"], case["name"]
        assert decode(unhexlify(case["hex"])) == document, case["name"]


def test_every_merge_vector_gives_its_bytes_from_both_sides():
    for case in load("document")["merges"]:
        for one, other in (("ours", "theirs"), ("theirs", "ours")):
            document = decode(unhexlify(case[one]))
            merge(document, decode(unhexlify(case[other])))
            assert hexlify(encode(document)).decode() == case["merged"], case["name"]


def test_every_view_vector_is_seen():
    for case in load("document")["views"]:
        document = decode(unhexlify(case["hex"]))
        assert same(view(document, unpack), value(case["fields"])), case["name"]


def test_what_is_not_one_document_is_refused():
    for case in load("document")["refused"]:
        try:
            decode(unhexlify(case["hex"]))
        except FormatError:
            continue
        raise AssertionError(case["name"] + " was read")


def test_merging_is_commutative_associative_and_idempotent_byte_for_byte():
    for seed in range(300):
        random = Random(seed)
        a, b, c = [any_document(random) for _ in range(3)]
        expected = encode(merged(a, b, c))
        for order in ((a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)):
            assert encode(merged(*order)) == expected, "seed %d" % seed
        assert encode(merged(a, merged(b, c))) == expected, "seed %d" % seed
        assert encode(merged(merged(a, b), merged(b, c))) == expected, "seed %d" % seed


def test_merging_says_whether_something_was_new():
    for seed in range(200):
        random = Random(seed)
        document = any_document(random)
        other = any_document(random)
        before = encode(document)
        changed = merge(document, other)
        assert changed == (encode(document) != before), "seed %d" % seed
        assert not merge(document, other), "seed %d" % seed
        assert not merge(document, dict(document)), "seed %d" % seed


def test_merging_leaves_the_other_document_as_it_is():
    random = Random(3)
    ours, theirs = any_document(random), any_document(random)
    before = encode(theirs)
    merge(ours, theirs)
    merge(ours, any_document(random))
    assert encode(theirs) == before


def test_a_writer_that_uses_a_stamp_twice_divides_nobody():
    author = AUTHORS[1]
    cells = []
    for seq in (1, 2):
        for number in (1, 2):
            cells.append({"a": Cell(5, author, seq, REGISTER, pack(number))})
    expected = encode(merged(*cells))
    for seed in range(50):
        random = Random(seed)
        order = [random.choice(cells) for _ in range(20)] + cells
        assert encode(merged(*order)) == expected, "seed %d" % seed


def test_of_too_many_fields_all_peers_keep_the_same():
    def write(first, count, stamp):
        values = {"%04d" % i: pack(1) for i in range(first, first + count)}
        return make(values, stamp, AUTHORS[1], stamp)

    writes = [write(60 * i, 60, 1 + (i * 5 % 8)) for i in range(8)]
    expected = encode(merged(*writes))
    document = decode(expected)
    assert len(document) == CELL_COUNT_MAX
    assert min([cell.stamp for cell in document.values()]) == 4  # 8 to 5, and 16 of the next 60
    for seed in range(5):
        random = Random(seed)
        left = list(writes)
        result = {}
        while left:
            part = left.pop(random.below(len(left)))
            merge(result, part)
            assert not merge(result, part), "seed %d" % seed
        assert encode(result) == expected, "seed %d" % seed


def test_any_document_reads_back_as_itself():
    for seed in range(200):
        document = any_document(Random(seed))
        data = encode(document)
        assert decode(data) == document, "seed %d" % seed
        assert encode(decode(data)) == data, "seed %d" % seed


def test_the_largest_numbers_read_back():
    document = make({"a": b"\x01"}, STAMP_MAX, AUTHORS[3], SEQ_MAX)
    assert decode(encode(document)) == document


def test_every_cut_is_noticed():
    data = encode(any_document(Random(5)))
    for size in range(len(data)):
        with raises(FormatError):
            decode(data[:size])


def test_damaged_bytes_are_read_or_refused_and_what_is_read_can_be_written():
    for seed in range(500):
        random = Random(seed)
        data = bytearray(encode(any_document(random)))
        for _ in range(1 + random.below(3)):
            data[random.below(len(data))] = random.below(256)
        try:
            document = decode(bytes(data))
        except FormatError:
            continue
        assert decode(encode(document)) == document, "seed %d" % seed


def test_one_write_is_one_run():
    document = make({"b": b"\x01", "a": b"\x02"}, 5, AUTHORS[1], 7)
    merge(document, make({"c": b"\x03"}, 5, AUTHORS[0], 9))
    assert runs_of(document) == [((5, AUTHORS[0], 9), ["c"]), ((5, AUTHORS[1], 7), ["a", "b"])]


def test_a_kind_of_a_newer_version_is_refused_and_not_mistaken_for_a_value():
    for kind in (1, 2, 3):
        with raises(FormatError, "newer version"):
            take_cell_head(Reader(bytes([1 << 2 | kind]) + b"a"))


# What an application writes and sees


def test_fields_come_back_as_they_were_written():
    fields = {
        "temp": 21.5,
        "count": -3,
        "site": "A",
        "on": True,
        "off": None,
        "raw": b"\x00\xff",
        "list": [1, {"deep": [2]}],
        "map": {"x": 1, "inner": {"y": 2}},
        "empty map": {},
        "empty list": [],
        "é": "ü",
    }
    document = make(flatten(fields, pack), 1, AUTHORS[1], 1)
    assert same(view(document, unpack), fields)
    assert same(view(decode(encode(document)), unpack), fields)


def test_fields_of_a_map_are_merged_one_by_one():
    document = make(flatten({"m": {"a": 1, "b": 1}}, pack), 1, AUTHORS[1], 1)
    merge(document, make(flatten({"m": {"b": 2, "c": 2}}, pack), 2, AUTHORS[2], 1))
    assert view(document, unpack) == {"m": {"a": 1, "b": 2, "c": 2}}


def test_an_array_is_one_value():
    document = make(flatten({"list": [1, 2, 3]}, pack), 1, AUTHORS[1], 1)
    merge(document, make(flatten({"list": [4]}, pack), 2, AUTHORS[2], 1))
    assert view(document, unpack) == {"list": [4]}


def test_what_peers_see_does_not_depend_on_the_order_of_arrival():
    for seed in range(200):
        random = Random(seed)
        writes = [any_write(random) for _ in range(5)]
        first = view(merged(*writes), unpack)
        second = view(merged(*[writes[i] for i in (3, 1, 4, 0, 2)]), unpack)
        assert same(first, second), "seed %d" % seed


def test_a_value_that_a_document_cannot_hold_is_refused():
    nan = float("inf") - float("inf")
    for bad in (
        nan,
        float("inf"),
        float("-inf"),
        1 << 63,
        -(1 << 63) - 1,
        object(),
        {1, 2},
        "half " + chr(0xD800),
    ):
        for fields in ({"a": bad}, {"a": [bad]}, {"a": {"b": bad}}, {"a": [{"b": bad}]}):
            with raises((TypeError, ValueError)):
                flatten(fields, pack)


def test_a_name_that_a_path_cannot_hold_is_refused():
    for bad in ("", "a\0b", 1, None, b"a", "half " + chr(0xDFFF), "n" * (PATH_BYTES_MAX + 1)):
        for fields in ({bad: 1}, {"a": {bad: 1}}):
            with raises((TypeError, ValueError)):
                flatten(fields, pack)
    assert flatten({"n" * PATH_BYTES_MAX: 1}, pack)


def test_a_map_inside_an_array_has_text_for_keys():
    for bad in (1, None, b"a"):
        with raises(TypeError):
            flatten({"a": [{bad: 1}]}, pack)


def test_a_document_has_bounds():
    fields = {str(i): 0 for i in range(CELL_COUNT_MAX)}
    assert len(decode(encode(make(flatten(fields, pack), 1, AUTHORS[1], 1)))) == CELL_COUNT_MAX
    fields["one more"] = 0
    with raises(ValueError, "at most"):
        flatten(fields, pack)
    with raises(ValueError, "at most"):
        flatten({"a": 0}, lambda value: range(VALUE_BYTES_MAX + 1))  # as long as so many bytes


def test_a_document_nests_as_deep_as_a_value():
    for make_inner in (lambda inner: {"m": inner}, lambda inner: [inner]):
        fields = {"m": 1}
        for _ in range(DEPTH_MAX - 1):
            fields = {"m": make_inner(fields["m"])}
        document = decode(encode(make(flatten(fields, pack), 1, AUTHORS[1], 1)))
        assert view(document, unpack) == fields
        assert unpack(pack(fields)) == fields
        with raises(ValueError, "nested"):
            flatten({"m": make_inner(fields["m"])}, pack)


def test_a_map_that_contains_itself_is_refused():
    endless = {}
    endless["a"] = endless
    with raises(ValueError):
        flatten(endless, pack)
