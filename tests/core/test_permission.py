"""Permissions: one encoding, and what the rules allow before and after a write."""

from binascii import unhexlify

from helpers import Random, raises
from vectors.cases import load

from edge_peer.core.errors import FormatError, QueryError
from edge_peer.core.ids import automatic_id
from edge_peer.security.permission import (
    READ,
    WRITE,
    Permissions,
    Rule,
    decode,
    encode,
    is_automatic_of,
)

VECTORS = load("permission")
AUTHOR = unhexlify(VECTORS["author"])


def permissions(case):
    return Permissions(unhexlify(case["permissions"]), VECTORS["name"])


def test_rules_are_what_the_specification_says():
    for case in VECTORS["encoded"]:
        rules = [Rule(*rule) for rule in case["rules"]]
        assert encode(rules) == encode(list(reversed(rules))) == unhexlify(case["hex"])
        assert sorted(decode(unhexlify(case["hex"]))) == sorted(rules), case["name"]


def test_what_is_no_list_of_rules_is_refused():
    for case in VECTORS["refused"]:
        with raises(FormatError):
            decode(unhexlify(case["hex"]))


def test_a_condition_that_cannot_be_read_allows_nothing():
    for case in VECTORS["unreadable"]:
        rules = decode(unhexlify(case["hex"]))
        with raises(QueryError):
            encode(rules)
        with raises(FormatError, "permissions:"):
            Permissions(unhexlify(case["hex"]), "a")


def test_a_write_is_judged_by_what_was_and_by_what_becomes_of_it():
    for case in VECTORS["writes"]:
        allowed = permissions(case).may_write(
            AUTHOR, case["collection"], case["id"], case["before"], case["after"]
        )
        assert allowed == case["allowed"], case["name"]


def test_reading_is_judged_by_what_is_there():
    for case in VECTORS["reads"]:
        allowed = permissions(case).may_read(case["collection"], case["id"], case["fields"])
        assert allowed == case["allowed"], case["name"]


def test_rules_about_the_same_documents_become_one():
    both = encode([Rule(READ, "r", "x = 1"), Rule(WRITE, "r", "x = 1")])
    assert both == encode([Rule(READ | WRITE, "r", "x = 1")])


def test_a_rule_that_cannot_be_written_is_told():
    for rule in (Rule(0, "a", ""), Rule(4, "a", ""), Rule(READ, "", ""), Rule(READ, "a" * 65, "")):
        with raises(ValueError):
            encode([rule])
    with raises(ValueError):
        encode([Rule(READ, "a", "x = '" + "y" * 250 + "'")])


def test_judging_changes_no_document():
    fields = {"site": "A"}
    one = Permissions(encode([Rule(READ, "r", "_id = 'i'")]), "a")
    assert one.may_read("r", "i", fields) and fields == {"site": "A"}


def test_only_its_own_author_gives_an_automatic_id():
    for stamp in (1, 1 << 40):
        assert is_automatic_of(automatic_id(stamp, AUTHOR), AUTHOR)
        assert not is_automatic_of(automatic_id(stamp, AUTHOR), b"\xa1" * 8)
    assert not is_automatic_of("", AUTHOR)


def test_any_bytes_are_read_as_they_are_or_refused():
    random = Random(5)
    good = [unhexlify(case["hex"]) for case in VECTORS["encoded"]]
    for _ in range(400):
        raw = bytearray(random.choice(good) + random.bytes(random.below(3)))
        for _ in range(random.below(3) if raw else 0):
            raw[random.below(len(raw))] = random.below(256)
        try:
            rules = decode(raw)
        except FormatError:
            continue
        try:
            assert encode(rules) == bytes(raw)
        except QueryError:
            pass
