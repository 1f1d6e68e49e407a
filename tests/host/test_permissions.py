"""Permissions in JSON, as people and the API write them."""

import pytest

from edge_peer.core.errors import ConfigError
from edge_peer.host.permissions import EVERYTHING, from_text, packed, unpacked
from edge_peer.security.permission import READ, WRITE, Rule, encode

SITE = {
    "read": {"everything": True, "queriesByCollection": {}},
    "write": {"everything": False, "queriesByCollection": {"readings": ["site == 'A'"]}},
}


def test_json_becomes_rules_and_comes_back():
    rules = [Rule(READ, "*", ""), Rule(WRITE, "readings", "site == 'A'")]
    assert packed(SITE) == encode(rules)
    assert unpacked(packed(SITE)) == SITE
    assert unpacked(packed(EVERYTHING)) == EVERYTHING


def test_what_is_missing_allows_nothing():
    assert packed({}) == packed({"read": {}}) == b""


def test_true_is_every_document_of_its_collection():
    short = packed({"read": {"queriesByCollection": {"a": ["true"]}}})
    assert short == encode([Rule(READ, "a", "")])
    assert unpacked(short)["read"]["queriesByCollection"] == {"a": ["true"]}


@pytest.mark.parametrize(
    "text, says",
    [
        ("nothing", "not JSON"),
        ("[]", "permissions is an object"),
        ('{"delete": {}}', "delete"),
        ('{"read": true}', "read is an object"),
        ('{"read": {"everything": 1}}', "true or false"),
        ('{"read": {"all": true}}', "all"),
        ('{"read": {"queriesByCollection": {"a": "x = 1"}}}', "list of conditions"),
        ('{"read": {"queriesByCollection": {"a": ["x ="]}}}', "cannot be read"),
        ('{"read": {"queriesByCollection": {"a": ["x = :y"]}}}', "only :name"),
        ('{"read": {"queriesByCollection": {"": ["true"]}}}', "missing"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(text, says):
    with pytest.raises(ConfigError, match=says):
        from_text(text)
