"""
Make permission.json: rules byte by byte, what is none, and what they allow.

    .venv/bin/python tests/vectors/make_permissions.py

Nothing of edge_peer is imported: bytes are put together by the layout in SPEC.md, and
every answer is written by hand.
"""

from make import HERE, lines

AUTHOR = "a1a2a3a4a5a6a7a8"
OWN_ID = "-------095XcuH_deTc"  # an automatic id of this author
READ, WRITE, BOTH = 1, 2, 3


def rule(operations, collection, where=""):
    collection, where = collection.encode(), where.encode()
    return bytes([operations, len(collection)]) + collection + bytes([len(where)]) + where


ENCODED = [
    ("nothing", []),
    ("everything", [(BOTH, "*", "")]),
    ("read all, write readings", [(READ, "*", ""), (WRITE, "readings", "")]),
    ("a condition", [(BOTH, "readings", "site = 'A'")]),
    ("two conditions", [(WRITE, "r", "a = 1"), (READ, "r", "b = 2")]),
    ("as the bytes of UTF-8 sort", [(READ, "z", ""), (READ, "\u00e9", "x = '\u20ac'")]),
    ("the name of its holder", [(BOTH, "*", "device = :name")]),
]

REFUSED = [
    ("operations 0", rule(0, "a")),
    ("operations 4", rule(4, "a")),
    ("no collection", rule(1, "")),
    ("a collection of 65 bytes", rule(1, "a" * 65)),
    ("in no order", rule(1, "b") + rule(1, "a")),
    ("in no order of conditions", rule(1, "a", "b") + rule(1, "a", "a")),
    ("the same documents twice", rule(1, "a", "b") + rule(2, "a", "b")),
    ("a name that is not UTF-8", b"\1\1\xff\0"),
    ("a condition that is not UTF-8", b"\1\1a\1\xff"),
    ("cut in the collection", b"\1\2a"),
    ("cut before the condition", b"\1\1a"),
    ("cut in the condition", b"\1\1a\2x"),
]

# What is a list of rules and yet allows nobody anything, as its conditions cannot be read.
UNREADABLE = [
    ("no expression", rule(1, "a", "x =")),
    ("two expressions", rule(1, "a", "x = 1 y")),
    ("another parameter", rule(1, "a", "x = :other")),
    ("an aggregate", rule(1, "a", "COUNT(*) > 1")),
    ("a statement", rule(1, "a", "DELETE FROM b")),
]

EVERYTHING = [(BOTH, "*", "")]
SITE_A = [(BOTH, "readings", "site = 'A'")]
OWN = [(READ, "*", ""), (WRITE, "*", "device = :name")]
TWO = [(BOTH, "r", "x = 1"), (BOTH, "r", "x = 2")]
A, B = {"site": "A"}, {"site": "B"}

# name, rules, collection, id, before, after, allowed; before and after null: no document
WRITES = [
    ("everything", EVERYTHING, "any", "i", None, A, True),
    ("nothing", [], "any", "i", None, A, False),
    ("a new document inside", SITE_A, "readings", "i", None, A, True),
    ("a new document outside", SITE_A, "readings", "i", None, B, False),
    ("without the field", SITE_A, "readings", "i", None, {"n": 1}, False),
    ("another collection", SITE_A, "other", "i", None, A, False),
    ("a change inside", SITE_A, "readings", "i", A, {"site": "A", "n": 1}, True),
    ("taken into reach", SITE_A, "readings", "i", B, A, False),
    ("pushed out of reach", SITE_A, "readings", "i", A, B, False),
    ("from one condition to another", TWO, "r", "i", {"x": 1}, {"x": 2}, True),
    ("a delete inside", SITE_A, "readings", "i", A, None, True),
    ("a delete outside", SITE_A, "readings", "i", B, None, False),
    ("a delete of what is not here", SITE_A, "readings", "i", None, None, False),
    ("the same, of its own", SITE_A, "readings", OWN_ID, None, None, True),
    ("the same, of its own in another collection", SITE_A, "other", OWN_ID, None, None, False),
    ("the same, with all documents allowed", EVERYTHING, "readings", "i", None, None, True),
    ("its own device", OWN, "readings", "i", None, {"device": "pump"}, True),
    ("another device", OWN, "readings", "i", None, {"device": "door"}, False),
    ("by its _id", [(WRITE, "r", "_id = 'i'")], "r", "i", None, {}, True),
    ("by another _id", [(WRITE, "r", "_id = 'i'")], "r", "j", None, {}, False),
    ("unknown is not true", [(WRITE, "r", "x > 1")], "r", "i", None, {"x": None}, False),
    ("read is not write", [(READ, "*", "")], "r", "i", None, A, False),
    ("its own report", [], "__small_peer_info", AUTHOR, None, {"name": "pump"}, True),
    ("another's report", EVERYTHING, "__small_peer_info", "00" * 8, None, {}, False),
    ("a system collection", EVERYTHING, "__x", "i", None, {}, False),
    ("a system collection by name", [(WRITE, "__x", "")], "__x", "i", None, {}, True),
]

READS = [
    ("everything", EVERYTHING, "any", "i", A, True),
    ("nothing", [], "any", "i", A, False),
    ("inside", SITE_A, "readings", "i", A, True),
    ("outside", SITE_A, "readings", "i", B, False),
    ("a deleted one", SITE_A, "readings", "i", None, True),
    ("a deleted one of another collection", SITE_A, "other", "i", None, False),
    ("a system collection", EVERYTHING, "__x", "i", {}, True),
    ("write is not read", [(WRITE, "*", "")], "r", "i", A, False),
]


def packed(rules):
    """Bytes of rules, in the order of collection and condition."""
    ordered = sorted(rules, key=lambda one: (one[1].encode(), one[2].encode()))
    return b"".join(rule(*one) for one in ordered).hex()


def main():
    content = {
        "about": "Permissions of a certificate named pump, and of the author below.",
        "name": "pump",
        "author": AUTHOR,
        "encoded": [
            {"name": name, "rules": rules, "hex": packed(rules)} for name, rules in ENCODED
        ],
        "refused": [{"name": name, "hex": raw.hex()} for name, raw in REFUSED],
        "unreadable": [{"name": name, "hex": raw.hex()} for name, raw in UNREADABLE],
        "writes": [
            {
                "name": name,
                "permissions": packed(rules),
                "collection": collection,
                "id": id,
                "before": before,
                "after": after,
                "allowed": allowed,
            }
            for name, rules, collection, id, before, after, allowed in WRITES
        ],
        "reads": [
            {
                "name": name,
                "permissions": packed(rules),
                "collection": collection,
                "id": id,
                "fields": fields,
                "allowed": allowed,
            }
            for name, rules, collection, id, fields, allowed in READS
        ],
    }
    (HERE / "permission.json").write_text(lines(content))


if __name__ == "__main__":
    main()
