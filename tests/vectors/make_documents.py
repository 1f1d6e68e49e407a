"""
The vectors of documents, for make.py.

Layout, merge and view are written here a second time, as SPEC.md, "Documents", tells
them, and as simply as possible. Nothing of edge_peer is imported.
"""

from random import Random

import cases
import msgpack

# Documents: cells are [path, stamp, author, seq, value], and the kind unless it is a register


A, B = "00" * 7 + "0a", "f0" * 8
COUNTER, REMOVED, ATTACHMENT = 1, 2, 3
LIFE = ""
BIRTH = "\0"
TOKEN = "93c410" + "ab" * 16 + "ce004c4b40" + "aa" + b"image/jpeg".hex()  # 5,000,000 bytes
DOUBLE, SINGLE = "cb3fb999999999999a", "ca3dcccccd"  # 0.1, in 64 bits and in 32
TEMP, HUMIDITY, SITE_A, SITE_B = "cb4035800000000000", "2a", "a141", "a142"


def document():
    one = [["temp", 0x0123456789AB, A, 7, TEMP]]
    two = [*one, ["humidity", 0x0123456789AB, A, 7, HUMIDITY]]
    merged = [*two, ["site", 0x0123456789AC, B, 300, SITE_B]]
    return {
        "about": "SPEC.md, Documents. Cells: [path, stamp, author, seq, value, [kind]].",
        "documents": [
            _document_case("one field", one),
            _document_case("two fields of one write", two),
            _document_case("two authors", merged),
            _document_case("the smallest numbers", [["a", 1, "00" * 8, 1, "c0"]]),
            _document_case(
                "the largest numbers", [["a", 0xFEFFFFFFFFFF, "ff" * 8, 2**48 - 1, "c0"]]
            ),
            _document_case("nested", [["a\0b\0c", 5, A, 1, "01"], ["a\0d", 5, A, 1, "02"]]),
            _document_case("a name in UTF-8", [["\u20ac", 5, A, 1, "01"]]),
            _document_case("a name of 128 bytes", [["n" * 128, 5, A, 1, "01"]]),
            _document_case("a value of 128 bytes", [["v", 5, A, 1, "c47e" + "00" * 126]]),
            _document_case(
                "runs by stamp, then author, then seq",
                [["c", 5, A, 2, "01"], ["b", 5, A, 1, "01"], ["a", 5, B, 1, "01"]]
                + [["d", 4, B, 9, "01"]],
            ),
            _document_case("256 fields", [["%03d" % i, 5, A, 1, "01"] for i in range(256)]),
            _document_case("floats", [["double", 5, A, 1, DOUBLE], ["single", 5, A, 1, SINGLE]]),
            *[_document_case(name, cells) for name, cells, _ in KINDS],
        ],
        "merges": [
            _merge_case("different fields", one, [["site", 5, B, 1, SITE_A]]),
            _merge_case("the later stamp", [["s", 5, B, 1, SITE_A]], [["s", 6, A, 1, SITE_B]]),
            _merge_case("the larger author", [["s", 5, B, 1, SITE_A]], [["s", 5, A, 1, SITE_B]]),
            _merge_case("field by field", merged, [["temp", 5, B, 1, "01"], ["x", 5, B, 1, "02"]]),
            _merge_case("itself", merged, merged),
            _merge_case(
                "of 258 fields the 256 newest, of one write those with the last names",
                [["%03d" % i, 10, A, 2, "01"] for i in range(200)],
                [["%03d" % i, 9, B, 1, "01"] for i in range(200, 258)],
            ),
            *[_merge_case(*case) for case in _merges_of_kinds()],
            *[_merge_case(f"at random, {i}", *_random_documents(i, 2)) for i in range(40)],
        ],
        "views": [
            _view_case(
                "a map", [["m\0a", 5, A, 1, "01"], ["m\0b", 6, A, 2, "02"]], {"m": {"a": 1, "b": 2}}
            ),
            _view_case(
                "a value over a map", [["m\0a", 5, A, 1, "01"], ["m", 6, B, 1, "02"]], {"m": 2}
            ),
            _view_case(
                "a map over a value",
                [["m\0a", 7, A, 1, "01"], ["m", 6, B, 1, "02"]],
                {"m": {"a": 1}},
            ),
            _view_case(
                "a value between two fields of a map",
                [["m\0a", 5, A, 1, "01"], ["m", 6, B, 1, "02"], ["m\0b", 7, A, 2, "03"]],
                {"m": {"b": 3}},
            ),
            _view_case("an empty map", [["m", 5, A, 1, "80"]], {"m": {}}),
            _view_case(
                "floats",
                [["double", 5, A, 1, DOUBLE], ["single", 5, A, 1, SINGLE]],
                {"double": _bits(DOUBLE), "single": {"$float": "3fb99999a0000000"}},
            ),
            *[_view_case(*case) for case in KINDS],
        ],
        "refused": [{"name": name, "hex": data} for name, data in _refused_documents()],
    }


def _bits(double):
    return {"$float": double[2:]}


def _entry(name, stamp, author):
    """The path of a counter's entry (SPEC.md, "Ids"): 48 bits in 8 digits, 64 in 11."""
    alphabet = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
    number = stamp << 66 | int(author, 16)
    return name + "\0\0" + "".join(alphabet[number >> 6 * i & 63] for i in reversed(range(19)))


def _seen(stamp, author):
    return "c40e" + stamp.to_bytes(6, "big").hex() + author


# Documents of each kind, and what is seen of them; None: they are deleted.
KINDS = [
    (
        "a counter of two",
        [[_entry("n", 5, A), 9, A, 4, "05", 1], [_entry("n", 6, B), 6, B, 1, "f6", 1]],
        {"n": -5},
    ),
    (
        "a counter that began after a number",
        [["n", 5, A, 1, "64"], [_entry("n", 6, B), 6, B, 1, "02", 1]],
        {"n": 102},
    ),
    (
        "a counter that began after a double",
        [["n", 5, A, 1, "cb4059100000000000"], [_entry("n", 6, B), 7, B, 2, "02", 1]],
        {"n": {"$float": "4059900000000000"}},
    ),
    (
        "a counter that began after a text",
        [["n", 5, A, 1, SITE_A], [_entry("n", 6, B), 6, B, 1, "02", 1]],
        {"n": 2},
    ),
    (
        "a counter that began before a number",
        [[_entry("n", 4, B), 9, B, 1, "02", 1], ["n", 5, A, 1, "64"]],
        {"n": 100},
    ),
    (
        "of two entries the one that began after a number",
        [
            [_entry("n", 4, B), 9, B, 1, "02", 1],
            ["n", 5, A, 1, "07"],
            [_entry("n", 10, B), 10, B, 2, "03", 1],
        ],
        {"n": 10},
    ),
    (
        "a counter in a map",
        [[_entry("m\0n", 5, A), 5, A, 1, "07", 1], ["m\0x", 5, A, 1, "01"]],
        {"m": {"n": 7, "x": 1}},
    ),
    (
        "the largest counters",
        [
            [_entry("n", 5, A), 5, A, 1, "cf7fffffffffffffff", 1],
            [_entry("o", 5, A), 5, A, 1, "d38000000000000001", 1],
        ],
        {"n": 2**63 - 1, "o": 1 - 2**63},
    ),
    (
        "a counter over a map",
        [["m\0x", 5, A, 1, "01"], [_entry("m", 6, B), 6, B, 1, "02", 1]],
        {"m": 2},
    ),
    (
        "a removed field",
        [["a", 9, B, 1, _seen(5, A), 2], ["b", 5, A, 1, DOUBLE]],
        {"b": _bits(DOUBLE)},
    ),
    (
        "a counter set back by its removal",
        [["n", 9, A, 3, _seen(9, A), 2], [_entry("n", 5, B), 6, B, 2, "05", 1]],
        {},
    ),
    (
        "a counter that began after its removal",
        [
            ["n", 9, A, 3, _seen(9, A), 2],
            [_entry("n", 5, B), 6, B, 2, "05", 1],
            [_entry("n", 9, B), 9, B, 3, "01", 1],
        ],
        {"n": 1},
    ),
    (
        "an attachment",
        [["photo", 5, A, 1, TOKEN, 3], ["t", 5, A, 1, SINGLE]],
        {
            "photo": {"$attachment": ["ab" * 16, 5_000_000, "image/jpeg"]},
            "t": {"$float": "3fb99999a0000000"},
        },
    ),
    (
        "an attachment over a map",
        [["m\0x", 5, A, 1, "01"], ["m", 6, A, 2, TOKEN, 3]],
        {"m": {"$attachment": ["ab" * 16, 5_000_000, "image/jpeg"]}},
    ),
    ("a tombstone", [[LIFE, 9, B, 2, "c0", 2]], None),
    ("a tombstone told once more", [[LIFE, 20, A, 7, _seen(9, B), 2]], None),
    (
        "a tombstone and an update that crossed it",
        [[LIFE, 9, B, 2, "c0", 2], ["a", 12, A, 5, DOUBLE]],
        None,
    ),
    (
        "a tombstone and a counter that crossed it",
        [[LIFE, 9, B, 2, "c0", 2], [_entry("n", 5, A), 12, A, 5, "05", 1]],
        None,
    ),
    (
        "created under an id of its writer's choice",
        [[BIRTH, 5, A, 1, "c0"], ["a", 5, A, 1, DOUBLE]],
        {"a": _bits(DOUBLE)},
    ),
    (
        "created by one who did not know of the delete",
        [[LIFE, 9, B, 2, "c0", 2], [BIRTH, 10, A, 2, "c0"], ["a", 10, A, 2, DOUBLE]],
        {"a": _bits(DOUBLE)},
    ),
    (
        "created so, with an update that crossed the delete",
        [
            [LIFE, 9, B, 2, "c0", 2],
            [BIRTH, 11, A, 2, "c0"],
            ["a", 11, A, 2, DOUBLE],
            ["b", 10, B, 3, "02"],
        ],
        {"a": _bits(DOUBLE), "b": 2},
    ),
    (
        "created again",
        [[LIFE, 9, B, 2, "c0", 2], [BIRTH, 9, B, 2, "c0"], ["a", 9, B, 2, SINGLE]],
        {"a": {"$float": "3fb99999a0000000"}},
    ),
    (
        "created again, and an update from before",
        [[LIFE, 9, B, 2, "c0", 2], [BIRTH, 9, B, 2, "c0"], ["a", 12, A, 2, "02"]],
        {"a": 2},
    ),
    (
        "created again, and a counter that began before",
        [[LIFE, 9, B, 2, "c0", 2], [BIRTH, 9, B, 2, "c0"], [_entry("n", 5, A), 12, A, 2, "02", 1]],
        {},
    ),
    (
        "created again with a counter",
        [[LIFE, 9, B, 2, "c0", 2], [BIRTH, 9, B, 2, "c0"], [_entry("n", 9, B), 9, B, 2, "02", 1]],
        {"n": 2},
    ),
]


def _merges_of_kinds():
    kinds = {name: cells for name, cells, _ in KINDS}
    value, removed = [["a", 5, A, 1, DOUBLE]], [["a", 9, B, 1, _seen(5, A), 2]]
    tombstone, again = kinds["a tombstone"], kinds["created again"]
    entry, again_told = _entry("n", 5, A), kinds["a tombstone told once more"]
    return [
        ("a removal takes what it has seen", value, removed),
        ("a removal leaves what it has not seen", [["a", 6, A, 2, SINGLE]], removed),
        (
            "a removal leaves a write of its cell's stamp by a larger author",
            [["a", 5, B, 2, "01"]],
            removed,
        ),
        ("a removal takes an earlier write, too", [["a", 4, B, 2, "01"]], removed),
        ("of two removals of one cell the later", removed, [["a", 8, A, 7, _seen(5, A), 2]]),
        ("a removal of a newer cell", removed, [["a", 8, A, 7, _seen(6, A), 2]]),
        ("a counter goes on", [[entry, 5, A, 1, "05", 1]], [[entry, 7, A, 2, "04", 1]]),
        ("two counters", [[entry, 5, A, 1, "05", 1]], [[_entry("n", 5, B), 5, B, 1, "04", 1]]),
        ("a counter and a number", [[entry, 5, A, 1, "05", 1]], [["n", 6, B, 1, DOUBLE]]),
        ("an attachment and a later value", [["p", 5, A, 1, TOKEN, 3]], [["p", 6, B, 1, SINGLE]]),
        (
            "an attachment and a value of one write, which nobody makes",
            [["p", 5, A, 1, TOKEN, 3]],
            [["p", 5, A, 1, SINGLE]],
        ),
        ("a delete takes what is before it", value + [["b", 9, A, 2, "01"]], tombstone),
        ("a delete hides what is after it", [["b", 12, A, 2, DOUBLE]], tombstone),
        ("a delete keeps what it wrote itself", [["b", 9, B, 2, "01"]], tombstone),
        (
            "a delete takes the removal of an earlier cell",
            [["a", 12, A, 2, _seen(5, A), 2]],
            tombstone,
        ),
        ("of two deletes the later", tombstone, [[LIFE, 10, A, 1, "c0", 2]]),
        (
            "created again after a delete",
            tombstone,
            [[LIFE, 10, A, 1, "c0", 2], [BIRTH, 10, A, 1, "c0"], ["b", 10, A, 1, SINGLE]],
        ),
        (
            "created after a delete by one who did not know of it",
            tombstone,
            [[BIRTH, 10, A, 1, "c0"], ["b", 10, A, 1, SINGLE]],
        ),
        ("created before a delete", tombstone, [[BIRTH, 8, A, 1, "c0"], ["b", 8, A, 1, SINGLE]]),
        ("a delete of what was created again", again, [[LIFE, 10, A, 1, "c0", 2]]),
        ("created again, and an old write", again, [["b", 8, A, 1, SINGLE], ["c", 10, A, 2, "01"]]),
        ("a tombstone told once more", tombstone, again_told),
        (
            "a tombstone told once more, and a write since the first",
            again_told,
            [["b", 12, A, 2, DOUBLE]],
        ),
        ("a tombstone told once more, and a write before it", again_told, [["b", 8, A, 2, DOUBLE]]),
        (
            "a tombstone told once more after it was created again",
            again_told,
            [[LIFE, 10, B, 3, "c0", 2], [BIRTH, 10, B, 3, "c0"]],
        ),
        (
            "life and birth stay, of however many",
            [["%03d" % i, 10, A, 2, "01"] for i in range(256)],
            [[LIFE, 9, B, 1, "c0", 2], [BIRTH, 9, B, 1, "c0"], ["x", 9, B, 1, "01"]],
        ),
    ]


def _random_documents(seed, count):
    """Documents of all kinds whose writes collide: few paths, stamps and authors."""
    random = Random(seed)
    values = (DOUBLE, SINGLE, "01", "cb4035800000000000", "ca41ac0000", SITE_A)
    documents = []
    for _ in range(count):
        cells = {}
        for _ in range(random.randrange(1, 9)):
            path, author = random.choice(("a", "b", "m", "m\0a", "n")), random.choice((A, B))
            stamp, kind = random.randrange(4, 9), random.choice((0, 0, 0, 1, 2, 3, LIFE, BIRTH))
            cell = [path, stamp, author, stamp, random.choice(values)]
            if kind == LIFE:
                cell = [LIFE, stamp, author, stamp, "c0", 2]
                if random.randrange(2):
                    cell[4] = _seen(random.randrange(4, stamp + 1), random.choice((A, B)))
            elif kind == BIRTH:
                cell = [BIRTH, stamp, author, stamp, "c0"]
            elif kind == COUNTER:
                first = random.randrange(4, stamp + 1)
                cell = [_entry(path, first, author), stamp, author, stamp, f"0{stamp - first}", 1]
            elif kind == REMOVED:
                seen = _seen(random.randrange(4, stamp + 1), random.choice((A, B)))
                cell = [path, stamp, author, stamp, seen, 2]
            elif kind == ATTACHMENT:
                cell = [path, stamp, author, stamp, TOKEN, 3]
            cells = _merged([*cells.values(), cell])
        documents.append(list(cells.values()))
    return documents


def _refused_documents():
    good = _encode([["temp", 5, A, 1, "01"]]).hex()
    head = "01" + A + "01" + "000000000005" + "01"  # one run with one cell
    return [
        ("nothing", ""),
        ("cut short", good[:-2]),
        ("a byte behind it", good + "00"),
        ("257 runs", "8102" + good[2:] * 257),
        ("257 fields in one run", head[:-2] + "8102"),
        (
            "257 fields in two runs",
            _encode([["%03d" % i, 5 + i // 200, A, 1, "01"] for i in range(257)]).hex(),
        ),
        ("seq 0", "01" + A + "00" + "000000000005" + "01" + "0461" + "01c0"),
        ("seq of 49 bits", "01" + A + "80808080808040" + "000000000005" + "01" + "0461" + "01c0"),
        ("stamp 0", "01" + A + "01" + "000000000000" + "01" + "0461" + "01c0"),
        ("stamp above the last", "01" + A + "01" + "ff0000000000" + "01" + "0461" + "01c0"),
        ("a counter", head + "0561" + "01c0"),
        ("a kind that is not known", head + "0761" + "01c0"),
        ("a name of 129 bytes", head + "8404" + "61" * 129 + "01c0"),
        ("a name that is not UTF-8", head + "04ff" + "01c0"),
        ("a name with half a surrogate pair", head + "0ceda080" + "01c0"),
        ("33 names in a path", head + "c402" + "00" * 32 + "61" * 49 + "01c0"),
        ("a value above 256 KiB", head + "0461" + "818010"),
        ("a varint in more bytes than it needs", "8100" + good[2:]),
        ("a varint of ten bytes", "80" * 9 + "01" + good[2:]),
        ("a run without cells", "01" + A + "01" + "000000000005" + "00"),
        ("a path twice in a run", head[:-2] + "02" + "046101" + "01" + "046101" + "01"),
        ("paths that descend", head[:-2] + "02" + "04620101" + "04610101"),
        (
            "runs that descend",
            "02" + head[2:] + "04610101" + A + "01" + "000000000004" + "0104620101",
        ),
        ("one run twice", "02" + head[2:] + "04610101" + head[2:] + "04620101"),
        (
            "a path in two runs",
            "02" + head[2:] + "04610101" + A + "02" + "000000000006" + "0104610101",
        ),
        *[(name, _encode([cell]).hex()) for name, cell in _refused_cells()],
    ]


def _refused_cells():
    long_token = TOKEN.replace("aa" + b"image/jpeg".hex(), "d941" + "78" * 65)
    entry, own = _entry("n", 5, A), _seen(5, A)
    return [
        ("a counter without an entry", ["n", 5, A, 1, "01", 1]),
        ("an entry of another author", [_entry("n", 5, B), 5, A, 1, "01", 1]),
        ("an entry after its cell", [_entry("n", 6, A), 5, A, 1, "01", 1]),
        ("an entry cut short", [entry[:-1], 5, A, 1, "01", 1]),
        ("an entry of an entry", [_entry(entry, 5, A), 5, A, 1, "01", 1]),
        ("a counter that is a double", [entry, 5, A, 1, DOUBLE, 1]),
        ("a counter that is a 32-bit float", [entry, 5, A, 1, SINGLE, 1]),
        ("a counter that is true", [entry, 5, A, 1, "c3", 1]),
        ("a counter that is text", [entry, 5, A, 1, SITE_A, 1]),
        ("a counter of 64 bits", [entry, 5, A, 1, "cf8000000000000000", 1]),
        ("a counter of 64 bits below 0", [entry, 5, A, 1, "d38000000000000000", 1]),
        ("a counter with a byte behind it", [entry, 5, A, 1, "0101", 1]),
        ("a counter without a value", [entry, 5, A, 1, "", 1]),
        ("a removal that names nothing", ["a", 5, A, 1, "c0", 2]),
        ("a removal cut short", ["a", 5, A, 1, "c40d" + own[4:-2], 2]),
        ("a removal with a byte too many", ["a", 5, A, 1, own + "00", 2]),
        ("a removal with a longer head", ["a", 5, A, 1, "c5000e" + own[4:], 2]),
        ("a removal as text", ["a", 5, A, 1, "ae" + own[4:], 2]),
        ("a removal of a later cell", ["a", 5, A, 1, _seen(6, A), 2]),
        ("a removal of an entry", [entry, 5, A, 1, own, 2]),
        ("an attachment with an id of 15 bytes", ["a", 5, A, 1, "93c40f" + TOKEN[8:], 3]),
        (
            "an attachment with an id that is text",
            ["a", 5, A, 1, "93b0" + "61" * 16 + TOKEN[38:], 3],
        ),
        ("an attachment of -1 bytes", ["a", 5, A, 1, TOKEN[:38] + "ff" + "a0", 3]),
        ("an attachment of half a byte", ["a", 5, A, 1, TOKEN[:38] + DOUBLE + "a0", 3]),
        ("an attachment of 2^63 bytes", ["a", 5, A, 1, TOKEN[:38] + "cf8000000000000000a0", 3]),
        ("an attachment of size true", ["a", 5, A, 1, TOKEN[:38] + "c3" + "a0", 3]),
        ("an attachment with a type of 65 bytes", ["a", 5, A, 1, long_token, 3]),
        ("an attachment without a type", ["a", 5, A, 1, "92" + TOKEN[2:48], 3]),
        ("an attachment that is a map", ["a", 5, A, 1, "80", 3]),
        ("an attachment with a longer head", ["a", 5, A, 1, "dc0003" + TOKEN[2:], 3]),
        ("a life that is no tombstone", [LIFE, 5, A, 1, "c0"]),
        ("a birth with a value", [BIRTH, 5, A, 1, "01"]),
        ("a birth that is removed", [BIRTH, 5, A, 1, _seen(4, A), 2]),
        ("an attachment that is the birth", [BIRTH, 5, A, 1, TOKEN, 3]),
        ("a tombstone of a later one", [LIFE, 5, A, 1, _seen(6, A), 2]),
        ("a tombstone with a value", [LIFE, 5, A, 1, "01", 2]),
        ("a life that names another", [LIFE, 5, A, 1, own]),
        ("a counter that is the life", [LIFE, 5, A, 1, "01", 1]),
        ("an attachment that is the life", [LIFE, 5, A, 1, TOKEN, 3]),
    ]


def _document_case(name, cells):
    return {"name": name, "cells": cells, "hex": _encode(cells).hex()}


def _merge_case(name, ours, theirs):
    merged = list(_merged(ours + theirs).values())
    ours, theirs, merged = _encode(ours), _encode(theirs), _encode(merged)
    return {"name": name, "ours": ours.hex(), "theirs": theirs.hex(), "merged": merged.hex()}


def _merged(cells):
    """What SPEC.md says of the merge, with all cells of both sides at once."""
    fields = {}
    for cell in cells:
        if cell[0] not in fields or _order(fields[cell[0]]) < _order(cell):
            fields[cell[0]] = cell
    if LIFE in fields:
        life = _order(fields[LIFE])[:2]
        fields = {path: cell for path, cell in fields.items() if _order(cell)[:2] >= life}
    cells = sorted(
        fields.values(), key=lambda cell: (cell[0] in (LIFE, BIRTH), _order(cell), cell[0])
    )
    return {cell[0]: cell for cell in cells[-256:]}


def _order(cell):
    path, stamp, author, seq, value, kind = (*cell, 0)[:6]
    own = (stamp, author, seq, kind, bytes.fromhex(value))
    if kind == REMOVED and value != "c0":
        return (int(value[4:16], 16), value[16:], 1, own)
    return (stamp, author, 0, own)


def _view_case(name, cells, fields):
    """`fields` is written by hand, and has to be what _seen_in makes of the cells."""
    case = {"name": name, "hex": _encode(cells).hex(), "fields": fields}
    assert _seen_in(cells) == (None if fields is None else cases.value(_plain(fields))), name
    return case


def _plain(form):
    """An attachment as MessagePack has it, so that nothing of edge_peer is needed."""
    if isinstance(form, dict) and "$attachment" in form:
        id, size, type = form["$attachment"]
        return [{"$bin": id}, size, type]
    return {key: _plain(form[key]) for key in form} if isinstance(form, dict) else form


def _seen_in(cells):
    """What SPEC.md says of the view; None of a deleted document."""
    document = {cell[0]: (*cell, 0)[:6] for cell in cells}
    life = document.get(LIFE)
    if life and BIRTH not in document:
        return None
    layers, totals = [], {}
    for path, cell in document.items():
        value = msgpack.unpackb(bytes.fromhex(cell[4]))
        if cell[5] == COUNTER:
            name = path.split("\0\0")[0]
            base = document.get(name)
            begins_after = base is None or path > _entry(name, *_order(base)[:2])
            if begins_after and (life is None or path >= _entry(name, *_order(life)[:2])):
                total, order = totals.get(name, (0, ()))
                totals[name] = (total + value, max(order, _order(cell)))
        elif path != BIRTH and cell[5] != REMOVED:
            layers.append((_order(cell), path, value))
    for name, (total, order) in totals.items():
        base = document.get(name)
        number = msgpack.unpackb(bytes.fromhex(base[4])) if base and base[5] == 0 else 0
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        layers.append((order, name, total + (number if is_number else 0)))
    fields = {}
    for _, path, value in sorted(layers, key=lambda layer: layer[:2]):
        *outer, name = path.split("\0")
        inner = fields
        for one in outer:
            if not isinstance(inner.get(one), dict):
                inner[one] = {}
            inner = inner[one]
        inner[name] = value
    return fields


def _encode(cells):
    runs = {}
    for cell in cells:
        path, stamp, author, seq, value, kind = (*cell, 0)[:6]
        key = (stamp, bytes.fromhex(author), seq)
        runs.setdefault(key, []).append((path.encode(), kind, bytes.fromhex(value)))
    out = _varint(len(runs))
    for (stamp, author, seq), fields in sorted(runs.items()):
        out += author + _varint(seq) + stamp.to_bytes(6, "big") + _varint(len(fields))
        for path, kind, value in sorted(fields):
            out += _varint(len(path) << 2 | kind) + path + _varint(len(value)) + value
    return out


def _varint(value):
    groups = []
    while value or not groups:
        groups.append(value & 0x7F)
        value >>= 7
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])
