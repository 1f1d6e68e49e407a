"""CREATE INDEX on SQLite: its keys, what it finds, and that it never finds too little."""

import itertools
import math
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Random

from edge_peer.core import document as documents
from edge_peer.core.errors import QueryError
from edge_peer.core.query.evaluate import MISSING, evaluate, sort_key
from edge_peer.core.query.execute import Executor
from edge_peer.core.query.parser import parse
from edge_peer.core.query.view import fields_of
from edge_peer.core.store.store import Store
from edge_peer.host import codec, reader, storage
from edge_peer.host.index_key import KEY_BYTES_MAX, edge_key, key_of, value_at

ROOT = Path(__file__).parents[2]
BIG = 1 << 53
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 7, -7, 0.5, 1.0, -0.0, 1.5, -1e-300, 1e300, -1e300),
    *(BIG - 1, BIG, BIG + 1, BIG + 2, float(BIG), -BIG - 1, -BIG, 2**63 - 1, 2**63 - 512, -(2**63)),
    *("", "a", "ab", "abc", "b", "a\0", "a%", "A", "ä", "\U0010ffff", "\uffff", "x" * 300),
    *("x" * 300 + "y", b"", b"a", b"a\0b", b"\xff", b"\xff\xff"),
    *([], [1], [1.0], [1, 2], [BIG, 5], [BIG + 1, 3], ["a"], ["a", None], [[1], "b"], [True]),
    *([""], ["", "\0"], ["\0"], [b""], [[]], [{}], [{"k": 1}]),
]
MAPS = [{}, {"k": 1}, {"k": "a", "l": 2}, {"l": 1}, {"": 1}, {"k\0": 1}]
ODD = [float("nan"), float("inf"), 2**70, -(2**70), {1, 2}, object(), "\ud800", 10**400]


@pytest.fixture
def store(tmp_path):
    """A store on SQLite; its log is `store.log`."""

    def open_log(evict, before_erase):
        return storage.open_log({"path": str(tmp_path / "s.db")}, evict, before_erase)

    numbers = itertools.count(1_700_000_000_000, 500)
    store = Store(open_log, b"\1\2", lambda: next(numbers), bytes)
    yield store
    store.log.close()


def write(store, id, fields, collection="c"):
    store.write([(collection, id, documents.flatten(fields, codec.pack))])


def where_of(text):
    return parse("SELECT * FROM c WHERE " + text).where


def matching(rows, where, arguments):
    """Return the ids of the documents that match, in order."""
    found = []
    for id, body in rows:
        fields = fields_of(body, codec.unpack)
        if fields is not None:
            fields["_id"] = id
            if evaluate(where, fields, arguments) is True:
                found.append(id)
    return sorted(found)


def compare(log, where, arguments, label):
    """The index must find all that match, each once; return whether it was used."""
    candidates = log.candidates("c", where, arguments)
    if candidates is None:
        return False
    rows = list(candidates)
    ids = [id for id, _ in rows]
    assert len(ids) == len(set(ids)), label
    assert matching(rows, where, arguments) == matching(log.scan("c"), where, arguments), label
    return True


# Keys


def test_keys_are_in_the_order_of_values():
    values = [MISSING, *VALUES, *MAPS]
    for left in values:
        for right in values:
            ours, theirs = sort_key(left), sort_key(right)
            low, high = key_of(left), key_of(right)
            label = f"{left!r}, {right!r}"
            if len(low) < KEY_BYTES_MAX or len(high) < KEY_BYTES_MAX:
                assert (low < high, low == high) == (ours < theirs, ours == theirs), label
            else:
                assert low <= high if ours < theirs else low >= high, label


def test_random_numbers_have_keys_in_their_order():
    random = Random(3)
    values = [0]
    for _ in range(400):
        number = int.from_bytes(random.bytes(8), "big", signed=True) >> random.below(64)
        values += [number, float(number), number / 3]
    values.sort()
    keys = [key_of(value) for value in values]
    assert keys == sorted(keys), "seed 3"
    for i in range(len(values) - 1):
        assert (keys[i] == keys[i + 1]) == (values[i] == values[i + 1]), values[i]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_what_no_document_holds_has_no_key(value):
    for one in (value, [value], {"k": [value]}):
        with pytest.raises(ValueError):
            key_of(one)


def test_the_key_of_a_damaged_document_is_that_of_a_missing_field():
    whole = documents.encode(
        documents.make({"a": codec.pack(1), "b": codec.pack("x" * 300)}, 9, b"a" * 8, 300)
    )
    assert edge_key(whole, b"a") == key_of(1)
    for end in range(len(whole)):
        edge_key(whole[:end], b"b")
        for flipped in (1, 128):
            damaged = bytearray(whole)
            damaged[end] ^= flipped
            edge_key(bytes(damaged), b"b")
    assert edge_key(b"", b"a") == edge_key(whole[:40], b"b") == b"\0"


def random_document(random):
    """Return a document made by a few writes of two authors, of all kinds of cells."""
    names = ["a", "ab", "b", "a\0b", "a\0c", "a\0b\0c", "c"]
    values = [1, "x", None, {}, {"b": 2}, {"b": {"c": 3}}, [1]]
    document = {}
    for stamp in range(1, 2 + random.below(4)):
        changes = {}
        for _ in range(1 + random.below(3)):
            path = random.choice(names)
            what = random.below(12)
            if what == 0:
                changes[path] = (documents.REMOVED, None)
            elif what == 1:
                changes[path] = (documents.COUNTER, random.below(5))
            elif what == 2:
                changes[path] = (documents.ATTACHMENT, codec.pack([bytes(16), 3, "t"]))
            else:
                changes[path] = codec.pack(random.choice(values))
        if random.below(20) == 0:
            changes = {documents.LIFE: (documents.REMOVED, None)}
        if random.below(5) == 0:
            changes[documents.BIRTH] = documents.NIL
        author = random.choice((b"author 1", b"author 2"))
        new = documents.make(changes, stamp, author, stamp, document)
        documents.merge(document, new)
    return document


def test_a_field_is_read_as_in_the_view_of_the_whole_document():
    random = Random(8)
    paths = ["a", "ab", "b", "a\0b", "a\0c", "a\0b\0c", "b\0b", "c", "d", "a\0len", "a\0b\0id"]
    for step in range(4000):
        body = documents.encode(random_document(random))
        fields = fields_of(body, codec.unpack)
        for path in paths:
            expected = MISSING
            if fields is not None:
                expected = evaluate(("field", *path.split("\0")), fields, {})
            found = value_at(body, path.encode())
            assert sort_key(found) == sort_key(expected), f"seed 8, step {step}, {path!r}"


def test_a_field_is_found_among_many_and_behind_long_ones(store):
    fields = {f"f{i:03}": i for i in range(200)} | {"e": "x" * 70_000, "z" * 120: "last"}
    write(store, "one", fields)
    write(store, "one", {f"f{i:03}": -i for i in range(0, 200, 3)} | {"g": 1})
    body = store.body("c", "one")
    view = fields_of(body, codec.unpack)
    for name in [*fields, "g"]:
        assert value_at(body, name.encode()) == view[name]
    assert value_at(body, b"f") is value_at(body, b"zz") is MISSING


# What is found


def fill(store, random, count):
    """Write documents of all kinds of values; some are changed, some deleted."""
    fields = ("a", "b", "c")
    for i in range(count):
        values = {name: random.choice(VALUES) for name in fields if random.below(4)}
        if random.below(2):
            values["m"] = {name: random.choice(VALUES[:40]) for name in "de" if random.below(3)}
        elif random.below(3) == 0:
            values["m"] = random.choice(VALUES)
        write(store, f"id{i % (count - count // 8)}", values or {"a": 1})
        if random.below(9) == 0:
            store.write([("c", f"id{random.below(i + 1)}", {"": (documents.REMOVED, None)})])
        if random.below(9) == 0:
            name = random.choice(("a", "m\0d", "m"))
            store.write([("c", f"id{random.below(i + 1)}", {name: (documents.REMOVED, None)})])
    write(store, "id1", {"a": 1, "b": 2}, "other")


class Predicates:
    """Random WHERE clauses, as text and arguments."""

    def __init__(self, random):
        self._random = random
        self.arguments = {}

    def any(self, depth=0):
        shape = self._random.below(10)
        if depth < 3 and shape < 5:
            return f"{self.any(depth + 1)} AND {self.any(depth + 1)}"
        if depth < 3 and shape == 5:
            return f"({self.any(depth + 1)} OR {self.any(depth + 1)})"
        if shape == 6:
            return f"NOT ({self.comparison()})"
        return self.comparison()

    def comparison(self):
        field = self._random.choice(("a", "b", "c", "m.d", "m.e", "m", "_id", "z"))
        operator = self._random.choice(
            ("=", "=", "=", "<", "<=", ">", ">=", "!=", "IN", "BETWEEN", "LIKE", "IS", "flip")
        )
        if operator == "IN":
            items = ", ".join([self.constant() for _ in range(self._random.below(4))])
            return f"{field} IN [{items}]" if self._random.below(5) else f"{field} IN [b, 1]"
        if operator == "BETWEEN":
            return f"{field} BETWEEN {self.constant()} AND {self.constant()}"
        if operator == "LIKE":
            pattern = self._random.choice(("a%", "%", "_b", "ab", "a_", "x%y", "id1%", "ä%", "a%c"))
            return f"{field} LIKE '{pattern}'"
        if operator == "IS":
            return f"{field} IS {self._random.choice(('NULL', 'MISSING', 'NOT NULL'))}"
        if operator == "flip":
            return f"{self.constant()} {self._random.choice(('=', '<', '>='))} {field}"
        return f"{field} {operator} {self.constant()}"

    def constant(self):
        value = self._random.choice(VALUES if self._random.below(12) else MAPS + ODD)
        if self._random.below(2) and type(value) is int and 0 <= value < 2**62:
            return str(self._random.choice((f"{value}", f"({value} + 0)", f"-{value}")))
        is_text = isinstance(value, str) and value in VALUES and "\0" not in value
        if self._random.below(2) and is_text:
            return "'" + value + "'"
        name = f"p{len(self.arguments)}"
        self.arguments[name] = value
        return f":{name}"


def is_finite(value):
    return not isinstance(value, float) or math.isfinite(value)


def check_random(store, seed, document_count, query_count):
    random = Random(seed)
    fill(store, random, document_count)
    log = store.log
    for name, paths in (
        ("i", ["a"]),
        ("j", ["b", "a"]),
        ("k", ["m\0d", "m\0e"]),
        ("l", ["c", "m"]),
    ):
        log.create_index(name, "c", paths)
    fill(store, random, document_count // 4)  # which the indexes follow
    run = Executor(store, codec).execute
    used_count = 0
    for step in range(query_count):
        predicates = Predicates(random)
        text = predicates.any()
        label = f"seed {seed}, query {step}: {text} {predicates.arguments}"
        used_count += compare(log, where_of(text), predicates.arguments, label)
        used = [predicates.arguments[name] for name in predicates.arguments if f":{name}" in text]
        if not all(is_finite(value) for value in used):
            with pytest.raises(QueryError, match="NaN"):
                run(f"SELECT _id FROM c WHERE {text}", predicates.arguments)
            continue
        rows = run(f"SELECT _id FROM c WHERE {text}", predicates.arguments).items
        expected = matching(log.scan("c"), where_of(text), predicates.arguments)
        assert sorted([row["_id"] for row in rows]) == expected, label
    assert used_count > query_count // 3


def test_random_queries_find_the_same_with_and_without_indexes(store):
    check_random(store, 21, 150, 400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 106))
def test_many_random_queries_find_the_same_with_and_without_indexes(store, seed):
    check_random(store, seed, 400, 1500)


@pytest.mark.parametrize(
    "text, count",
    [
        ("a = 5", 10),
        ("5 = a AND b >= 50", 5),
        ("a = 5 AND b < 50 AND x IS MISSING", 5),
        ("a BETWEEN 3 AND 4", 20),
        ("a > 3 AND 5 > a", 30),  # with both ends
        ("a IN [1, 2.0, :p, 'none']", 20),
        ("a IN [1, 2] AND b BETWEEN 40 AND 60", 4),
        ("a = 10 - 5", 10),
        ("a = NULL", 0),
        ("a = 5 AND a = 6", 0),
        ("a < TRUE", 0),
        ("a BETWEEN 4 AND 3", 0),
        ("a IS MISSING", 0),
        ("m.d LIKE 'd1%'", 11),
        ("m.d LIKE 'd11'", 1),
        ("(m.d >= 'd98' AND a = a)", 2),
    ],
)
def test_candidates_are_few(store, text, count):
    for i in range(100):
        write(store, f"{i:02}", {"a": i % 10, "b": i, "m": {"d": f"d{i}"}})
    store.log.create_index("i", "c", ["a", "b"])
    store.log.create_index("j", "c", ["m\0d"])
    where = where_of(text)
    rows = list(store.log.candidates("c", where, {"p": None}))
    assert len(rows) == count
    assert matching(rows, where, {"p": None}) == matching(store.log.scan("c"), where, {"p": None})


@pytest.mark.parametrize(
    "text",
    [
        *("b = 1", "a = b", "NOT a = 1", "a = 1 OR a = 2", "a != 1", "a LIKE '%x'", "a = :missing"),
        *(
            "a = :odd",
            "a IN :odd",
            "a > :nan",
            "_id = 'x'",
            "a IS NOT NULL",
            "[]",
            "5",
            "a",
            "a + 1 = 2",
        ),
        *("a.b = 1", "TRUE", "a BETWEEN b AND 3", "a IN [b]"),
    ],
)
def test_what_no_index_helps_with_is_left_alone(store, text):
    store.log.create_index("i", "c", ["a", "b"])
    arguments = {"odd": [{1}], "nan": float("nan")}
    assert store.log.candidates("c", where_of(text), arguments) is None
    assert store.log.candidates("other", where_of("a = 1"), {}) is None
    assert store.log.candidates("c", None, {}) is None
    assert "no index: all 0 documents of c" in store.log.plan("c", where_of(text), arguments)


def test_a_plan_says_which_index_and_quotes_sqlite(store):
    store.log.create_index("by sensor", "c", ["s", "m\0d"])
    plan = store.log.plan("c", where_of("s = 'secret' AND m.d > 5 AND x = 1"), {})
    ours, sqlites = plan.split("\n")
    assert ours == "index by sensor: one s and a range of m.d" and "secret" not in plan
    assert sqlites == "SEARCH doc USING INDEX index_1 (<expr>=? AND <expr>>? AND <expr><?)"
    plan = store.log.plan("c", where_of("s IN ['a', 'b']"), {})
    assert plan.startswith(
        "index by sensor: 2 values of s\nSEARCH doc USING INDEX index_1 (<expr>=?"
    )
    assert store.log.plan("c", where_of("s = NULL"), {}).startswith("nothing can match")
    assert "no index: all 0 documents of c" in store.log.plan("c", None, {})


def test_an_index_that_takes_more_of_the_predicate_is_preferred(store):
    store.log.create_index("a", "c", ["a"])
    store.log.create_index("b", "c", ["a", "b", "c"])
    store.log.create_index("c", "c", ["b"])
    for text, name in (("a = 1", "a"), ("a > 1 AND b = 1", "c"), ("a = 1 AND b = 1", "b")):
        assert store.log.plan("c", where_of(text), {}).startswith(f"index {name}: "), text


def test_an_index_is_looked_up_and_no_key_is_computed_again(store, monkeypatch):
    """SQLite would also filter by calling our function on every document."""
    for i in range(50):
        write(store, f"{i}", {"a": i % 5})
    store.log.create_index("i", "c", ["a"])
    calls = []
    store.log._db.set_progress_handler(lambda: calls.append(1), 1)
    assert len(list(store.log.candidates("c", where_of("a = 3"), {}))) == 10
    few = len(calls)
    for i in range(50, 500):
        write(store, f"{i}", {"a": 9})
    del calls[:]
    assert len(list(store.log.candidates("c", where_of("a = 3"), {}))) == 10
    assert len(calls) < few + 20


def test_candidates_come_in_pieces_each_once_whatever_is_committed_meanwhile(store):
    count = 3 * reader.FOUND_COUNT
    store.write([("c", f"{i:04}", {"a": codec.pack(i)}) for i in range(count)])
    store.log.create_index("i", "c", ["a"])
    seen = []
    for id, _ in store.log.candidates("c", where_of("a >= 0"), {}):
        seen.append(id)
        number = len(seen)
        if number % 9:
            continue
        write(store, id, {"a": 10_000 + number})  # in the index it goes behind all others
        write(store, f"{(number * 7) % count:04}", {"a": 20_000 + number})
    assert sorted(seen) == [f"{i:04}" for i in range(count)]


def test_large_documents_are_not_all_in_memory_at_once(store):
    for i in range(12):
        write(store, f"{i:02}", {"a": 1, "text": "x" * 200_000})
    store.log.create_index("i", "c", ["a"])
    first = []
    for row in store.log._found_by("c", store.log._indexes.look("c", where_of("a = 1"), {})):
        first.append(row[0])
    assert sorted(first) == [f"{i:02}" for i in range(12)]


def test_a_select_goes_by_the_index_but_not_past_what_a_batch_has_written(store):
    run = Executor(store, codec).execute
    run("INSERT INTO c DOCUMENTS ({_id: 'x', a: 1}), ({_id: 'y', a: 2})")
    run("CREATE INDEX i ON c (a)")
    assert run("EXPLAIN SELECT * FROM c WHERE a = 1").items[0]["plan"].startswith("index i: one a")
    with store.batch():
        run("UPDATE c SET a = 1 WHERE _id = 'y'")
        run("INSERT INTO c DOCUMENTS ({_id: 'z', a: 1})")
        ids = [row["_id"] for row in run("SELECT _id FROM c WHERE a = 1").items]
        assert sorted(ids) == ["x", "y", "z"]
    assert run("SELECT COUNT(*) FROM c WHERE a = 1").items == run("SELECT COUNT(*) FROM c").items


# Making and dropping


def test_indexes_are_there_after_reopening_and_gone_when_dropped(tmp_path):
    def opened():
        return storage.open_log({"path": str(tmp_path / "s.db")}, lambda *_: False, lambda: [])

    log = opened()
    log.create_index("i", "it's", ["a", "b\0c"])
    log.create_index("I", "it's", ["ä'\""])
    log.create_index("i", "it's", ["other"], if_not_exists=True)
    log.create_index("i", "IT'S", ["a"])
    body = documents.encode(documents.make({"ä'\"": codec.pack(7)}, 1, b"a" * 8, 1))
    log.commit([("it's", "x", 1, body)])
    expected = [("i", "IT'S", ["a"]), ("I", "it's", ["ä'\""]), ("i", "it's", ["a", "b\0c"])]
    for _ in range(2):
        assert log.indexes() == expected
        where = where_of("`ä'\"` = 7")
        assert list(log.candidates("it's", where, {})) == [("x", body)]
        log.close()
        log = opened()
    log.drop_index("I", "it's")
    assert log.candidates("it's", where, {}) is None
    for _ in range(2):
        assert log.indexes() == [expected[0], expected[2]]
        log.close()
        log = opened()
    log.create_index("I", "it's", ["ä'\""])
    assert list(log.candidates("it's", where, {})) == [("x", body)]
    log.close()


@pytest.mark.parametrize(
    "name, collection, paths, text",
    [
        ("i", "c", ["b"], "index i exists on c"),
        ("", "c", ["a"], "an index's name has 1 to 64 bytes"),
        ("x" * 65, "c", ["a"], "an index's name has 1 to 64 bytes"),
        ("j", "", ["a"], "no collection can be called"),
        ("j", "a\0b", ["a"], "no collection can be called"),
        ("j", "c", [], "1 to 8 fields"),
        ("j", "c", ["a", "a"], "1 to 8 fields, each once"),
        ("j", "c", list("abcdefghi"), "1 to 8 fields"),
        ("j", "c", ["_id"], "_id needs no index"),
        ("j", "c", ["a", "_id\0x"], "_id needs no index"),
        ("j", "c", ["a\0"], "a field's name has 1 to 128 bytes"),
        ("j", "c", ["ä" * 65], "a field's name has 1 to 128 bytes"),
    ],
)
def test_an_index_that_cannot_be_is_refused_with_nothing_changed(
    store, name, collection, paths, text
):
    store.log.create_index("i", "c", ["a"])
    with pytest.raises(QueryError) as caught:
        store.log.create_index(name, collection, paths)
    assert text in str(caught.value)
    assert store.log.indexes() == [("i", "c", ["a"])]


def test_dropping_what_is_not_there_and_too_many_are_refused(store):
    with pytest.raises(QueryError, match="there is no index i on c"):
        store.log.drop_index("i", "c")
    for i in range(64):
        store.log.create_index(f"i{i}", "c", ["a"])
    with pytest.raises(QueryError, match="at most 64 indexes"):
        store.log.create_index("one more", "d", ["a"])


def test_an_index_that_finds_no_room_is_not_there(store):
    store.write([("c", f"{i}", {"a": codec.pack("x" * 100)}) for i in range(1000)])
    before = store.log.indexes()
    pages = store.log._pragma("page_count")
    store.log._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(storage.StorageError, match="disk is full"):
        store.log.create_index("i", "c", ["a"])
    assert store.log.indexes() == before
    store.log._db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    store.log.create_index("i", "c", ["a"])
    assert len(list(store.log.candidates("c", where_of("a LIKE 'x%'"), {}))) == 1000


KILLED = """
import os
import signal
import sys
from edge_peer.host import storage
log = storage.open_log({"path": sys.argv[1]}, lambda *_: False, lambda: [])
count = [0]
def kill():
    count[0] += 1
    if count[0] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
log._db.set_progress_handler(kill, 100)
log.create_index("i", "readings", ["sensor"])
"""


def test_a_store_that_is_killed_while_it_makes_an_index_has_it_or_not(tmp_path):
    source = tmp_path / "source.db"
    shutil.copy(ROOT / "tests" / "data" / "store-1.db", source)
    storage.open_log({"path": str(source)}, lambda *_: False, lambda: []).close()
    for count in (1, 3, 5, 1000):
        path = shutil.copy(source, tmp_path / f"{count}.db")
        code = subprocess.run([sys.executable, "-c", KILLED, path, str(count)], cwd=ROOT).returncode
        log = storage.open_log({"path": str(path)}, lambda *_: False, lambda: [])
        if code != -signal.SIGKILL:
            assert code == 0 and count == 1000
            assert len(list(log.candidates("readings", where_of("sensor = 's1'"), {}))) == 10
        else:
            assert log.indexes() == []
            log.create_index("i", "readings", ["sensor"])
        log.close()


def test_a_program_without_our_function_reads_a_store_with_indexes(store, tmp_path):
    write(store, "x", {"a": 1})
    store.log.create_index("i", "c", ["a"])
    store.log.close()
    path = tmp_path / "s.db"
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
        assert db.execute("SELECT collection, id FROM doc ORDER BY arrival").fetchall() == [
            ("c", "x")
        ]
    db.close()


# The evaluator against SQLite, where SQL means the same


def random_condition(random, depth):
    """Return a tree that is true, false or unknown; numbers in n and m, text in t and u."""
    shape = random.below(9 if depth else 6)
    if shape > 6:
        operator = random.choice(("AND", "OR"))
        return (operator, random_condition(random, depth - 1), random_condition(random, depth - 1))
    if shape == 6:
        return ("NOT", random_condition(random, depth - 1))
    if shape == 5:
        return ("IS NULL", ("field", random.choice("nmtu")))
    operand = random_number if random.below(2) else random_text
    left = operand(random, 2)
    if shape == 4 and operand is random_text:
        pattern = random.choice(("a%", "%b", "_b", "%", "", "a_%", "%a%b%", "b"))
        return ("LIKE", left, ("value", pattern))
    if shape == 3:
        return ("IN", left, ("array", *[operand(random, 1) for _ in range(random.below(4))]))
    if shape == 2:
        return ("BETWEEN", left, ("array", operand(random, 1), operand(random, 1)))
    operator = random.choice(("=", "!=", "<", "<=", ">", ">="))
    return (operator, left, operand(random, 2))


def random_number(random, depth):
    if depth and random.below(3) == 0:
        operator = random.choice("+-*/")
        return (operator, random_number(random, depth - 1), random_number(random, depth - 1))
    if random.below(2):
        return ("field", random.choice("nm"))
    return ("value", random.choice((0, 1, 2, -3, 0.5, 1.0, 100, None)))


def random_text(random, depth):
    if depth and random.below(4) == 0:
        return ("||", random_text(random, depth - 1), random_text(random, depth - 1))
    if random.below(2):
        return ("field", random.choice("tu"))
    return ("value", random.choice(("", "a", "ab", "B", "ä", "it's", None)))


def sql_of(node):
    """Translate a tree. SQLite divides integers without rest, and an empty IN is false."""
    operator, operands = node[0], node[1:]
    if operator == "field":
        return f'"{operands[0]}"'
    if operator == "value":
        value = operands[0]
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        return "NULL" if value is None else repr(value)
    if operator == "array":
        return "(" + ", ".join(map(sql_of, operands)) + ")"
    parts = [sql_of(one) for one in operands] if operator != "BETWEEN" else [sql_of(operands[0])]
    if operator == "NOT":
        return f"(NOT {parts[0]})"
    if operator == "IS NULL":
        return f"({parts[0]} IS NULL)"
    if operator == "BETWEEN":
        low, high = operands[1][1:]
        return f"({parts[0]} BETWEEN {sql_of(low)} AND {sql_of(high)})"
    if operator == "/":
        return f"(CAST({parts[0]} AS REAL) / {parts[1]})"
    return f"({parts[0]} {operator} {parts[1]})"


def test_the_evaluator_agrees_with_sqlite_where_sql_means_the_same():
    random = Random(33)
    db = sqlite3.connect(":memory:")
    db.execute("PRAGMA case_sensitive_like = ON")
    db.execute("CREATE TABLE plain (n, m, t TEXT, u TEXT)")
    rows = []
    for _ in range(60):
        numbers = [random.choice((None, 0, 1, 2, -3, 0.5, 1.0, 100, 2.5)) for _ in "nm"]
        texts = [random.choice((None, "", "a", "ab", "abb", "b", "B", "ä", "it's")) for _ in "tu"]
        rows.append(dict(zip("nmtu", numbers + texts, strict=True)))
    db.executemany("INSERT INTO plain VALUES (:n, :m, :t, :u)", rows)
    meant = {1: True, 0: False, None: None}
    for step in range(1500):
        tree = random_condition(random, 3)
        sql = sql_of(tree)
        theirs = [meant[row[0]] for row in db.execute(f"SELECT {sql} FROM plain ORDER BY rowid")]
        ours = [evaluate(tree, fields, {}) for fields in rows]
        assert ours == theirs, f"seed 33, step {step}: {sql}"
