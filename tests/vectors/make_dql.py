"""
Write dql.json: statements of DQL and what they answer. Run by hand, when the language changes:

    .venv/bin/python tests/vectors/make_dql.py

Nothing of edge_peer is imported: every answer below is written by hand, from what
SPEC.md says. `~` stands for the script's collection, whose name has one letter, so
that columns stay. tests/statements.py says what a step may have, and runs them.
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
READINGS = [
    {"_id": "a", "site": "north", "temp": 20.5, "n": 1, "pos": {"x": 1, "y": 2}, "tags": ["in"]},
    {"_id": "b", "site": "north", "temp": 22.5, "n": 2, "pos": {"x": 3}, "tags": []},
    {"_id": "c", "site": "south", "temp": 18.0, "n": 3, "note": None},
    {"_id": "d", "site": "south", "n": 4, "note": "wet", "open": True},
    {"_id": "e", "temp": -1.5, "n": 5, "note": "50% off_", "open": False},
    {"_id": "f", "site": 7, "temp": "warm", "n": 6, "pos": "none"},
]
INSERT = "INSERT INTO ~ DOCUMENTS (:d)"


def rows(text, *expected, **arguments):
    return step(text, arguments, rows=list(expected))


def ids(where, expected, **arguments):
    """What SELECT _id … finds; in this order if it says ORDER BY."""
    return step("SELECT _id FROM ~ " + where, arguments, rows=[{"_id": one} for one in expected])


def value(expression, expected, **arguments):
    """What an expression is on document a."""
    text = "SELECT " + expression + " AS r FROM ~ WHERE _id = 'a'"
    return step(text, arguments, rows=[{} if expected is MISSING else {"r": expected}])


def changed(text, expected, **arguments):
    return step(text, arguments, ids=list(expected))


def error(text, column, says, **arguments):
    return step(text, arguments, error=column, says=says)


def step(text, arguments, **expected):
    return {"run": text} | ({"args": arguments} if arguments else {}) | expected


def readings():
    return [changed(INSERT, "abcdef", d=READINGS)]


MISSING = object()

SCRIPTS = {}


def script(function):
    SCRIPTS[function.__name__.replace("_", " ")] = function()
    return function


@script
def what_where_takes():
    return [
        *readings(),
        ids("", "abcdef"),
        ids("WHERE n = 3", "c"),
        ids("WHERE n == 3", "c"),
        ids("WHERE 3 = n", "c"),
        ids("WHERE n != 3", "abdef"),
        ids("WHERE n <> 3", "abdef"),
        ids("WHERE n < 3", "ab"),
        ids("WHERE 3 > n", "ab"),
        ids("WHERE n <= 3", "abc"),
        ids("WHERE n > 4", "ef"),
        ids("WHERE n >= 4", "def"),
        ids("WHERE temp > 18.0", "ab"),
        ids("WHERE temp > 18.0 AND temp < 21", "a"),
        ids("WHERE temp < 0 OR temp = 'warm'", "ef"),
        ids("WHERE NOT temp > 18.0", "ce"),
        ids("WHERE temp BETWEEN -2 AND 18", "ce"),
        ids("WHERE temp NOT BETWEEN -2 AND 18", "ab"),
        ids("WHERE n IN [1, 3, 9]", "ac"),
        ids("WHERE n NOT IN [1, 3, 9]", "bdef"),
        ids("WHERE n IN :list", "bd", list=[2, 4]),
        ids("WHERE site = 'north'", "ab"),
        ids("WHERE site = :s AND n > :n", "d", s="south", n=3),
        ids("WHERE site LIKE 'n%'", "ab"),
        ids("WHERE site LIKE '_outh'", "cd"),
        ids("WHERE site NOT LIKE 'n%'", "cd"),
        ids("WHERE note LIKE '50\u0025 off_'", "e"),
        ids("WHERE open", "d"),
        ids("WHERE open = FALSE", "e"),
        ids("WHERE open != TRUE", "e"),
        ids("WHERE n + 1 = 4", "c"),
        ids("WHERE n % 2 = 0", "bdf"),
        ids("WHERE temp > n * 10", "ab"),
        ids("WHERE TRUE", "abcdef"),
        ids("WHERE NULL", ""),
        ids("WHERE n", ""),
        ids("WHERE _id > 'd'", "ef"),
        ids("WHERE _id = 'b'", "b"),
        ids("WHERE _id = 'b' AND n = 3", ""),
        ids("WHERE n = 2 AND _id = 'b'", "b"),
        ids("WHERE _id IN ['f', 'x', 'a', 'f']", "af"),
        ids("WHERE _id = 3", ""),
        ids("WHERE _id = 'b' OR n = 3", "bc"),
        ids("WHERE (n = 1 OR n = 2) AND (site = 'north' OR temp < 0)", "ab"),
    ]


@script
def null_and_missing():
    return [
        *readings(),
        ids("WHERE note IS NULL", "c"),
        ids("WHERE note IS NOT NULL", "abdef"),
        ids("WHERE note IS MISSING", "abf"),
        ids("WHERE note IS NOT MISSING", "cde"),
        ids("WHERE note IS NOT NULL AND note IS NOT MISSING", "de"),
        ids("WHERE note = NULL", ""),
        ids("WHERE note != NULL", ""),
        ids("WHERE note != 'wet'", "e"),
        ids("WHERE NOT note = 'wet'", "e"),
        ids("WHERE absent = absent", ""),
        ids("WHERE absent < 1 OR absent >= 1", ""),
        ids("WHERE note = 'wet' OR TRUE", "abcdef"),
        ids("WHERE site < 'south'", "ab"),
        ids("WHERE site != 'south'", "abf"),
        ids("WHERE temp = '20.5'", ""),
        value("absent", MISSING),
        value("absent IS MISSING", True),
        value("absent = 1", None),
        value("NULL AND FALSE", False),
        value("NULL OR TRUE", True),
        value("NULL AND TRUE", None),
        value("NOT NULL", None),
        value("1 IN [2, NULL]", None),
        value("[absent, 1]", [None, 1]),
        value("{a: absent, b: 1}", {"b": 1}),
    ]


@script
def nested_fields():
    return [
        *readings(),
        ids("WHERE pos.x = 1", "a"),
        ids("WHERE pos.x > 0", "ab"),
        ids("WHERE pos.y IS MISSING", "bcdef"),
        ids("WHERE pos = {x: 3}", "b"),
        ids("WHERE pos = 'none'", "f"),
        ids("WHERE pos != 'none'", "ab"),
        ids("WHERE tags = []", "b"),
        ids("WHERE tags = ['in']", "a"),
        ids("WHERE pos.x.z = 1", ""),
        ids("WHERE `pos`.`x` = 3", "b"),
        rows(
            "SELECT pos.x, pos.y AS up FROM ~ WHERE pos.x >= 1 ORDER BY pos.x",
            {"x": 1, "up": 2},
            {"x": 3},
        ),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {"x": 1, "y": 2}}),
    ]


@script
def expressions():
    return [
        *readings(),
        value("n + 1", 2),
        value("1 + 2 * 3", 7),
        value("(1 + 2) * 3", 9),
        value("7 / 2", 3.5),
        value("7 % 3", 1),
        value("-n", -1),
        value("temp * 2", 41.0),
        value("site || '-' || 'x'", "north-x"),
        value("site || 1", None),
        value("n + 'a'", None),
        value("n / 0", None),
        value("9223372036854775807 + 1", None),
        value("1 = 1.0", True),
        value("1 = TRUE", False),
        value("1 = '1'", False),
        value("1 < '1'", None),
        value("'a' < 'b'", True),
        value("[1, 2] = [1, 2.0]", True),
        value("[1] < [2]", None),
        value("{a: 1, b: 2} = {b: 2, a: 1}", True),
        value("'it''s'", "it's"),
        value(":p", {"k": [1, None]}, p={"k": [1, None]}),
        value("n IS NULL", False),
        value("TRUE OR NULL", True),
    ]


@script
def order_and_limit():
    return [
        *readings(),
        ids("ORDER BY n DESC", "fedcba"),
        ids("ORDER BY site, n DESC", "efbadc"),
        ids("ORDER BY temp", "decabf"),
        ids("ORDER BY temp DESC", "fbaced"),
        ids("ORDER BY note, _id", "abfced"),
        ids("ORDER BY n % 2, n DESC LIMIT 4", "fdbe"),
        ids("ORDER BY n LIMIT 2 OFFSET 3", "de"),
        ids("ORDER BY n OFFSET 5", "f"),
        ids("ORDER BY n LIMIT 0", ""),
        ids("ORDER BY n LIMIT :n OFFSET :o", "b", n=1, o=1),
        ids("ORDER BY n OFFSET 100", ""),
        rows("SELECT n * -1 AS m FROM ~ WHERE n < 3 ORDER BY m", {"m": -2}, {"m": -1}),
        error("SELECT * FROM ~ LIMIT 'x'", 23, "LIMIT takes a whole number"),
        error("SELECT * FROM ~ LIMIT 1 OFFSET :p", 32, "OFFSET takes a whole number", p=1.5),
        error("SELECT * FROM ~ LIMIT -1", 23, "expected a value, not -"),
    ]


@script
def groups_and_aggregates():
    return [
        rows("SELECT COUNT(*) FROM ~", {"count": 0}),
        rows(
            "SELECT COUNT(n) AS c, SUM(n) AS s, AVG(n) AS a, MIN(n) AS l, MAX(n) AS h FROM ~",
            {"c": 0, "s": None, "a": None, "l": None, "h": None},
        ),
        rows("SELECT site, COUNT(*) FROM ~ GROUP BY site"),
        *readings(),
        rows("SELECT COUNT(*) FROM ~", {"count": 6}),
        rows("SELECT count(*) AS many FROM ~ WHERE n > 2", {"many": 4}),
        rows("SELECT COUNT(note), COUNT(absent) AS none FROM ~", {"count": 2, "none": 0}),
        rows("SELECT COUNT(site), COUNT(DISTINCT site) AS d FROM ~", {"count": 5, "d": 3}),
        rows(
            "SELECT SUM(n), AVG(n), MIN(n), MAX(n) FROM ~",
            {"sum": 21, "avg": 3.5, "min": 1, "max": 6},
        ),
        rows("SELECT SUM(temp), AVG(temp) FROM ~", {"sum": 59.5, "avg": 14.875}),
        rows("SELECT MIN(temp), MAX(temp) FROM ~", {"min": -1.5, "max": "warm"}),
        rows("SELECT SUM(site) FROM ~", {"sum": 7}),
        rows("SELECT SUM(n) / COUNT(*) AS mean FROM ~ WHERE n < 3", {"mean": 1.5}),
        rows("SELECT MAX(n) - MIN(n) AS span, 'all' AS what FROM ~", {"span": 5, "what": "all"}),
        rows("SELECT SUM(9223372036854775807) AS s FROM ~", {"s": None}),
        rows(
            "SELECT site, COUNT(*), SUM(n) FROM ~ GROUP BY site ORDER BY site",
            {"count": 1, "sum": 5},
            {"site": 7, "count": 1, "sum": 6},
            {"site": "north", "count": 2, "sum": 3},
            {"site": "south", "count": 2, "sum": 7},
        ),
        rows(
            "SELECT site, AVG(temp) AS t FROM ~ WHERE n < 5 GROUP BY site HAVING COUNT(*) > 1"
            " ORDER BY t DESC",
            {"site": "north", "t": 21.5},
            {"site": "south", "t": 18.0},
        ),
        rows(
            "SELECT site, COUNT(*) AS c FROM ~ GROUP BY site HAVING c = 2 AND site > 'o'",
            {"site": "south", "c": 2},
        ),
        rows(
            "SELECT n % 2 AS odd, COUNT(*) AS c FROM ~ GROUP BY n % 2 ORDER BY n % 2 DESC",
            {"odd": 1, "c": 3},
            {"odd": 0, "c": 3},
        ),
        rows(
            "SELECT site, open, COUNT(*) AS c FROM ~ GROUP BY site, open ORDER BY site, open"
            " LIMIT 3 OFFSET 1",
            {"site": 7, "c": 1},
            {"site": "north", "c": 2},
            {"site": "south", "c": 1},
        ),
        rows(
            "SELECT site FROM ~ GROUP BY site ORDER BY COUNT(*) DESC, site DESC LIMIT 1",
            {"site": "south"},
        ),
        rows("SELECT pos.x, COUNT(*) FROM ~ WHERE pos.x > 1 GROUP BY pos", {"x": 3, "count": 1}),
        rows(
            "SELECT DISTINCT site FROM ~ ORDER BY site",
            {},
            {"site": 7},
            {"site": "north"},
            {"site": "south"},
        ),
        rows("SELECT DISTINCT n % 2 AS m FROM ~ ORDER BY m LIMIT 1 OFFSET 1", {"m": 1}),
        rows("SELECT DISTINCT COUNT(*) AS c FROM ~ GROUP BY site ORDER BY c", {"c": 1}, {"c": 2}),
        rows("SELECT DISTINCT n / n AS one FROM ~", {"one": 1.0}),
        error("SELECT n, COUNT(*) FROM ~", 8, "n differs inside a group"),
        error("SELECT site, n FROM ~ GROUP BY site", 14, "n differs inside a group"),
        error("SELECT * FROM ~ GROUP BY site", 8, "instead of *"),
        error("SELECT site FROM ~ GROUP BY site ORDER BY n", 43, "n differs inside a group"),
        error("SELECT site FROM ~ GROUP BY site HAVING n > 1", 41, "n differs inside a group"),
        error("SELECT * FROM ~ WHERE COUNT(*) > 1", 23, "an aggregate stands in"),
        error("SELECT SUM(MAX(n)) FROM ~", 12, "an aggregate stands in"),
        error("SELECT n FROM ~ GROUP BY SUM(n)", 26, "an aggregate stands in"),
        error("SELECT n FROM ~ HAVING n > 1", 17, "HAVING is for groups"),
        error("SELECT SUM(*) FROM ~", 12, "expected a value, not *"),
        error("SELECT MEDIAN(n) FROM ~", 8, "there is no MEDIAN()"),
        error("SELECT SUM(n) + 1 FROM ~", 19, "name this expression"),
        error("SELECT n, pos.n FROM ~", 11, "n is there twice"),
        error("SELECT COUNT(n), COUNT(*) FROM ~", 18, "count is there twice"),
    ]


@script
def insert():
    exists = "_id a exists"
    return [
        changed("INSERT INTO ~ DOCUMENTS ({_id: 'a', n: 1, m: {x: 1}})", "a"),
        changed("INSERT INTO ~ DOCUMENTS ({_id: 'b', n: 2}), (:d)", "bc", d={"_id": "c", "n": 3}),
        changed(
            "INSERT INTO ~ DOCUMENTS (:all)", "de", all=[{"_id": "d", "n": 4}, {"_id": "e", "n": 5}]
        ),
        error("INSERT INTO ~ DOCUMENTS ({_id: 'a', n: 9})", 26, exists),
        error("INSERT INTO ~ DOCUMENTS ({_id: 'z', n: 9}), ({_id: 'a', n: 9})", 46, exists),
        error(
            "INSERT INTO ~ DOCUMENTS (:d) ON ID CONFLICT FAIL", 26, exists, d={"_id": "a", "n": 9}
        ),
        changed("INSERT INTO ~ DOCUMENTS ({_id: 'a', n: 9}) ON ID CONFLICT DO NOTHING", ""),
        changed("INSERT INTO ~ DOCUMENTS ({_id: 'a', m: {y: 2}}) ON ID CONFLICT DO UPDATE", "a"),
        rows("SELECT * FROM ~ WHERE _id = 'a'", {"_id": "a", "n": 1, "m": {"x": 1, "y": 2}}),
        ids("WHERE _id = 'z'", ""),
        error("INSERT INTO ~ DOCUMENTS ('text')", 26, "a document is a map"),
        error("INSERT INTO ~ DOCUMENTS ({_id: 'x'})", 26, "at least one field"),
        error("INSERT INTO ~ DOCUMENTS ({_id: 5, n: 1})", 26, "_id is text"),
        error("INSERT INTO ~ DOCUMENTS ({n: 1}), (:p)", 36, "no argument for :p"),
        error("INSERT INTO ~ DOCUMENTS ({n: m})", 30, "expected a value, not m"),
        rows("SELECT COUNT(*) FROM ~", {"count": 5}),
    ]


@script
def initial_documents():
    return [
        changed("INSERT INTO ~ INITIAL DOCUMENTS ({_id: 'a', n: 0, m: {x: 0}})", "a"),
        rows("SELECT * FROM ~", {"_id": "a", "n": 0, "m": {"x": 0}}),
        changed("INSERT INTO ~ INITIAL DOCUMENTS ({_id: 'a', n: 5}), ({_id: 'b', n: 6})", "b"),
        changed("INSERT INTO ~ DOCUMENTS ({_id: 'a', n: 1}) ON ID CONFLICT DO UPDATE", "a"),
        rows("SELECT n FROM ~ ORDER BY n", {"n": 1}, {"n": 6}),
        changed("DELETE FROM ~ WHERE _id = 'a'", "a"),
        changed("INSERT INTO ~ INITIAL DOCUMENTS ({_id: 'a', n: 0})", ""),
        ids("", "b"),
        changed("INSERT INTO ~ DOCUMENTS ({_id: 'a', n: 2})", "a"),
        rows("SELECT * FROM ~ WHERE _id = 'a'", {"_id": "a", "n": 2}),
        error("INSERT INTO ~ INITIAL DOCUMENTS ({n: 0})", 34, "_id is text"),
        error(
            "INSERT INTO ~ INITIAL DOCUMENTS ({_id: 'x', n: 0}) ON ID CONFLICT DO UPDATE",
            52,
            "INITIAL says already",
        ),
    ]


@script
def update():
    return [
        *readings(),
        changed("UPDATE ~ SET n = n * 10, was = n WHERE site = 'north'", "ab"),
        rows(
            "SELECT n, was FROM ~ WHERE was > 0 ORDER BY n",
            {"n": 10, "was": 1},
            {"n": 20, "was": 2},
        ),
        changed("UPDATE ~ SET pos.x = 9 WHERE _id = 'a'", "a"),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {"x": 9, "y": 2}}),
        changed("UPDATE ~ SET pos = {z: {k: 1}} WHERE _id = 'a'", "a"),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {"z": {"k": 1}}}),
        changed("UPDATE ~ SET pos = {z: {j: 2}} WHERE _id = 'a'", "a"),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {"z": {"j": 2}}}),
        changed("UPDATE ~ SET pos.z = 5 WHERE _id = 'a'", "a"),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {"z": 5}}),
        changed("UPDATE ~ SET pos = {} WHERE _id = 'a'", "a"),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {}}),
        changed("UPDATE ~ SET pos.w = 1 WHERE _id = 'a'", "a"),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {"w": 1}}),
        changed("UPDATE ~ SET pos = 'here' WHERE _id = 'a'", "a"),
        changed("UPDATE ~ SET pos = {v: 1} WHERE _id = 'a'", "a"),
        rows("SELECT pos FROM ~ WHERE _id = 'a'", {"pos": {"v": 1}}),
        changed("UPDATE ~ SET deep.er.est = :p WHERE _id = 'b'", "b", p=[1, {"k": None}]),
        rows("SELECT deep FROM ~ WHERE _id = 'b'", {"deep": {"er": {"est": [1, {"k": None}]}}}),
        changed("UPDATE ~ SET note = absent WHERE _id = 'd'", "d"),
        ids("WHERE note IS MISSING", "abdf"),
        changed("UPDATE ~ SET a = n, n = 0 WHERE _id = 'f'", "f"),
        rows("SELECT a, n FROM ~ WHERE _id = 'f'", {"a": 6, "n": 0}),
        changed("UPDATE ~ SET seen = TRUE", "abcdef"),
        ids("WHERE seen", "abcdef"),
        changed("UPDATE ~ SET x = 1 WHERE n = 12345", ""),
        changed("UPDATE ~ SET `odd name` = 1 WHERE _id = 'f'", "f"),
        ids("WHERE `odd name` = 1", "f"),
        error("UPDATE ~ SET _id = 'z'", 14, "the _id of a document never changes"),
        error("UPDATE ~ SET n = 1, n = 2", 21, "n is changed twice"),
        error("UPDATE ~ SET pos = 1, pos.x = 2", 23, "pos is changed twice"),
        error("UPDATE ~ SET pos.x = 1 UNSET pos", 30, "pos is changed twice"),
        error("UPDATE ~ SET n = 1 APPLY n INCREMENT BY 1", 26, "n is changed twice"),
        error("UPDATE ~ SET n 1", 16, "expected =, not 1"),
        error("UPDATE ~ WHERE n = 1", 10, "expected SET, APPLY, UNSET or WHERE"),
        error("UPDATE ~", 9, "expected SET, APPLY, UNSET or WHERE"),
        error("UPDATE ~ SET n = :p", 18, "no argument for :p"),
        error("UPDATE ~ SET n = COUNT(*)", 18, "there is no COUNT() here"),
        error("UPDATE ~ SET n = 1 LIMIT 1", 20, "expected SET, APPLY, UNSET or WHERE"),
        ids("WHERE n = 10", "a"),
    ]


@script
def unset():
    return [
        *readings(),
        changed("UPDATE ~ UNSET temp WHERE n < 3", "ab"),
        ids("WHERE temp IS MISSING", "abd"),
        changed("UPDATE ~ UNSET pos.x, tags WHERE _id = 'a'", "a"),
        rows(
            "SELECT * FROM ~ WHERE _id = 'a'",
            {"_id": "a", "site": "north", "n": 1, "pos": {"y": 2}},
        ),
        changed("UPDATE ~ UNSET absent WHERE _id = 'a'", ""),
        changed("UPDATE ~ UNSET pos WHERE pos.x = 3", "b"),
        ids("WHERE pos IS MISSING", "bcde"),
        changed("UPDATE ~ UNSET note SET n = 30 WHERE _id = 'c'", "c"),
        rows(
            "SELECT * FROM ~ WHERE _id = 'c'", {"_id": "c", "site": "south", "temp": 18.0, "n": 30}
        ),
        changed("UPDATE ~ SET note = 'back' WHERE _id = 'c'", "c"),
        ids("WHERE note = 'back'", "c"),
        error("UPDATE ~ UNSET _id", 16, "the _id of a document never changes"),
        error("UPDATE ~ UNSET", 15, "expected a field, not the end"),
    ]


@script
def counters():
    return [
        *readings(),
        changed("UPDATE ~ APPLY hits INCREMENT BY 3 WHERE _id = 'a'", "a"),
        changed("UPDATE ~ APPLY hits PN_INCREMENT BY -1 WHERE _id = 'a'", "a"),
        rows("SELECT hits FROM ~ WHERE hits = 2", {"hits": 2}),
        ids("WHERE hits < 3 AND hits > 1", "a"),
        ids("WHERE hits = 3", ""),
        changed("UPDATE ~ APPLY n INCREMENT BY :k WHERE n >= 5", "ef", k=100),
        rows("SELECT n FROM ~ ORDER BY n DESC LIMIT 3", {"n": 106}, {"n": 105}, {"n": 4}),
        ids("WHERE n = 105", "e"),
        ids("WHERE n = 5", ""),
        changed("UPDATE ~ APPLY temp INCREMENT BY 1, pos.x INCREMENT BY n WHERE _id = 'b'", "b"),
        rows("SELECT temp, pos FROM ~ WHERE _id = 'b'", {"temp": 23.5, "pos": {"x": 5}}),
        changed("UPDATE ~ SET n = 7 WHERE _id = 'e'", "e"),
        ids("WHERE n = 7", "e"),
        changed("UPDATE ~ APPLY n INCREMENT BY 1 WHERE _id = 'e'", "e"),
        ids("WHERE n = 8", "e"),
        changed("UPDATE ~ UNSET n WHERE _id = 'e'", "e"),
        ids("WHERE n IS MISSING", "e"),
        error("UPDATE ~ APPLY site INCREMENT BY 1 WHERE _id = 'a'", 16, "site is no number"),
        error("UPDATE ~ APPLY note INCREMENT BY 1 WHERE _id = 'c'", 16, "note is no number"),
        error("UPDATE ~ APPLY n INCREMENT BY 1.5", 16, "whole number"),
        error("UPDATE ~ APPLY n INCREMENT BY TRUE", 16, "whole number"),
        error("UPDATE ~ APPLY _id INCREMENT BY 1", 16, "never changes"),
        error("UPDATE ~ APPLY n BY 1", 18, "expected INCREMENT, not BY"),
    ]


@script
def delete():
    return [
        *readings(),
        changed("DELETE FROM ~ WHERE site = 'north'", "ab"),
        ids("", "cdef"),
        ids("WHERE _id = 'a'", ""),
        ids("WHERE n < 3", ""),
        rows("SELECT COUNT(*) FROM ~", {"count": 4}),
        changed("DELETE FROM ~ WHERE site = 'north'", ""),
        changed("DELETE FROM ~ WHERE _id = 'a'", ""),
        changed("UPDATE ~ SET n = 1 WHERE _id = 'a'", ""),
        changed("INSERT INTO ~ DOCUMENTS ({_id: 'a', fresh: TRUE})", "a"),
        rows("SELECT * FROM ~ WHERE _id = 'a'", {"_id": "a", "fresh": True}),
        changed("DELETE FROM ~", "acdef"),
        ids("", ""),
        changed("DELETE FROM ~", ""),
        error("DELETE ~", 8, "expected FROM"),
        error("DELETE FROM ~ WHERE", 20, "expected a value, not the end"),
        error("DELETE FROM ~ ORDER BY n", 15, "did not expect ORDER"),
        error("DELETE FROM ~ WHERE n = :p", 25, "no argument for :p"),
    ]


@script
def evict():
    """Of a Small Peer: the Big Peer refuses it."""
    return [
        *readings(),
        step("EVICT FROM ~ WHERE n < 3", {}, ids=[], warnings=1) | {"small_peer": True},
        {"durable": True},
        changed("UPDATE ~ SET n = 40 WHERE _id = 'd'", "d"),
        step("EVICT FROM ~ WHERE n < 3", {}, ids=["a", "b"], warnings=0) | {"small_peer": True},
        ids("", "cdef") | {"small_peer": True},
        step("EVICT FROM ~", {}, ids=["c", "e", "f"], warnings=1) | {"small_peer": True},
        ids("", "d") | {"small_peer": True},
        step("EVICT FROM ~ WHERE n = 1", {}, ids=[], warnings=0) | {"small_peer": True},
        error("EVICT ~", 7, "expected FROM"),
        error("EVICT FROM ~ WHERE n = :p", 24, "no argument for :p"),
    ]


@script
def indexes():
    return [
        *readings(),
        step("CREATE INDEX i ON ~ (n)", {}, kind="create index") | {"indexed": True},
        step("CREATE INDEX j ON ~ (site, pos.x)", {}, kind="create index") | {"indexed": True},
        step("CREATE INDEX IF NOT EXISTS i ON ~ (n)", {}, kind="create index") | {"indexed": True},
        error("CREATE INDEX i ON ~ (n)", 14, "exists") | {"indexed": True},
        ids("WHERE n = 3", "c"),
        ids("WHERE n > 4", "ef"),
        ids("WHERE site = 'north' AND pos.x = 3", "b"),
        ids("WHERE site = 'north' AND n > 1", "b"),
        changed("UPDATE ~ SET n = 33 WHERE n = 3", "c"),
        changed("DELETE FROM ~ WHERE n = 4", "d"),
        ids("WHERE n > 4", "cef"),
        step("DROP INDEX i ON ~", {}, kind="drop index") | {"indexed": True},
        step("DROP INDEX IF EXISTS i ON ~", {}, kind="drop index") | {"indexed": True},
        error("DROP INDEX i ON ~", 12, "index") | {"indexed": True},
        ids("WHERE n > 4", "cef"),
        error("CREATE INDEX i ON ~ ()", 22, "expected a field"),
        error("CREATE INDEX i ON ~ (_id)", 22, "found by its _id"),
        error("CREATE INDEX i ~ (n)", 16, "expected ON"),
        error("CREATE TABLE x", 8, "expected INDEX, not TABLE"),
        error("DROP INDEX ON ~", 12, "expected an index, not ON"),
    ]


@script
def explain():
    return [
        *readings(),
        rows(
            "EXPLAIN SELECT * FROM ~ WHERE _id = 'a' AND n = 1",
            {"statement": "select", "collection": "~", "plan": "looks up 1 by _id"},
        )
        | {"kind": "explain"},
        rows(
            "EXPLAIN DELETE FROM ~ WHERE _id IN ['a', 'b']",
            {"statement": "delete", "collection": "~", "plan": "looks up 2 by _id"},
        ),
        rows(
            "EXPLAIN UPDATE ~ SET n = 1",
            {"statement": "update", "collection": "~", "plan": "scans the collection"},
        ),
        ids("WHERE n = 1", "a"),
        error("EXPLAIN", 8, "expected SELECT, INSERT"),
        error("EXPLAIN EXPLAIN SELECT * FROM ~", 9, "expected SELECT, INSERT"),
        error("EXPLAIN SELECT * FRM ~", 18, "expected FROM, not FRM"),
    ]


@script
def mistakes():
    return [
        error("", 1, "expected SELECT, INSERT"),
        error("TRUNCATE ~", 1, "not TRUNCATE"),
        error("SELECT * FROM ~ WHERE n = :p", 27, "no argument for :p"),
        error("SELECT * FROM ~ WHERE n = :p AND m = :q", 38, "no argument for :q", p=1),
        error("SELECT * FROM ~ WHERE n = 'open", 27, "without its closing quote"),
        error("SELECT * FROM ~ WHERE f(n) = 1", 23, "there is no F()"),
        error("SELECT * FROM ~ WHERE n ! 1", 25, "unexpected character !"),
        error("SELECT FROM ~", 8, "expected a value, not FROM"),
        error("SELECT * FROM ~ LIMIT 1 WHERE n = 1", 25, "did not expect WHERE"),
        error("INSERT INTO ~ WORDS (1)", 15, "expected DOCUMENTS, not WORDS"),
    ]


def main():
    scripts = []
    for i, (name, steps) in enumerate(SCRIPTS.items()):
        letter = chr(ord("a") + i)
        scripts.append((name, json.loads(json.dumps(steps).replace("~", letter))))
    lines = []
    for name, steps in scripts:
        body = ",\n".join("   " + json.dumps(step, ensure_ascii=False) for step in steps)
        lines.append(f'  {{"name": {json.dumps(name)}, "steps": [\n{body}\n  ]}}')
    about = "DQL: statements, one after the other, and their answers (tests/statements.py)."
    text = f'{{\n "about": {json.dumps(about)},\n "scripts": [\n' + ",\n".join(lines) + "\n ]\n}\n"
    (HERE / "dql.json").write_text(text)
    print(sum(len(steps) for _, steps in scripts), "steps")


if __name__ == "__main__":
    main()
