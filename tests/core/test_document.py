"""Documents: one encoding, a merge that no order changes, and what applications see."""

from binascii import hexlify, unhexlify

from helpers import Random, raises
from vectors.cases import load, same, value

from edge_peer.core.clock import STAMP_MAX
from edge_peer.core.codec import DEPTH_MAX, pack, unpack
from edge_peer.core.document import (
    ATTACHMENT,
    BIRTH,
    CELL_COUNT_MAX,
    COUNTER,
    FIELD_COUNT_MAX,
    LIFE,
    NIL,
    PATH_BYTES_MAX,
    REGISTER,
    REMOVED,
    SEQ_MAX,
    VALUE_BYTES_MAX,
    Cell,
    decode,
    dots_of,
    encode,
    encode_new,
    flatten,
    is_deleted,
    make,
    merge,
    order,
    runs_of,
)
from edge_peer.core.errors import FormatError
from edge_peer.core.kinds import ENTRY, Attachment, packed_token
from edge_peer.core.query.view import fields_of, view

AUTHORS = (bytes(8), b"author-a", b"author-b", b"\xff" * 8)
PATHS = ("a", "b", "c", "m\0a", "m\0b", "m", "é")
# Whole numbers, 0.1 in 64 bits and in 32, which no board could write itself
VALUES = (pack(0), pack(1), pack(2), unhexlify("cb3fb999999999999a"), unhexlify("ca3dcccccd"))


def from_case(cells):
    document = {}
    for cell in cells:
        path, stamp, author, seq, packed = cell[:5]
        kind = cell[5] if len(cell) > 5 else REGISTER
        document[path] = Cell(stamp, unhexlify(author), seq, kind, unhexlify(packed))
    return document


def any_write(random, old=None):
    """One write: cells that share a stamp and a dot. Few stamps, so that many collide."""
    author = random.choice(AUTHORS)
    stamp = 1 + random.below(6)
    if old:
        stamp = max(stamp, max([cell.stamp for cell in old.values()]))
    changes = {}
    for _ in range(1 + random.below(3)):
        path = random.choice(PATHS)
        kind = random.below(12)
        if kind == 0:
            changes[path] = (REMOVED, None)
        elif kind == 1:
            changes[path] = (COUNTER, random.below(9) - 3)
        elif kind == 2:
            changes[path] = (ATTACHMENT, packed_token(Attachment(bytes(16), random.below(9), "")))
        elif kind == 3:
            changes[LIFE] = (REMOVED, None)
        elif kind == 4:
            changes[BIRTH] = NIL
        else:
            changes[path] = random.choice(VALUES)
    return make(changes, stamp, author, 1 + random.below(4), old)


def any_document(random):
    document = any_write(random)
    for _ in range(random.below(6)):
        merge(document, any_write(random, random.choice((None, document))))
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
        body = unhexlify(case["hex"])
        fields = value(case["fields"])  # null: it is deleted
        assert same(fields_of(body, unpack), fields), case["name"]
        assert same(view(decode(body), unpack), fields or {}), case["name"]


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
        for sequence in ((a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)):
            assert encode(merged(*sequence)) == expected, "seed %d" % seed
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
        sequence = [random.choice(cells) for _ in range(20)] + cells
        assert encode(merged(*sequence)) == expected, "seed %d" % seed


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
        with raises(FormatError):
            dots_of(data[:size])


def test_the_dots_are_read_without_the_cells():
    for seed in range(100):
        document = any_document(Random(seed))
        assert dots_of(encode(document)) == [dot for dot, _ in runs_of(document)], "seed %d" % seed


def test_a_new_document_is_encoded_as_its_cells_are():
    for changes in (
        {"b": pack(1), "a": pack("x" * 300), "m\0a": pack(None)},
        {"a": pack(2), "n": (COUNTER, 3)},
    ):
        made = make(changes, 5, AUTHORS[1], 700)
        assert encode_new(changes, 5, AUTHORS[1], 700) == encode(made)


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


# Beside values

ONE, TWO, THREE = AUTHORS[1], AUTHORS[2], AUTHORS[3]


def written(*writes):
    """Return the document of these (changes, stamp, author), each made with the others at hand."""
    document = {}
    for changes, stamp, author in writes:
        merge(document, make(changes, stamp, author, stamp, document))
    return document


def test_a_removed_field_is_gone_with_those_below_it():
    document = written(
        ({"a": pack(1), "m\0x": pack(2), "m\0y\0z": pack(3), "mm": pack(4)}, 1, ONE),
        ({"m": (REMOVED, None), "a": (REMOVED, None)}, 2, TWO),
    )
    assert view(document, unpack) == {"mm": 4}
    assert decode(encode(document)) == document
    merge(document, make({"m\0x": pack(5)}, 3, ONE, 9))
    assert view(document, unpack) == {"mm": 4, "m": {"x": 5}}


def test_a_write_that_the_remover_had_not_seen_stays():
    first = make({"a": pack(1)}, 5, ONE, 1)
    removal = make({"a": (REMOVED, None)}, 9, TWO, 1, first)
    newer = make({"a": pack(2)}, 6, THREE, 1)  # before the removal in time, and unknown to it
    for writes in ((first, removal, newer), (newer, removal, first)):
        assert view(merged(*writes), unpack) == {"a": 2}
    assert view(merged(first, removal), unpack) == {}


def test_a_map_that_is_set_anew_keeps_only_its_new_fields():
    document = written(
        ({"m\0x": pack(1), "m\0y": pack(2)}, 1, ONE),
        ({"m": (REMOVED, None), "m\0x": pack(7)}, 2, ONE),
    )
    assert view(document, unpack) == {"m": {"x": 7}}


def test_what_several_add_to_a_counter_is_added_up():
    start = written(({"n": (COUNTER, 5)}, 1, ONE))
    ours = merged(start, make({"n": (COUNTER, 2)}, 2, ONE, 2, start))
    theirs = merged(start, make({"n": (COUNTER, -10)}, 2, TWO, 1, start))
    for document in (merged(ours, theirs), merged(theirs, ours, start)):
        assert view(document, unpack) == {"n": -3}
    assert len(merged(ours, theirs)) == 2  # one entry each


def test_adding_needs_no_knowledge_of_the_total():
    document = written(({"n": (COUNTER, 5)}, 1, ONE), ({"n": (COUNTER, 1)}, 2, ONE))
    evicted_and_counted_again = make({"n": (COUNTER, 3)}, 3, ONE, 3)
    merge(document, evicted_and_counted_again)
    assert view(document, unpack) == {"n": 9}
    merge(document, make({"n": (COUNTER, 1)}, 4, ONE, 4, document))
    assert view(document, unpack) == {"n": 10} and len(document) == 2


def test_a_counter_goes_on_from_a_number_and_is_set_back_by_one():
    document = written(({"n": pack(100)}, 1, ONE), ({"n": (COUNTER, 5)}, 2, TWO))
    assert view(document, unpack) == {"n": 105}
    merge(document, make({"n": pack(0)}, 3, ONE, 3, document))
    assert view(document, unpack) == {"n": 0}
    merge(document, make({"n": (COUNTER, 7)}, 4, TWO, 4, document))
    assert view(document, unpack) == {"n": 7}
    merge(document, make({"n": (REMOVED, None)}, 5, ONE, 5, document))
    assert view(document, unpack) == {}
    merge(document, make({"n": (COUNTER, 1)}, 6, TWO, 6, document))
    assert view(document, unpack) == {"n": 1}


def test_a_counter_begins_anew_with_a_document_that_is_created_again():
    first = written(({"n": (COUNTER, 100)}, 1, ONE))
    delete = make({LIFE: (REMOVED, None)}, 5, TWO, 5, first)
    again = make({LIFE: (REMOVED, None), BIRTH: NIL, "a": pack(1)}, 6, TWO, 6)
    crossing = make({"n": (COUNTER, 1)}, 7, ONE, 7, first)  # by one who knew of neither
    for writes in ((first, delete, again, crossing), (crossing, again, delete, first)):
        document = merged(*writes)
        assert view(document, unpack) == {"a": 1}
        merge(document, make({"n": (COUNTER, 2)}, 8, ONE, 8, document))
        assert view(document, unpack) == {"a": 1, "n": 2}
    again = make({LIFE: (REMOVED, None), BIRTH: NIL, "n": (COUNTER, 3)}, 9, ONE, 9)
    document = merged(delete, again)
    assert view(document, unpack) == {"n": 3}


def test_a_counter_that_would_leave_64_bits_is_refused():
    document = written(({"n": (COUNTER, (1 << 63) - 1)}, 1, ONE))
    with raises(ValueError, "64 bits"):
        make({"n": (COUNTER, 1)}, 2, ONE, 2, document)
    with raises(ValueError, "at most"):
        make({"n" * 120: (COUNTER, 1)}, 2, ONE, 2)


def test_an_attachment_is_a_token():
    token = Attachment(b"0123456789abcdef", 5_000_000, "image/jpeg")
    document = written(({"photo": (ATTACHMENT, packed_token(token))}, 1, ONE))
    seen = view(decode(encode(document)), unpack)["photo"]
    assert isinstance(seen, Attachment) and seen == token
    bad_tokens = ((b"short", 5, ""), (bytes(16), 5, "t" * 65), ("x", 5, ""))
    for bad in bad_tokens + tuple([(bytes(16), size, "") for size in (-1, 0.5, True, 1 << 63)]):
        with raises(ValueError):
            packed_token(Attachment(*bad))


def test_an_attachment_of_a_map_that_is_set_anew_stays_in_whatever_order_it_is_named():
    token = packed_token(Attachment(bytes(16), 1, ""))
    old = written(({"m\0p": (COUNTER, 1), "m\0q": pack(2)}, 1, ONE))
    for names in (("m", "m\0p"), ("m\0p", "m")):
        changes = {}
        for name in names:
            changes[name] = (REMOVED, None) if name == "m" else (ATTACHMENT, token)
        document = merged(old, make(changes, 2, ONE, 2, old))
        assert view(document, unpack) == {"m": {"p": Attachment(bytes(16), 1, "")}}


def test_a_deleted_document_is_small_and_invisible():
    document = written(({"a": pack(1), "b": pack(2)}, 1, ONE), ({LIFE: (REMOVED, None)}, 2, TWO))
    assert is_deleted(document) and len(document) == 1
    assert view(document, unpack) == {} and fields_of(encode(document), unpack) is None
    assert len(encode(document)) <= 21


def test_an_update_that_crosses_a_delete_does_not_bring_the_document_back():
    first = make({"a": pack(1), "b": pack(1)}, 1, ONE, 1)
    delete = make({LIFE: (REMOVED, None)}, 5, TWO, 1, first)
    for stamp in (3, 9):  # before the delete, and after it
        update = make({"a": pack(2)}, stamp, THREE, 1, first)
        for writes in ((first, delete, update), (update, delete, first)):
            assert fields_of(encode(merged(*writes)), unpack) is None


def test_a_document_that_is_created_again_has_nothing_of_its_former_life():
    first = make({"a": pack(1), "b": pack(1)}, 1, ONE, 1)
    delete = make({LIFE: (REMOVED, None)}, 5, TWO, 1, first)
    again = make({LIFE: (REMOVED, None), BIRTH: NIL, "a": pack(3)}, 6, TWO, 2)
    old_update = make({"b": pack(9)}, 3, THREE, 1, first)
    for writes in ((first, delete, again, old_update), (old_update, again, delete, first)):
        document = merged(*writes)
        assert view(document, unpack) == {"a": 3}
        assert fields_of(encode(document), unpack) == {"a": 3}


def test_an_insert_by_one_who_knew_of_no_delete_brings_the_document_back():
    first = make({BIRTH: NIL, "a": pack(1), "b": pack(1)}, 1, ONE, 1)
    delete = make({LIFE: (REMOVED, None)}, 5, TWO, 1, first)
    for stamp, seen in ((3, None), (9, {"a": 3})):  # before the delete, and after it
        again = make({BIRTH: NIL, "a": pack(3)}, stamp, THREE, 1)
        update = make({"c": pack(4)}, 10, ONE, 2, first)
        for writes in ((first, delete, again), (again, delete, first)):
            document = merged(*writes)
            assert fields_of(encode(document), unpack) == seen
            assert view(document, unpack) == (seen or {})
            merge(document, update)
            shown = None if seen is None else {"a": 3, "c": 4}
            assert fields_of(encode(document), unpack) == shown


def test_birth_and_life_stay_of_however_many_cells():
    many = make({"%03d" % i: pack(i) for i in range(256)}, 9, ONE, 2)
    for first in (
        make({BIRTH: NIL, "x": pack(1)}, 1, ONE, 1),
        make({BIRTH: NIL, LIFE: (REMOVED, None), "x": pack(1)}, 1, ONE, 1),
    ):
        document = merged(first, many)
        assert len(document) == 256 and BIRTH in document
        assert document == merged(many, first) and not is_deleted(document)


def test_a_cell_that_no_writer_makes_is_refused():
    bad = (
        ("a", REMOVED, NIL),
        ("a", REMOVED, pack((9).to_bytes(6, "big") + ONE)),  # seen later than removed
        ("a", REMOVED, pack(bytes(13))),
        ("a", COUNTER, pack(1)),
        ("a" + ENTRY + "x" * 19, COUNTER, pack(1)),
        ("a", ATTACHMENT, pack([bytes(15), 1, ""])),
        ("a", ATTACHMENT, pack({})),
        (LIFE, REGISTER, NIL),
        (BIRTH, REGISTER, pack(1)),
        (BIRTH, REMOVED, NIL),
        (BIRTH, REMOVED, pack((4).to_bytes(6, "big") + ONE)),
        (BIRTH, ATTACHMENT, packed_token(Attachment(bytes(16), 1, ""))),
        (LIFE, COUNTER, NIL),
    )
    for path, kind, packed in bad:
        with raises(FormatError):
            decode(encode({path: Cell(5, ONE, 5, kind, packed)}))


def test_the_order_of_cells_is_total():
    for seed in range(100):
        random = Random(seed)
        cells = []
        for _ in range(3):
            cells += any_document(random).values()
        for one in cells:
            for other in cells:
                assert (order(one) == order(other)) == (one == other), "seed %d" % seed


def test_what_queries_see_is_what_a_view_shows():
    for seed in range(300):
        document = any_document(Random(seed))
        fields = fields_of(encode(document), unpack)
        if is_deleted(document):
            assert fields is None, "seed %d" % seed
        else:
            assert same(fields, view(document, unpack)), "seed %d" % seed


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
    fields = {str(i): 0 for i in range(FIELD_COUNT_MAX)}
    assert len(decode(encode(make(flatten(fields, pack), 1, AUTHORS[1], 1)))) == FIELD_COUNT_MAX
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
