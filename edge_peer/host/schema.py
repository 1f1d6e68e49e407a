"""
The tables of host/storage.py, and how a store of an older version becomes a newer one.

    doc      arrival INTEGER PRIMARY KEY | collection | id | body | relayed | crc
    entry    id | body | crc                                 the store's own ("meta")
    total    name | documents | bytes | arrival_max | crc    of each group that has any, or
                                                             had at that arrival: totals.py
    catalog  number | collection | name | paths              what CREATE INDEX made

The pieces of attachments are rows of `doc` whose arrivals are below 0. A `crc` tells that
a row is as it was written, which SQLite does not look at: `crc_of`.

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
from functools import lru_cache
from zlib import crc32

from edge_peer.core.limits import RELAYED, WHOLE
from edge_peer.core.store.log import META

APPLICATION_ID = 0x45504C31  # "EPL1"; https://www.sqlite.org/fileformat2.html#application_id
VERSION = 3
OVERHEAD_BYTES = 64  # of a document's row and index entry beside its id and body, about
SIZE = f"length(CAST(id AS BLOB)) + length(body) + {OVERHEAD_BYTES}"  # as size_of

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
# Of all rows there are, about 4 s for a million.
_CRCS = f"""
    ALTER TABLE doc ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE entry ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE total ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE doc SET crc = edge_crc(collection, id, arrival, body);
    UPDATE entry SET crc = edge_crc('{META}', id, 0, body);
    UPDATE total SET crc = edge_crc(name, documents || ' ' || bytes, arrival_max, X'');
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
    {_CRCS}
    PRAGMA application_id = {APPLICATION_ID};
"""
# What came after the arrival that `total` has: by collection and relayed, as in `total`.
# Left alone SQLite would go through the index by collection, and so through all documents.
UNCOUNTED = f"""
    SELECT collection, relayed, count(*),
        ifnull(sum({SIZE}), 0),
        max(CASE WHEN edge_is_whole(collection, id, arrival, body, crc) THEN arrival END)
    FROM doc NOT INDEXED WHERE arrival > ? GROUP BY collection, relayed
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
            sum({SIZE}), max(arrival)
        FROM doc WHERE collection NOT IN ('{WHOLE}', '{RELAYED}') GROUP BY collection;
    INSERT INTO total
        SELECT '{WHOLE}', count(*),
            ifnull(sum({SIZE}), 0),
            (SELECT arrival_max FROM total_1)
        FROM doc;
    DROP TABLE total_1;
    {_CATALOG}
    """,
    2: _CRCS,
}


def bring_up(db: sqlite3.Connection, version: int) -> None:
    """Make the tables (version 0), or what is new in them since `version`."""
    db.create_function("edge_crc", 4, crc_of, deterministic=True)
    db.create_function("edge_is_whole", 5, is_whole, deterministic=True)
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


def crc_of(collection: str, id: str, arrival: int, body: bytes) -> int:
    """Return the CRC-32 that SPEC.md, "SQLite store", says."""
    return crc32(id.encode() + body, crc_start(collection) ^ arrival)


@lru_cache
def crc_start(collection: str) -> int:
    return crc32(collection.encode())


def is_whole(collection: object, id: object, arrival: int, body: object, crc: object) -> bool:
    """Return whether a row is as it was written; it may hold values of any type."""
    return (
        isinstance(collection, str)
        and isinstance(id, str)
        and isinstance(body, bytes)
        and crc_of(collection, id, arrival, body) == crc
    )


def total_crc(name: str, documents: int, size: int, arrival_max: int) -> int:
    return crc_of(name, f"{documents} {size}", arrival_max, b"")


def size_of(id: str, body_size: int) -> int:
    """Return how many bytes of a quota a document takes."""
    return len(id.encode()) + body_size + OVERHEAD_BYTES
