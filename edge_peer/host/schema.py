"""
The tables of host/storage.py, and how a store of an older version becomes a newer one.

    doc      arrival INTEGER PRIMARY KEY | collection | id | body | relayed
    entry    id | body                                       the store's own ("meta")
    total    name | documents | bytes | arrival_max          of each group that has any, or
                                                             had at that arrival: totals.py
    catalog  number | collection | name | paths              what CREATE INDEX made

The pieces of attachments are rows of `doc` whose arrivals are below 0.

Documents lie in the order of arrival: new ones go to the table's end, old ones leave
at its beginning. PRAGMA user_version is the version of this layout. Each step from one
version to the next is one transaction: what is killed in it starts there again.

Indexes beside the tables, each over the documents of one collection only:

    oldest_HEX   arrival, for a collection with limits: where its oldest are
    index_N      edge_key of each path (index_key.py), for row N of catalog
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from edge_peer.core.limits import RELAYED, WHOLE

APPLICATION_ID = 0x45504C31  # "EPL1"; https://www.sqlite.org/fileformat2.html#application_id
VERSION = 2
OVERHEAD_BYTES = 64  # of a document's row and index entry beside its id and body, about

_TOTAL = """
    CREATE TABLE total (
        name TEXT PRIMARY KEY,
        documents INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        arrival_max INTEGER NOT NULL
    ) WITHOUT ROWID;
"""
_CATALOG = """
    CREATE TABLE catalog (
        number INTEGER PRIMARY KEY,
        collection TEXT NOT NULL,
        name TEXT NOT NULL,
        paths TEXT NOT NULL,
        UNIQUE (collection, name)
    );
    CREATE INDEX relayed ON doc (arrival) WHERE relayed = 1;
"""
_NEW = f"""
    CREATE TABLE doc (
        arrival INTEGER PRIMARY KEY,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        body BLOB NOT NULL,
        relayed INTEGER NOT NULL DEFAULT 0,
        UNIQUE (collection, id)
    );
    CREATE TABLE entry (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
    {_TOTAL}
    INSERT INTO total VALUES ('{WHOLE}', 0, 0, 0);
    {_CATALOG}
    PRAGMA application_id = {APPLICATION_ID};
"""
# What came after the arrival that `total` has: by collection and relayed, as in `total`.
UNCOUNTED = f"""
    SELECT collection, relayed, count(*),
        sum(length(CAST(id AS BLOB)) + length(body) + {OVERHEAD_BYTES}), max(arrival)
    FROM doc WHERE arrival > ? GROUP BY collection, relayed
"""
# What each version lacks that the next has. 1 had one row about all documents in `total`.
_STEPS = {
    0: _NEW,
    1: f"""
    ALTER TABLE doc ADD COLUMN relayed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE total RENAME TO total_1;
    {_TOTAL}
    INSERT INTO total
        SELECT collection, count(*),
            sum(length(CAST(id AS BLOB)) + length(body) + {OVERHEAD_BYTES}), max(arrival)
        FROM doc WHERE collection NOT IN ('{WHOLE}', '{RELAYED}') GROUP BY collection;
    INSERT INTO total
        SELECT '{WHOLE}', count(*),
            ifnull(sum(length(CAST(id AS BLOB)) + length(body) + {OVERHEAD_BYTES}), 0),
            (SELECT arrival_max FROM total_1)
        FROM doc;
    DROP TABLE total_1;
    {_CATALOG}
    """,
}


def bring_up(db: sqlite3.Connection, version: int) -> None:
    """Make the tables (version 0), or what is new in them since `version`."""
    while version < VERSION:
        step = _STEPS[version]
        version = version + 1 if version else VERSION
        db.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {version}; COMMIT;")


def index_the_oldest(db: sqlite3.Connection, collections: Iterable[str]) -> None:
    """Have an index over the arrivals of each of these collections, and of no other.

    For one that has none yet this reads all documents: about 1 s for a million.
    """
    wanted = {oldest(name): name for name in collections}
    rows = db.execute("SELECT name FROM sqlite_master WHERE name GLOB 'oldest_*'").fetchall()
    there = {row[0] for row in rows}
    if there != set(wanted):
        statements = [f"DROP INDEX {index};" for index in sorted(there - set(wanted))]
        for index in sorted(set(wanted) - there):
            where = f"collection = {quoted(wanted[index])}"
            statements.append(f"CREATE INDEX {index} ON doc (arrival) WHERE {where};")
        db.executescript(f"BEGIN IMMEDIATE; {' '.join(statements)} COMMIT;")


def oldest(collection: str) -> str:
    """Return the name of the index; SQLite's names know no case, and ours do."""
    return "oldest_" + collection.encode().hex()


def quoted(text: str) -> str:
    """Return text (without NUL) as it stands in SQL. A partial index wants no parameter."""
    return "'" + text.replace("'", "''") + "'"


def size_of(id: str, body_size: int) -> int:
    """Return how many bytes of a quota a document takes."""
    return len(id.encode()) + body_size + OVERHEAD_BYTES
