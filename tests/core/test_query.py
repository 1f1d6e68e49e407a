"""DQL, from text to a tree: what is understood, and where a mistake is."""

from helpers import Random, raises

from edge_peer.core.errors import QueryError
from edge_peer.core.query.expression import NESTING_MAX
from edge_peer.core.query.parser import STATEMENT_CHARS_MAX, parse

WORDS = (
    "SELECT INSERT INTO DOCUMENTS FROM WHERE ORDER BY LIMIT OFFSET AND OR NOT IN LIKE BETWEEN"
    " IS NULL MISSING AS DESC COUNT SUM ON ID CONFLICT DO a b x . , ( ) [ ] { } : :p = < + - * %"
    " || 1 2.5 'text' \"t\" `q` ' ` é ; TRUE GROUP HAVING DISTINCT UPDATE SET APPLY INCREMENT UNSET"
    " DELETE EVICT CREATE DROP INDEX IF EXISTS EXPLAIN INITIAL"
)
STARTS = (
    "SELECT * FROM x WHERE",
    "SELECT",
    "INSERT INTO x DOCUMENTS (",
    "UPDATE x SET",
    "SELECT COUNT(*) FROM x GROUP BY",
    "",
)
A, B, C = ("field", "a"), ("field", "b"), ("field", "c")


def where(text):
    return parse("SELECT * FROM x WHERE " + text).where


def number(value):
    return ("value", value)


def mistake(text):
    """Return (column, message) of the QueryError."""
    try:
        found = parse(text)
    except QueryError as error:
        return error.column, str(error)
    raise AssertionError("%s was parsed as %r" % (text, found))


# Statements


def test_every_part_of_a_select_is_found():
    select = parse(
        "SELECT a, b.c AS d FROM x WHERE a = :p AND b < :q ORDER BY a DESC, b ASC, c"
        " LIMIT 10 OFFSET :o"
    )
    assert select.kind == "select"
    assert not select.is_distinct and not select.is_grouped
    assert select.fields == [(A, "a"), (("field", "b", "c"), "d")]
    assert select.collection == "x"
    assert select.where == ("AND", ("=", A, ("parameter", "p")), ("<", B, ("parameter", "q")))
    assert select.order == [(A, True), (B, False), (C, False)]
    assert select.limit == number(10)
    assert select.offset == ("parameter", "o")
    assert select.columns == {":p": 37, ":q": 48, "LIMIT": 83, "OFFSET": 93, ":o": 93}


def test_the_parts_of_a_select_are_optional():
    select = parse("SELECT * FROM x")
    assert select.fields == select.groups == select.aggregates == select.order == []
    assert select.where is select.having is select.limit is select.offset is None
    assert parse("SELECT count FROM x").fields == [(("field", "count"), "count")]


def test_the_parts_of_a_group_are_its_own_fields():
    select = parse(
        "SELECT DISTINCT a, COUNT(*), SUM(b + 1) * 2 AS s FROM x GROUP BY a, b.c HAVING s > MAX(c)"
        " ORDER BY COUNT(DISTINCT b), b.c.d, s"
    )
    assert select.is_distinct and select.is_grouped
    assert select.groups == [A, ("field", "b", "c")]
    assert select.aggregates == [
        ("COUNT", False, None),
        ("SUM", False, ("+", B, number(1))),
        ("MAX", False, C),
        ("COUNT", True, B),
    ]
    doubled = ("*", ("field", "#1"), number(2))
    assert select.fields == [(("field", "@0"), "a"), (("field", "#0"), "count"), (doubled, "s")]
    assert select.having == (">", doubled, ("field", "#2"))
    assert select.order == [
        (("field", "#3"), False),
        (("field", "@1", "d"), False),
        (doubled, False),
    ]


def test_every_form_of_insert_is_found():
    one, two = (("parameter", "d"), 26), (("parameter", "d"), 32)
    for text, nodes, on_conflict in (
        ("INSERT INTO x DOCUMENTS (:d)", [one], "FAIL"),
        ("INSERT INTO x DOCUMENTS (:d), (:d)", [one, two], "FAIL"),
        ("INSERT INTO x DOCUMENTS (:d) ON ID CONFLICT FAIL", [one], "FAIL"),
        ("INSERT INTO x DOCUMENTS (:d) ON ID CONFLICT DO NOTHING", [one], "NOTHING"),
        ("INSERT INTO x DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", [one], "UPDATE"),
    ):
        assert tuple(parse(text)) == ("insert", "x", nodes, on_conflict, {":d": 26})
    assert parse("INSERT INTO x INITIAL DOCUMENTS (:d)").on_conflict == "INITIAL"


def test_every_form_of_a_change_is_found():
    update = parse("UPDATE x SET a = 1, b.c == :p UNSET c APPLY n INCREMENT BY -1 WHERE a = 2")
    assert (update.kind, update.collection, update.where) == ("update", "x", ("=", A, number(2)))
    assert update.actions == [
        ("SET", ("a",), number(1), 14),
        ("SET", ("b", "c"), ("parameter", "p"), 21),
        ("UNSET", ("c",), None, 37),
        ("APPLY", ("n",), ("-", number(0), number(1)), 45),
    ]
    for word in ("DELETE", "EVICT"):
        removal = parse(word + " FROM x WHERE a")
        assert tuple(removal) == (word.lower(), "x", A, {})
        assert parse(word + " FROM x").where is None


def test_every_form_of_an_index_is_found():
    for condition in ("", "IF NOT EXISTS "):
        create = parse("CREATE INDEX %si ON x (a, b.c)" % condition)
        assert tuple(create[:5]) == ("create index", "i", "x", ["a", "b\0c"], bool(condition))
    for condition in ("", "IF EXISTS "):
        drop = parse("DROP INDEX %si ON x" % condition)
        assert tuple(drop[:4]) == ("drop index", "i", "x", bool(condition))


def test_what_is_explained_is_the_statement():
    for text in ("SELECT * FROM x WHERE a", "DELETE FROM x", "INSERT INTO x DOCUMENTS ({})"):
        explained = parse("EXPLAIN " + text)
        assert explained.kind == "explain"
        assert explained.statement[0] == text.split()[0].lower()
        assert explained.statement.collection == "x"


def test_a_document_may_stand_in_the_statement():
    document = ("map", ("a", number(1)), ("b", ("array", number(True), number(None))))
    for text in (
        "{a: 1, b: [TRUE, NULL]}",
        "{ a : 1 , b : [ true , null ] }",
        '{"a":1,"b":[true,null]}',
        "{'a':1,`b`:[true,null]}",
    ):
        assert parse("INSERT INTO x DOCUMENTS (" + text + ")").documents == [(document, 25 + 1)], (
            text
        )


def test_a_pasted_json_document_is_understood():
    text = '{"on":true,"off":false,"no":null,"n":-1.5e3,"list":[],"map":{"x":{"y":"z"}},"p"::p}'
    document = parse("INSERT INTO x DOCUMENTS (" + text + ")").documents[0][0]
    assert document[1:4] == (("on", number(True)), ("off", number(False)), ("no", number(None)))
    assert document[4] == ("n", ("-", number(0), number(1500.0)))
    assert document[5:7] == (
        ("list", ("array",)),
        ("map", ("map", ("x", ("map", ("y", number("z")))))),
    )
    assert document[7] == ("p", ("parameter", "p"))


def test_keywords_are_read_in_any_case_and_names_are_not():
    assert parse("select Temp from Readings where Temp > 1 order by Temp desc limit 1") == parse(
        "SELECT Temp FROM Readings WHERE Temp > 1 ORDER BY Temp DESC LIMIT 1"
    )
    assert parse("SELECT Temp FROM x").fields[0][1] == "Temp"


def test_space_and_semicolons_at_the_end_mean_nothing():
    plain = parse("SELECT a FROM x WHERE a=1")
    assert parse("\n SELECT\ta\r\nFROM x WHERE a = 1 ;; \n") == plain
    assert mistake("SELECT a FROM x; SELECT b FROM x")[0] == 16


# Names, literals, quoting


def test_back_ticks_quote_any_name():
    select = parse("SELECT `order`, `é €` AS `a``b` FROM `a-b` WHERE `SELECT`.`x.y` = 1")
    assert select.fields == [(("field", "order"), "order"), (("field", "é €"), "a`b")]
    assert select.collection == "a-b"
    assert select.where[1] == ("field", "SELECT", "x.y")


def test_either_quote_makes_text_and_is_doubled_inside():
    for text, value in (
        ("'it''s'", "it's"),
        ('"it\'s"', "it's"),
        ('"say ""hi"""', 'say "hi"'),
        ("''", ""),
        ("''''", "'"),
        ("'`:x;--'", "`:x;--"),
        ("'é€'", "é€"),
    ):
        assert where("a = " + text)[2] == number(value), text


def test_numbers_are_whole_or_not():
    for text, value in (("0", 0), ("007", 7), ("18446744073709551616", 1 << 64)):
        found = where("a = " + text)[2][1]
        assert found == value and isinstance(found, int), text
    for text, value in (("1.0", 1.0), ("2e3", 2000.0), ("1.5E-1", 0.15), ("1e+2", 100.0)):
        found = where("a = " + text)[2][1]
        assert abs(found - value) < 1e-9 and isinstance(found, float), text


def test_only_ascii_names_need_no_quotes():
    for text in (
        "SELECT é FROM x",
        "SELECT a FROM ü",
        "SELECT ² FROM x",
        "SELECT * FROM x WHERE a = ٣",
    ):
        assert "unexpected character" in mistake(text)[1]


# How operators bind


def test_operators_bind_from_or_to_the_sign():
    for text, tree in (
        ("a OR b AND c", ("OR", A, ("AND", B, C))),
        ("a AND b OR c", ("OR", ("AND", A, B), C)),
        ("NOT a AND b", ("AND", ("NOT", A), B)),
        ("NOT a = b", ("NOT", ("=", A, B))),
        ("a = b + c", ("=", A, ("+", B, C))),
        ("a + b * c", ("+", A, ("*", B, C))),
        ("a * b + c", ("+", ("*", A, B), C)),
        ("a * -b", ("*", A, ("-", number(0), B))),
        ("a < b AND b < c", ("AND", ("<", A, B), ("<", B, C))),
        ("a || b = c", ("=", ("||", A, B), C)),
        ("a + b IS NULL", ("IS NULL", ("+", A, B))),
        ("NOT a IS NULL", ("NOT", ("IS NULL", A))),
        ("a IN b || c", ("IN", A, ("||", B, C))),
        ("a BETWEEN b AND c AND a", ("AND", ("BETWEEN", A, ("array", B, C)), A)),
    ):
        assert where(text) == tree, text


def test_operators_of_one_level_bind_from_the_left():
    for text, tree in (
        ("a - b - c", ("-", ("-", A, B), C)),
        ("a / b * c % a", ("%", ("*", ("/", A, B), C), A)),
        ("a OR b OR c", ("OR", ("OR", A, B), C)),
        ("a AND b AND c", ("AND", ("AND", A, B), C)),
    ):
        assert where(text) == tree, text


def test_parentheses_bind_strongest():
    assert where("(a OR b) AND c") == ("AND", ("OR", A, B), C)
    assert where("a * (b + c)") == ("*", A, ("+", B, C))
    assert where("((((a))))") == A


def test_every_comparison_is_known_by_all_its_signs():
    for text, operator in (
        ("a = b", "="),
        ("a == b", "="),
        ("a != b", "!="),
        ("a <> b", "!="),
        ("a < b", "<"),
        ("a <= b", "<="),
        ("a > b", ">"),
        ("a >= b", ">="),
        ("a<=b", "<="),
    ):
        assert where(text) == (operator, A, B), text


def test_not_stands_before_and_inside_a_comparison():
    for text, tree in (
        ("a NOT IN b", ("NOT", ("IN", A, B))),
        ("a NOT LIKE b", ("NOT", ("LIKE", A, B))),
        ("a NOT BETWEEN b AND c", ("NOT", ("BETWEEN", A, ("array", B, C)))),
        ("a IS NOT NULL", ("NOT", ("IS NULL", A))),
        ("a IS NOT MISSING", ("NOT", ("IS MISSING", A))),
        ("NOT NOT a", ("NOT", ("NOT", A))),
        ("NOT NOT NOT a", ("NOT", A)),
    ):
        assert where(text) == tree, text


def test_arrays_and_maps_are_expressions():
    assert where("a IN [1, b, :p]") == ("IN", A, ("array", number(1), B, ("parameter", "p")))
    assert where("a = {x: b, 'y z': {}}") == ("=", A, ("map", ("x", B), ("y z", ("map",))))


# Mistakes


def test_a_mistake_is_shown_where_it_is():
    for text, column, message in (
        ("", 1, "expected SELECT, INSERT"),
        ("  ", 1, "expected SELECT, INSERT"),
        ("HELLO", 1, "expected SELECT, INSERT"),
        ("UPDATE x SET a = ", 17, "expected a value, not the end"),
        ("UPDATE x FROM y", 10, "expected SET, APPLY, UNSET or WHERE, not FROM"),
        ("delete x", 8, "expected FROM, not x"),
        ("SELECT", 7, "expected a value, not the end"),
        ("SELECT * x", 10, "expected FROM, not x"),
        ("SELECT * FROM", 14, "expected a collection, not the end"),
        ("SELECT * FROM x y", 17, "did not expect y"),
        ("SELECT * FROM WHERE a", 15, "expected a collection, not WHERE"),
        ("SELECT * FROM 'x'", 15, "expected a collection"),
        ("SELECT * FROM ``", 15, "expected a collection"),
        ("SELECT * FROM :x", 15, "expected a collection"),
        ("SELECT a, FROM x", 11, "expected a value, not FROM"),
        ("SELECT a + 1 FROM x", 14, "name this expression"),
        ("SELECT a AS FROM x", 13, "expected a name"),
        ("SELECT COUNT(a FROM x", 16, "expected ), not FROM"),
        ("SELECT COUNT(DISTINCT *) FROM x", 23, "expected a value, not *"),
        ("SELECT * FROM x GROUP a", 23, "expected BY, not a"),
        ("SELECT * FROM x WHERE", 22, "expected a value, not the end"),
        ("SELECT * FROM x WHERE a =", 26, "expected a value, not the end"),
        ("SELECT * FROM x WHERE a = = 1", 27, "expected a value, not ="),
        ("SELECT * FROM x WHERE a = 1 = 2", 29, "did not expect ="),
        ("SELECT * FROM x WHERE (a = 1", 29, "expected ), not the end"),
        ("SELECT * FROM x WHERE a = 1)", 28, "did not expect )"),
        ("SELECT * FROM x WHERE a NOT 1", 29, "expected IN, LIKE or BETWEEN"),
        ("SELECT * FROM x WHERE a BETWEEN 1", 34, "expected AND, not the end"),
        ("SELECT * FROM x WHERE a IS 1", 28, "expected NULL, not 1"),
        ("SELECT * FROM x WHERE a IN [1, 2", 33, "expected ], not the end"),
        ("SELECT a. FROM x", 11, "expected a field, not FROM"),
        ("SELECT * FROM x WHERE a = 1.2.3", 27, "1.2.3 is not a number"),
        ("SELECT * FROM x WHERE a = 1e", 27, "1e is not a number"),
        ("SELECT * FROM x WHERE a = 'open", 27, "without its closing quote"),
        ("SELECT * FROM x WHERE a = `open``", 27, "without its closing quote"),
        ("SELECT * FROM x WHERE a = :", 27, "expected a value, not :"),
        ("SELECT * FROM x WHERE a = :1", 27, "expected a value, not :"),
        ("SELECT * FROM x WHERE a # 1", 25, "unexpected character #"),
        ("SELECT * FROM x ORDER a", 23, "expected BY, not a"),
        ("SELECT * FROM x LIMIT", 22, "expected a value, not the end"),
        ("SELECT * FROM x LIMIT -1", 23, "expected a value, not -"),
        ("SELECT * FROM x OFFSET 1 LIMIT 1", 26, "did not expect LIMIT"),
        ("INSERT x", 8, "expected INTO, not x"),
        ("INSERT INTO x (:d)", 15, "expected DOCUMENTS, not ("),
        ("INSERT INTO x DOCUMENTS :d", 25, "expected (, not :d"),
        ("INSERT INTO x DOCUMENTS (:d", 28, "expected ), not the end"),
        ("INSERT INTO x DOCUMENTS (:d), ", 30, "expected (, not the end"),
        ("INSERT INTO x DOCUMENTS ({a})", 28, "expected :, not }"),
        ("INSERT INTO x DOCUMENTS ({1: 2})", 27, "expected a key, not 1"),
        ("INSERT INTO x DOCUMENTS ({a: 1,})", 32, "expected a key, not }"),
        ("INSERT INTO x DOCUMENTS ({site: A})", 33, "expected a value, not A"),
        ("INSERT INTO x DOCUMENTS ({site:A})", 32, "expected a value, not A"),
        ("INSERT INTO x DOCUMENTS (:d) ON CONFLICT", 33, "expected ID, not CONFLICT"),
        ("INSERT INTO x DOCUMENTS (:d) ON ID CONFLICT DO", 47, "expected UPDATE, not the end"),
        ("INSERT INTO x DOCUMENTS (:d) WHERE a", 30, "did not expect WHERE"),
    ):
        found_column, found = mistake(text)
        assert found_column == column, (text, found)
        assert message in found, (text, found)
        assert "column %d" % column in found


def test_half_a_surrogate_pair_is_a_mistake():
    for text in ("SELECT * FROM `%s`", "SELECT * FROM x WHERE a = '%s'", "%s"):
        mistake(text.replace("%s", chr(0xD800)))


# Bounds


def test_a_statement_has_a_largest_size():
    text = "SELECT * FROM x WHERE a = '%s'"
    room = STATEMENT_CHARS_MAX - len(text) + 2
    parse(text.replace("%s", "y" * room))
    assert "at most" in mistake(text.replace("%s", "y" * (room + 1)))[1]


def test_nesting_has_a_bound():
    for opening, closing in (("(", ")"), ("[", "]"), ("{a:", "}"), ("{a: [", "]}")):
        for depth in (NESTING_MAX // len(opening.split()) + 1, 500):
            text = "a = " + opening * depth + "1" + closing * depth
            with raises(QueryError, "nested"):
                where(text)
            with raises(QueryError, "nested"):
                parse("INSERT INTO x DOCUMENTS (" + text[4:] + ")")


def test_a_stack_that_is_nearly_full_is_a_query_error():
    text = "SELECT * FROM x WHERE " + "(" * 20 + "a" + ")" * 20

    def fall():
        """Go down until there is no room left to parse in."""
        try:
            parse(text)
        except QueryError as error:
            return str(error)
        return fall()

    assert fall() == "nested too deep for this machine"


def test_long_chains_are_no_nesting():
    for operator in ("OR", "AND", "+", "*", "||"):
        text = (" %s " % operator).join(["a"] * 500)
        assert where(text)[0] == operator
    where("NOT " * 900 + "a")
    where("a IN [" + ", ".join(["1"] * 1000) + "]")


def test_any_words_are_parsed_or_refused_with_a_place():
    words = WORDS.split(" ")
    for seed in range(800):
        random = Random(seed)
        start = random.choice(STARTS)
        text = " ".join([start] + [random.choice(words) for _ in range(random.below(12))])
        try:
            assert isinstance(parse(text)[0], str), "seed %d" % seed
        except QueryError as error:
            assert 0 < error.column <= len(text) + 1, "seed %d" % seed
