"""
Permissions as people write them, in JSON, and as certificates carry them.

    {"read": {"everything": true, "queriesByCollection": {}},
     "write": {"everything": false, "queriesByCollection": {"readings": ["site == 'A'"]}}}

A member that is missing allows nothing; a query "true" allows all of its collection.
"""

import json
from typing import Any

from edge_peer.core.errors import ConfigError, QueryError
from edge_peer.security.permission import EVERY, READ, WRITE, Rule, decode, encode

EVERYTHING = {
    "read": {"everything": True, "queriesByCollection": {}},
    "write": {"everything": True, "queriesByCollection": {}},
}
_OPERATIONS = {"read": READ, "write": WRITE}
_ALL = "true"


def packed(permissions: Any) -> bytes:
    """Return what a certificate carries; raises ConfigError with what to mend."""
    members = _members(permissions, "permissions", set(_OPERATIONS))
    rules: list[Rule] = []
    for name, member in members.items():
        rules += _rules(name, member)
    try:
        return encode(rules)
    except QueryError as error:
        raise ConfigError(f"permissions: a condition cannot be read: {error}") from error
    except ValueError as error:
        raise ConfigError(f"permissions: {error}") from error


def unpacked(raw: bytes) -> dict[str, Any]:
    """Return what a certificate's permissions are in JSON; raises FormatError."""
    shown: dict[str, Any] = {
        name: {"everything": False, "queriesByCollection": {}} for name in _OPERATIONS
    }
    for rule in decode(raw):
        for name, operation in _OPERATIONS.items():
            if rule.operations & operation and rule.collection == EVERY and not rule.where:
                shown[name]["everything"] = True
            elif rule.operations & operation:
                queries = shown[name]["queriesByCollection"].setdefault(rule.collection, [])
                queries.append(rule.where or _ALL)
    return shown


def from_text(text: str) -> bytes:
    """Return what a certificate carries of permissions in JSON; raises ConfigError."""
    try:
        return packed(json.loads(text))
    except ValueError as error:
        raise ConfigError(f"the permissions are not JSON: {error}") from error


def _rules(name: str, member: Any) -> list[Rule]:
    fields = _members(member, name, {"everything", "queriesByCollection"})
    everything = fields.get("everything", False)
    if not isinstance(everything, bool):
        raise ConfigError(f"permissions: {name}.everything is true or false")
    rules = [Rule(_OPERATIONS[name], EVERY, "")] if everything else []
    queries = fields.get("queriesByCollection", {})
    for collection, texts in _members(queries, f"{name}.queriesByCollection").items():
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"permissions: {name} of {collection} is a list of conditions")
        for text in texts:
            where = "" if text.strip().lower() == _ALL else text.strip()
            rules.append(Rule(_OPERATIONS[name], collection, where))
    return rules


def _members(value: Any, place: str, known: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} is an object of JSON")
    unknown = set(value) - known if known is not None else set()
    if unknown:
        raise ConfigError(f"{place} has a member that means nothing: {sorted(unknown)[0]}")
    return value
