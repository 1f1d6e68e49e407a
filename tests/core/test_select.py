"""What statements do on a store: values and the unknown, order, bounds, writes, subscriptions."""

from helpers import Random, raises
from memory import MemoryLog, open_store
from vectors.cases import same

from edge_peer.core import codec
from edge_peer.core.document import FIELD_COUNT_MAX, Cell, encode, make
from edge_peer.core.errors import FormatError, QueryError
from edge_peer.core.query.execute import Executor

AUTHOR = b"author-a"


def executor(*all_fields):
    """An executor on a store with these documents; their ids are a, b, c …"""
    found = Executor(open_store(), codec)
    for i in range(len(all_fields)):
        fields = dict(all_fields[i])
        fields["_id"] = chr(ord("a") + i)
        found.execute("INSERT INTO x DOCUMENTS (:d)", {"d": fields})
    return found


def evaluated(expression, fields=None, arguments=None):
    """Return what an expression is on one document, or "missing"."""
    run = executor(fields if fields is not None else {"n": 1})
    return (
        run.execute("SELECT " + expression + " AS r FROM x", arguments).items[0].get("r", "missing")
    )


def ids(run, rest, arguments=None):
    return "".join(
        [row["_id"] for row in run.execute("SELECT _id FROM x " + rest, arguments).items]
    )


# Values


def test_literals_parameters_and_fields_are_their_values():
    fields = {"n": 1, "m": {"k": {"z": "deep"}}}
    for expression, expected in (
        ("5", 5),
        ("2.5", 2.5),
        ("'text'", "text"),
        ("TRUE", True),
        ("NULL", None),
        (":p", b"raw"),
        ("n", 1),
        ("m.k.z", "deep"),
        ("m.k", {"z": "deep"}),
        ("[n, 'x', [:p]]", [1, "x", [b"raw"]]),
        ("{a: n, 'b c': {}}", {"a": 1, "b c": {}}),
        ("_id", "a"),
    ):
        assert same(evaluated(expression, fields, {"p": b"raw"}), expected), expression


def test_what_a_document_lacks_is_missing():
    for expression in ("q", "n.q", "m.q", "m.k.q.r", "`m.k`"):
        fields = {"n": 1, "m": {"k": 1}}
        assert evaluated(expression, fields) == "missing", expression
        assert evaluated(expression + " IS MISSING", fields) is True
        assert evaluated(expression + " IS NOT MISSING", fields) is False
        assert evaluated(expression + " IS NULL", fields) is False
    assert evaluated("n IS MISSING", {"n": None}) is False
    assert evaluated("n IS NULL", {"n": None}) is True


def test_what_is_missing_is_null_in_an_array_and_nothing_in_a_map():
    assert evaluated("[n, q]") == [1, None]
    assert evaluated("{a: n, b: q}") == {"a": 1}


def test_arithmetic_is_on_numbers():
    for expression, expected in (
        ("1 + 2", 3),
        ("1 - 2", -1),
        ("2 * 3.5", 7.0),
        ("7 / 2", 3.5),
        ("7 % 3", 1),
        ("-7 % 3", 2),
        ("7.5 % 2", 1.5),
        ("-n", -1),
        ("-(n + 1)", -2),
        ("'a' || 'b' || ''", "ab"),
    ):
        assert same(evaluated(expression), expected), expression


def test_arithmetic_on_anything_else_is_null():
    for expression in (
        "1 + 'a'",
        "'a' + 'b'",
        "TRUE + 1",
        "1 - NULL",
        "1 * q",
        "[1] + [2]",
        "-'a'",
        "1 / 0",
        "1 % 0",
        "1.5 / 0.0",
        "1.5 % 0.0",
        "'a' || 1",
        "'a' || NULL",
        "q || 'a'",
    ):
        assert evaluated(expression) is None, expression


def test_a_result_that_no_document_could_hold_is_null():
    whole = "9" * 400
    for expression in (
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "4294967296 * 4294967296",
        "1e308 * 10",
        "1e308 + 1e308",
        "1e999 - 1e999",
        whole + " + 1.5",
        whole + " / 2",
        whole + " % 1.5",
        "1.5 * " + whole,
    ):
        assert evaluated(expression) is None, expression
    assert evaluated("9223372036854775806 + 1") == (1 << 63) - 1
    assert evaluated("-9223372036854775807 - 1") == -(1 << 63)


# Comparisons: true, false, unknown


def test_values_of_one_type_compare():
    for expression, expected in (
        ("1 = 1.0", True),
        ("1 = 2", False),
        ("1 < 1.5", True),
        ("2 <= 2", True),
        ("3 > 2", True),
        ("3 >= 3.5", False),
        ("'a' < 'b'", True),
        ("'B' < 'a'", True),
        ("'a' = 'A'", False),
        ("'\uffff' < '\U00010000'", True),
        ("TRUE = TRUE", True),
        ("TRUE != FALSE", True),
        (":p = :p", True),
        (":p < :q", True),
        ("[1, [2]] = [1, [2.0]]", True),
        ("[1] = [TRUE]", False),
        ("[1, 2] = [2, 1]", False),
        ("{a: 1, b: 2} = {b: 2, a: 1}", True),
        ("{a: 1} = {a: 1, b: 2}", False),
        (":t = [1, 2]", True),
    ):
        arguments = {"p": b"a", "q": b"b", "t": (1, 2)}
        assert evaluated(expression, None, arguments) is expected, expression


def test_values_of_different_types_are_not_equal_and_have_no_order():
    for one, other in (("1", "'1'"), ("1", "TRUE"), ("0", "FALSE"), ("'a'", ":p"), ("[]", "{}")):
        for left, right in ((one, other), (other, one)):
            arguments = {"p": b"a"}
            assert evaluated("%s = %s" % (left, right), None, arguments) is False
            assert evaluated("%s != %s" % (left, right), None, arguments) is True
            for sign in ("<", "<=", ">", ">="):
                assert evaluated("%s %s %s" % (left, sign, right), None, arguments) is None


def test_booleans_arrays_and_maps_have_no_less():
    for expression in ("FALSE < TRUE", "[1] < [2]", "{a: 1} < {a: 2}", "[1] <= [1]"):
        assert evaluated(expression) is None, expression


def test_a_comparison_with_nothing_is_unknown():
    for nothing in ("NULL", "q", ":none"):
        for sign in ("=", "!=", "<", "<=", ">", ">="):
            for other in ("1", "'a'", "TRUE", "[1]", nothing):
                arguments = {"none": None}
                assert evaluated("%s %s %s" % (nothing, sign, other), None, arguments) is None
                assert evaluated("%s %s %s" % (other, sign, nothing), None, arguments) is None


def test_truth_has_three_values():
    names = {True: "TRUE", False: "FALSE", None: "NULL"}
    for left in names:
        assert evaluated("NOT " + names[left]) is (None if left is None else not left)
        for right in names:
            both = False if False in (left, right) else None if None in (left, right) else True
            either = True if True in (left, right) else None if None in (left, right) else False
            assert evaluated("%s AND %s" % (names[left], names[right])) is both, (left, right)
            assert evaluated("%s OR %s" % (names[left], names[right])) is either, (left, right)


def test_what_is_no_truth_value_is_unknown():
    for value in ("1", "'TRUE'", "q", "[]"):
        assert evaluated("NOT " + value) is None
        assert evaluated(value + " AND TRUE") is None
        assert evaluated(value + " AND FALSE") is False
        assert evaluated(value + " OR TRUE") is True
        assert evaluated(value + " OR FALSE") is None


def test_in_is_a_row_of_equals():
    for expression, expected in (
        ("1 IN [3, 2, 1]", True),
        ("1 IN [3, 2]", False),
        ("1 IN []", False),
        ("1 IN [2, NULL]", None),
        ("1 IN [NULL, 1]", True),
        ("1 NOT IN [2]", True),
        ("1 NOT IN [1]", False),
        ("1 NOT IN [2, NULL]", None),
        ("NULL IN [1]", None),
        ("1 IN 1", None),
        ("1 IN NULL", None),
        ("1 IN q", None),
        ("1 IN :list", True),
        ("[1] IN [[1]]", True),
    ):
        assert evaluated(expression, None, {"list": (1, 2)}) is expected, expression


def test_between_takes_both_ends():
    for expression, expected in (
        ("2 BETWEEN 1 AND 3", True),
        ("1 BETWEEN 1 AND 3", True),
        ("3 BETWEEN 1 AND 3", True),
        ("4 BETWEEN 1 AND 3", False),
        ("2 BETWEEN 3 AND 1", False),
        ("2 NOT BETWEEN 3 AND 1", True),
        ("'b' BETWEEN 'a' AND 'c'", True),
        ("2 BETWEEN 'a' AND 'c'", None),
        ("2 BETWEEN NULL AND 3", None),
        ("4 BETWEEN NULL AND 3", False),
        ("NULL BETWEEN 1 AND 3", None),
    ):
        assert evaluated(expression) is expected, expression


def test_like_knows_any_and_one_character():
    for text, pattern, expected in (
        ("sensor", "sensor", True),
        ("sensor", "Sensor", False),
        ("sensor", "sens", False),
        ("sensor", "sens%", True),
        ("sensor", "%sor", True),
        ("sensor", "%nso%", True),
        ("sensor", "s%s%r", True),
        ("sensor", "s%x%r", False),
        ("sensor", "%", True),
        ("", "%", True),
        ("", "", True),
        ("", "_", False),
        ("a", "", False),
        ("a", "_", True),
        ("é", "_", True),
        ("sensor", "______", True),
        ("sensor", "_____", False),
        ("sensor", "s_n%_r", True),
        ("aa", "a%a", True),
        ("a", "a%a", False),
        ("aba", "ab%ba", False),
        ("abab", "%ab", True),
        ("aab", "%a_", True),
        ("abcabd", "%ab_", True),
        ("abcabd", "a%b_%d", True),
        ("mississippi", "m%iss%ip%i", True),
        ("mississippi", "m%iss%iss%iss%", False),
        ("a%b", "a%b", True),
        ("x", "%%%", True),
        ("é€", "%€", True),
    ):
        arguments = {"t": text, "p": pattern}
        assert evaluated(":t LIKE :p", None, arguments) is expected, (text, pattern)
        assert evaluated(":t NOT LIKE :p", None, arguments) is not expected
    for expression in ("1 LIKE '1'", "'1' LIKE 1", "NULL LIKE '%'", "q LIKE '%'"):
        assert evaluated(expression) is None, expression


def test_like_agrees_with_its_definition():
    def fits(text, pattern):
        if not pattern:
            return not text
        if pattern[0] == "%":
            return any([fits(text[i:], pattern[1:]) for i in range(len(text) + 1)])
        return bool(text) and pattern[0] in ("_", text[0]) and fits(text[1:], pattern[1:])

    run = executor({"n": 1})
    for seed in range(300):
        random = Random(seed)
        text = "".join([random.choice("ab") for _ in range(random.below(8))])
        pattern = "".join([random.choice("ab_%%") for _ in range(random.below(6))])
        row = run.execute("SELECT :t LIKE :p AS r FROM x", {"t": text, "p": pattern}).items[0]
        assert row["r"] is fits(text, pattern), (text, pattern)


def test_a_long_chain_is_evaluated_like_a_short_one():
    assert evaluated(" + ".join(["n"] * 400)) == 400
    assert evaluated(" OR ".join(["n = 2"] * 200 + ["n = 1"])) is True
    assert evaluated(" AND ".join(["n = 1"] * 200 + ["n = 2"])) is False
    assert evaluated("(" * 20 + "n" + " + 1)" * 20) == 21


def test_nested_between_is_evaluated_once_each():
    text = "n"
    for _ in range(20):
        text = "(" + text + " BETWEEN 1 AND 2)"
    assert evaluated(text) is None  # twice as much work a level would take minutes


# SELECT


def test_where_takes_only_what_is_true():
    run = executor({"n": 1}, {"n": 2}, {"n": None}, {"m": 1}, {"n": "1"})
    assert ids(run, "WHERE n = 1 ORDER BY _id") == "a"
    assert ids(run, "WHERE n != 1 ORDER BY _id") == "be"
    assert ids(run, "WHERE NOT n = 1 ORDER BY _id") == "be"
    assert ids(run, "WHERE n > 0 OR m > 0 ORDER BY _id") == "abd"
    assert ids(run, "WHERE n IS MISSING ORDER BY _id") == "d"
    assert ids(run, "WHERE n IS NULL ORDER BY _id") == "c"
    assert ids(run, "WHERE n ORDER BY _id") == ""
    assert ids(run, "WHERE TRUE ORDER BY _id") == "abcde"


def test_a_document_is_found_by_its_id():
    run = executor({"n": 1, "m": "a"}, {"n": 2, "m": "a"})
    assert ids(run, "WHERE _id = 'b'") == "b"
    assert ids(run, "WHERE _id = :id", {"id": "b"}) == "b"
    assert ids(run, "WHERE _id = 'z'") == ""
    assert ids(run, "WHERE _id = 5") == ""
    assert ids(run, "WHERE _id = m") == "a"  # not an id that is known beforehand
    assert ids(run, "WHERE _id = 'b' AND n = 1") == ""
    assert ids(run, "WHERE _id IN ['a', 'z']") == "a"


def test_rows_have_what_was_asked_for():
    run = executor({"n": 1, "m": {"k": 2}})
    for projection, row in (
        ("*", {"_id": "a", "n": 1, "m": {"k": 2}}),
        ("_id", {"_id": "a"}),
        ("n, q", {"n": 1}),
        ("m.k", {"k": 2}),
        ("m.k AS deep, n + 1 AS next", {"deep": 2, "next": 2}),
        ("q IS MISSING AS gone, NULL AS nothing", {"gone": True, "nothing": None}),
    ):
        assert run.execute("SELECT " + projection + " FROM x").items == [row], projection


def test_another_collection_is_another():
    run = executor({"n": 1})
    assert run.execute("SELECT * FROM y").items == []
    assert run.execute("SELECT COUNT(*) FROM y").items == [{"count": 0}]


def test_count_counts_what_matches():
    run = executor(*[{"n": i} for i in range(7)])
    assert run.execute("SELECT COUNT(*) FROM x").items == [{"count": 7}]
    assert run.execute("SELECT COUNT(*) FROM x WHERE n > 4").items == [{"count": 2}]


def test_any_two_values_have_an_order():
    ascending = (
        {"m": 1},
        {"n": None},
        {"n": False},
        {"n": True},
        {"n": -1.5},
        {"n": 0},
        {"n": 1 << 60},
        {"n": ""},
        {"n": "B"},
        {"n": "a"},
        {"n": b""},
        {"n": b"a"},
        {"n": []},
        {"n": [1]},
        {"n": [1, None]},
        {"n": [1, "a"]},
        {"n": {}},
        {"n": {"a": 1}},
        {"n": {"a": 2}},
        {"n": {"b": 0}},
    )
    names = "".join([chr(ord("a") + i) for i in range(len(ascending))])
    run = executor(*ascending)
    assert ids(run, "ORDER BY n") == names
    assert ids(run, "ORDER BY n ASC") == names
    assert ids(run, "ORDER BY n DESC") == "".join(reversed(names))


def test_later_keys_order_what_earlier_ones_leave_equal():
    run = executor({"n": 1, "m": 2}, {"n": 2, "m": 1}, {"n": 1, "m": 1}, {"n": 2, "m": 2})
    assert ids(run, "ORDER BY n, m") == "cabd"
    assert ids(run, "ORDER BY n, m DESC") == "acdb"
    assert ids(run, "ORDER BY n DESC, m") == "bdca"
    assert ids(run, "ORDER BY n DESC, m DESC") == "dbac"
    assert ids(run, "ORDER BY n + m, _id") == "cabd"
    assert ids(run, "ORDER BY -n, -m") == "dbac"


def test_rows_that_are_equal_keep_their_order_in_either_direction():
    for seed in range(20):
        random = Random(seed)
        run = executor(*[{"n": random.below(3)} for _ in range(20)])
        plain = ids(run, "")
        for way in ("ASC", "DESC"):
            found = ids(run, "ORDER BY n " + way)
            expected = ""
            for n in (0, 1, 2) if way == "ASC" else (2, 1, 0):
                same_n = ids(run, "WHERE n = %d" % n)
                expected += "".join([id for id in plain if id in same_n])
            assert found == expected, "seed %d" % seed


def test_limit_and_offset_cut_a_window():
    run = executor(*[{"n": i} for i in range(5)])
    for rest, expected in (
        ("LIMIT 2", "ab"),
        ("LIMIT 0", ""),
        ("LIMIT 9", "abcde"),
        ("OFFSET 3", "de"),
        ("LIMIT 2 OFFSET 1", "bc"),
        ("LIMIT 2 OFFSET 4", "e"),
        ("LIMIT 2 OFFSET 9", ""),
        ("LIMIT :two OFFSET :one", "bc"),
        ("LIMIT (1 + 1)", "ab"),
    ):
        assert ids(run, "ORDER BY n " + rest, {"one": 1, "two": 2}) == expected, rest
        count = len(ids(run, rest, {"one": 1, "two": 2}))
        assert count == len(expected), rest


def test_a_limit_is_a_whole_number():
    run = executor({"n": 1})
    for bad in (-1, 1.5, "1", None, True, [1]):
        for word in ("LIMIT", "OFFSET"):
            with raises(QueryError, word):
                run.execute("SELECT * FROM x %s :p" % word, {"p": bad})
    with raises(QueryError, "LIMIT"):
        run.execute("SELECT * FROM x LIMIT n")


def test_an_argument_that_is_missing_is_told_before_any_document_is_looked_at():
    for run in (executor(), executor({"n": 1})):
        for text in (
            "SELECT * FROM x WHERE n = :p",
            "SELECT * FROM x WHERE n = 2 AND n = :p",
            "SELECT * FROM x WHERE _id = :p",
            "SELECT :p AS p FROM x",
            "SELECT COUNT(*) FROM x WHERE n IN [:p]",
            "SELECT * FROM x ORDER BY :p",
            "SELECT * FROM x LIMIT :p",
            "INSERT INTO x DOCUMENTS (:p)",
            "INSERT INTO x DOCUMENTS ({a: :p})",
        ):
            for arguments in (None, {}, {"P": 1}):
                with raises(QueryError, "no argument for :p"):
                    run.execute(text, arguments)


def test_any_argument_is_compared_without_a_crash():
    run = executor({"n": 1}, {"n": [1]}, {"n": {"a": 1}})
    for argument in (object(), {1, 2}, {1: 2}, (object(),), bytearray(b"x"), 1 << 80, len):
        for text in ("n = :p", "n < :p", "n IN [:p]", "n IN :p", "n LIKE :p", "n + :p = 1", ":p"):
            if argument != {1: 2} or "=" not in text:
                run.execute("SELECT * FROM x WHERE " + text, {"p": argument})


# INSERT


def test_an_insert_returns_the_ids_in_order():
    run = executor()
    result = run.execute("INSERT INTO x DOCUMENTS ({_id: 'b', n: 1}), ({n: 2}), ({_id: 'a', n: 3})")
    assert result.kind == "insert"
    assert result.ids[0] == "b" and len(result.ids[1]) == 19 and result.ids[2] == "a"
    assert run.execute("SELECT n FROM x WHERE _id = :id", {"id": result.ids[1]}).items == [{"n": 2}]


def test_many_documents_go_in_with_one_statement():
    run = executor()
    documents = [{"n": i} for i in range(50)]
    result = run.execute(
        "INSERT INTO x DOCUMENTS (:all), (:one)", {"all": documents, "one": {"n": 50}}
    )
    assert len(set(result.ids)) == 51
    rows = run.execute("SELECT n FROM x ORDER BY n").items
    assert [row["n"] for row in rows] == list(range(51))
    assert run.execute("INSERT INTO x DOCUMENTS (:none)", {"none": []}).ids == []


def test_an_id_that_exists_is_left_refused_or_updated():
    for conflict, n in (("", 1), ("ON ID CONFLICT FAIL", 1), ("ON ID CONFLICT DO NOTHING", 1)):
        run = executor({"n": 1, "m": 1})
        text = "INSERT INTO x DOCUMENTS ({_id: 'a', n: 2}) " + conflict
        if "NOTHING" in conflict:
            assert run.execute(text).ids == []
        else:
            with raises(QueryError, "exists"):
                run.execute(text)
        assert run.execute("SELECT * FROM x").items == [{"_id": "a", "n": n, "m": 1}]
    run = executor({"n": 1, "m": 1})
    result = run.execute("INSERT INTO x DOCUMENTS ({_id: 'a', n: 2}) ON ID CONFLICT DO UPDATE")
    assert result.ids == ["a"]
    assert run.execute("SELECT * FROM x").items == [{"_id": "a", "n": 2, "m": 1}]


def test_an_id_that_stands_twice_in_a_statement_is_a_conflict_too():
    text = "INSERT INTO x DOCUMENTS ({_id: 'a', n: 1}), ({_id: 'a', n: 2}) "
    run = executor()
    with raises(QueryError, "exists"):
        run.execute(text)
    assert run.execute("SELECT * FROM x").items == []
    assert run.execute(text + "ON ID CONFLICT DO NOTHING").ids == ["a"]
    assert run.execute("SELECT n FROM x").items == [{"n": 1}]
    assert run.execute(text + "ON ID CONFLICT DO UPDATE").ids == ["a", "a"]
    assert run.execute("SELECT n FROM x").items == [{"n": 2}]


def test_a_statement_with_one_wrong_document_writes_none():
    run = executor()
    for bad in ({}, {"_id": "b"}, 5, None, "text", {"n": object()}, {1: 2}, {"": 1}):
        with raises(QueryError):
            run.execute("INSERT INTO x DOCUMENTS (:good), (:bad)", {"good": {"n": 1}, "bad": bad})
    assert run.execute("SELECT * FROM x").items == []


def test_an_id_is_text_of_a_bounded_size():
    run = executor()
    for bad in ("", 1, b"a", [], "i" * 129, "é" * 65, chr(0xD800)):
        with raises(QueryError):
            run.execute("INSERT INTO x DOCUMENTS (:d)", {"d": {"_id": bad, "n": 1}})
    for good in ("i" * 128, "é" * 64, "\0", "a b"):
        assert run.execute("INSERT INTO x DOCUMENTS (:d)", {"d": {"_id": good, "n": 1}}).ids == [
            good
        ]


def test_a_collection_has_a_name_of_a_bounded_size():
    run = executor()
    run.execute("INSERT INTO `%s` DOCUMENTS ({n: 1})" % ("c" * 64))
    for name in ("c" * 65, "é" * 33):
        with raises(QueryError, "collection"):
            run.execute("INSERT INTO `%s` DOCUMENTS ({n: 1})" % name)


def test_the_stores_own_entries_are_no_collection():
    run = executor({"n": 1})
    for text in ("SELECT * FROM ``", "INSERT INTO `` DOCUMENTS ({_id: 'state', n: 1})"):
        with raises(QueryError):
            run.execute(text)


def test_a_document_cannot_be_updated_beyond_its_bound():
    run = executor({"n": 0})
    update = "INSERT INTO x DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"
    for start in range(0, FIELD_COUNT_MAX - 1, 23):
        fields = {"f%d" % i: 1 for i in range(start, start + 23)}
        fields["_id"] = "a"
        run.execute(update, {"d": fields})
    for bad in ([{"_id": "a", "more": 1}], [{"_id": "b", "n": 1}, {"_id": "a", "more": 1}]):
        with raises(QueryError, "at most"):
            run.execute(update, {"d": bad})
    run.execute(update, {"d": {"_id": "a", "n": 2}})
    assert len(run.execute("SELECT * FROM x").items[0]) == FIELD_COUNT_MAX + 1


def test_what_was_written_is_there_after_a_restart():
    log = MemoryLog()
    run = Executor(open_store(log), codec)
    first = run.execute("INSERT INTO x DOCUMENTS ({n: 1})").ids
    again = Executor(open_store(log), codec)
    second = again.execute("INSERT INTO x DOCUMENTS ({n: 2})").ids
    assert first != second
    assert again.execute("SELECT n FROM x ORDER BY n").items == [{"n": 1}, {"n": 2}]


def test_a_statement_that_is_repeated_is_answered_anew():
    run = executor({"n": 1})
    for n in range(20):
        assert ids(run, "WHERE n = :n", {"n": n}) == ("a" if n == 1 else "")
        assert run.execute("SELECT * FROM y%d" % n).items == []


def test_rows_are_the_callers_own():
    run = executor({"m": {"k": [1]}})
    row = run.execute("SELECT * FROM x").items[0]
    row["m"]["k"].append(2)
    row["n"] = 1
    assert run.execute("SELECT * FROM x").items == [{"_id": "a", "m": {"k": [1]}}]


# Subscriptions


def matching(subscriptions, fields, collection="x"):
    matches = executor().matcher(subscriptions)
    values = {name: codec.pack(fields[name]) for name in fields}
    return matches(collection, "id", make(values, 1, AUTHOR, 1))


def test_a_subscription_takes_what_its_where_takes():
    for text, arguments, expected in (
        ("SELECT * FROM x", {}, True),
        ("SELECT * FROM y", {}, False),
        ("SELECT * FROM x WHERE n = 1", {}, True),
        ("SELECT * FROM x WHERE n = 2", {}, False),
        ("SELECT * FROM x WHERE q = 1", {}, False),
        ("SELECT * FROM x WHERE n = :n", {"n": 1}, True),
        ("SELECT * FROM x WHERE n = :n", {"n": "1"}, False),
        ("SELECT * FROM x WHERE _id = 'id'", {}, True),
        ("SELECT * FROM x WHERE _id = 'other'", {}, False),
    ):
        assert matching([(text, codec.pack(arguments))], {"n": 1}) is expected, text


def test_one_of_several_subscriptions_is_enough():
    one, two = ("SELECT * FROM x WHERE n = 1", b""), ("SELECT * FROM x WHERE n = 2", b"")
    assert matching([one, two], {"n": 2})
    assert matching([two, one], {"n": 2})
    assert not matching([one, two], {"n": 3})
    assert not matching([one, two], {"n": 2}, "y")
    assert not matching([], {"n": 1})


def test_a_subscription_is_a_select_with_a_where_and_no_more():
    for text in (
        "SELECT * FROM x ORDER BY n",
        "SELECT * FROM x LIMIT 1",
        "SELECT * FROM x OFFSET 1",
        "INSERT INTO x DOCUMENTS ({n: 1})",
        "SELECT",
        "",
    ):
        with raises(QueryError):
            executor().matcher([(text, b"")])


def test_wrong_arguments_of_a_subscription_are_told_at_once():
    # Not later, in the middle of a scan: it is the neighbour's mistake, and no reason to stop.
    with raises(QueryError, "no argument for :p"):
        executor().matcher([("SELECT * FROM x WHERE q = 1 AND n = :p", b"")])
    with raises(QueryError, "map"):
        executor().matcher([("SELECT * FROM x", codec.pack([1]))])
    with raises(FormatError):
        executor().matcher([("SELECT * FROM x", b"\xc1")])


def test_a_match_leaves_the_document_as_it_is():
    document = {"n": Cell(1, AUTHOR, 1, 0, codec.pack(1))}
    before = encode(document)
    assert executor().matcher([("SELECT * FROM x", b"")])("x", "id", document)
    assert encode(document) == before
