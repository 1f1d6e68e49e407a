"""What is left out by its raw bytes would not have matched: the filter beside the evaluator."""

from helpers import Random

from edge_peer.core import codec
from edge_peer.core import document as documents
from edge_peer.core.document import (
    ATTACHMENT,
    BIRTH,
    COUNTER,
    LIFE,
    NIL,
    REGISTER,
    REMOVED,
    put_cell_head,
)
from edge_peer.core.query.evaluate import evaluate
from edge_peer.core.query.parser import parse
from edge_peer.core.query.prefilter import prefilter
from edge_peer.core.query.view import fields_of

AUTHORS = (b"author-a", b"author-b")
LONG = "long" * 10  # its cell's head has two bytes of length
PATHS = ("a", "b", "m", "m\0a", "m\0b", "m\0b\0c", "a\0b", LONG)
FIELDS = ("a", "b", "m", "m.a", "m.b", "m.b.c", "a.b", "m.id", "absent", LONG)
OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
TOKEN = codec.pack([bytes(16), 3, "image/png"])


def head(path, kind=REGISTER):
    out = bytearray()
    put_cell_head(out, path, kind)
    return bytes(out)


def forged(random):
    """Bytes that look like a cell."""
    path = random.choice(PATHS)
    value = codec.pack(random.choice((0, 5, "x")))
    return head(path) + bytes([len(value)]) + value


def random_value(random):
    kind = random.below(10)
    if kind < 4:
        return random.choice((0, 1, 5, 5.0, -2.5, 1000, 1 << 40, True, False))
    if kind < 6:
        return random.choice(("", "x", "xy", "y", "long " * 40))
    if kind == 6:
        return forged(random)
    if kind == 7:
        return "x\4a\1\5"  # the head of `a`, and 5
    return random.choice((None, [], [1, 5], {}, {"a": 5}, {"b": {"c": 5}}, b"x"))


def random_changes(random):
    changes = {}
    for _ in range(1 + random.below(4)):
        path = random.choice(PATHS)
        kind = random.below(12)
        if kind == 0:
            changes[path] = (REMOVED, None)
        elif kind == 1:
            changes[path] = (COUNTER, random.below(9) - 4)
        elif kind == 2:
            changes[path] = (ATTACHMENT, TOKEN)
        else:
            changes[path] = codec.pack(random_value(random))
    if not random.below(20):
        changes[LIFE] = (REMOVED, None)
    if not random.below(4):
        changes[BIRTH] = NIL
    return changes


def random_body(random):
    """The bytes of a document after some writes of two authors."""
    document = {}
    for stamp in range(1, 2 + random.below(4)):
        author = random.choice(AUTHORS)
        stamp += random.below(2)
        new = documents.make(random_changes(random), stamp, author, stamp, document)
        documents.merge(document, new)
    return documents.encode(document)


def random_where(random, depth=2):
    kind = random.below(10 if depth else 7)
    if kind > 6:
        word = random.choice((" AND ", " AND ", " OR "))
        parts = [random_where(random, depth - 1) for _ in range(2 + random.below(2))]
        return "(" + word.join(parts) + ")"
    field = random.choice(FIELDS)
    if kind == 6:
        return random.choice(
            ("NOT %s = 5", "%s IS MISSING", "%s + 1 = 6", "%s", "%s NOT IN [5]", "_id = %s")
        ).replace("%s", field)
    if kind == 5:
        return field + random.choice((" IS NULL", " IS NOT NULL", " IN :list", " LIKE 'x%'"))
    if kind == 4:
        bounds = (":p", random.choice((":q", "6")))
        return field + " BETWEEN %s AND %s" % bounds
    operator = random.choice(OPERATORS)
    constant = random.choice((":p", ":q", "5", "0", "'x'", "1.5", "NULL", "TRUE", "[1, 5]"))
    sides = (field, operator, constant) if random.below(3) else (constant, operator, field)
    return "%s %s %s" % sides


def test_no_document_that_matches_is_left_out():
    kept = left_out = matched = 0
    for seed in range(400):
        random = Random(seed)
        text = random_where(random)
        where = parse("SELECT * FROM x WHERE " + text).where
        arguments = {
            "p": random_value(random),
            "q": random_value(random),
            "list": [1, 5, "x", None],
        }
        keep = prefilter(where, arguments, codec.unpack)
        for _ in range(25):
            body = random_body(random)
            fields = fields_of(body, codec.unpack)
            matches = fields is not None and _matches(where, fields, arguments)
            keeps = keep is None or keep(body)
            assert keeps or not matches, "seed %d: %s %r %r" % (seed, text, arguments, fields)
            matched += matches
            kept += keeps
            left_out += not keeps
    assert left_out > 2_000 and kept > 2_000 and matched > 500, (left_out, kept, matched)


def _matches(where, fields, arguments):
    fields["_id"] = "i"
    return evaluate(where, fields, arguments) is True


def keeps(where, fields, arguments=None):
    flat = documents.flatten(fields, codec.pack)
    body = documents.encode(documents.make(flat, 1 << 40, AUTHORS[0], 1))
    keep = prefilter(parse("SELECT * FROM x WHERE " + where).where, arguments or {}, codec.unpack)
    return None if keep is None else keep(body)


def test_what_it_knows_of_plain_fields_is_exact():
    fields = {"temp": 21.5, "site": "A", "m": {"k": 3}, LONG: 1}
    for where in (
        "temp = 21.5",
        "temp > 21",
        "temp BETWEEN 21 AND 22",
        "21 < temp",
        "site = 'A'",
        "site IN ['A', 'B']",
        "site LIKE 'A%'",
        "site != 'B'",
        "m.k <= 3",
        LONG + " = 1",
        "temp > 21 AND site = 'A' AND m.k = 3",
        "temp > 30 OR site = 'A'",
        "temp > 21 AND n + 1 = 2",
    ):
        assert keeps(where, fields) is True, where
    for where in (
        "temp = 21",
        "temp > 22",
        "temp = '21.5'",
        "temp BETWEEN 22 AND 23",
        "22 < temp",
        "site = 'B'",
        "site IN ['B', 'C']",
        "site LIKE 'B%'",
        "site != 'A'",
        "site IS NULL",
        "absent = 1",
        "absent != 1",
        "m.k > 3",
        "m.j = 3",
        "temp > 21 AND site = 'A' AND m.k = 4",
        "temp > 30 OR site = 'B'",
        "temp > 22 AND n + 1 = 2",
    ):
        assert keeps(where, fields) is False, where


def test_it_says_nothing_of_what_is_no_field_beside_a_constant():
    for where in (
        "a = b",
        "a + 1 = 2",
        "NOT a = 1",
        "a IS MISSING",
        "a",
        "_id > 'x'",
        "a = 1 OR b",
    ):
        assert keeps(where, {"a": 1}) is None, where


def test_a_text_that_looks_like_the_field_hides_nothing():
    fake = head("n") + b"\1\5"
    for n in (1, 5):
        fields = {"n": n, "raw": fake}
        assert keeps("n = %d" % n, fields) is True
    assert keeps("n = 5", {"raw": fake}) is True  # the evaluator will say no
    assert keeps("n = 6", {"raw": fake}) is False
