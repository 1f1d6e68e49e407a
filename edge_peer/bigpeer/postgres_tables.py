"""
The tables of an app in PostgreSQL, and what is asked of them (postgres.py).

    doc      shard | arrival | collection | id | body | relayed | keys
    entry    id | body                       the store's own
    total    name | documents | bytes        of each group
    feed     one row: whose lock is the turn to write
             arrival | piece                 given out last: of documents, of pieces
             own_seq | stamp                 of the author that all workers are
             state | entries | catalog       rise with each change of these
             totals                          rises with each change of `total`
    catalog  number | collection | name | paths     what CREATE INDEX made
    path     collection | number | path             which of doc.keys is whose
    lease    name | holder | until                  what one worker does at a time (lease.py)

Names and ids are bytea, in UTF-8: they may hold any character, and their order is that of
their bytes; `SELECT convert_from(id, 'UTF8')` reads one. The pieces of attachments have
arrivals below 0. `shard` is one of SHARD_COUNT, by hash of collection and id: what
`edge-peer big distribute` spreads the documents over several servers by.
"""

from zlib import crc32

SHARD_COUNT = 64

STEPS = (
    """
    CREATE TABLE doc (
        shard smallint NOT NULL, arrival bigint NOT NULL, collection bytea NOT NULL,
        id bytea NOT NULL, body bytea NOT NULL, relayed boolean NOT NULL, keys bytea[],
        PRIMARY KEY (collection, id, shard)
    );
    CREATE INDEX doc_arrival ON doc (arrival);
    CREATE INDEX doc_relayed ON doc (arrival) WHERE relayed;
    CREATE TABLE entry (id bytea PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE total (
        name bytea PRIMARY KEY, documents bigint NOT NULL, bytes bigint NOT NULL
    );
    CREATE TABLE feed (
        only_row int PRIMARY KEY CHECK (only_row = 1),
        arrival bigint NOT NULL, piece bigint NOT NULL, own_seq bigint NOT NULL,
        stamp bigint NOT NULL, state bigint NOT NULL, entries bigint NOT NULL,
        catalog bigint NOT NULL, totals bigint NOT NULL
    ) WITH (fillfactor = 10);
    INSERT INTO feed VALUES (1, 0, -4611686018427387904, 0, 0, 0, 0, 0, 0);
    CREATE TABLE catalog (
        number int PRIMARY KEY, collection bytea NOT NULL, name text NOT NULL,
        paths jsonb NOT NULL, UNIQUE (collection, name)
    );
    CREATE TABLE path (
        collection bytea NOT NULL, number int NOT NULL, path bytea NOT NULL,
        PRIMARY KEY (collection, number), UNIQUE (collection, path)
    );
    CREATE TABLE lease (name text PRIMARY KEY, holder text NOT NULL, until timestamptz NOT NULL);
    """,
)
FEED = "arrival, piece, own_seq, stamp, state, entries, catalog, totals"
TAKE_TURN = f"SELECT {FEED} FROM feed FOR UPDATE"
END_TURN = f"""
    UPDATE feed SET ({FEED}) = ROW (%s, %s, %s, %s, %s, %s, %s, %s)
    RETURNING pg_notify('edge_peer', current_schema)
"""
LOOK = f"SELECT {FEED}, (SELECT body FROM entry WHERE id = %s) FROM feed"
GET = "SELECT body FROM doc WHERE collection = %s AND id = %s AND shard = %s"
SINCE = """
    SELECT collection, id, doc.arrival, body, feed.arrival FROM doc, feed
    WHERE doc.arrival > %s ORDER BY doc.arrival LIMIT %s
"""
_KEYS = """
    FROM unnest(%s::bytea[], %s::bytea[], %s::smallint[]) AS one(collection, id, shard)
    JOIN doc USING (collection, id, shard)
"""
ROWS = f"SELECT arrival, collection, id, octet_length(body), relayed {_KEYS}"
ROWS_AND_BODIES = f"SELECT arrival, collection, id, octet_length(body), relayed, body {_KEYS}"
PUT = """
    INSERT INTO doc (arrival, collection, id, shard, body, relayed, keys)
    SELECT arrival, collection, id, shard, body, relayed, keys::bytea[] FROM unnest(
        %s::bigint[], %s::bytea[], %s::bytea[], %s::smallint[], %s::bytea[], %s::boolean[],
        %s::text[]
    ) AS one(arrival, collection, id, shard, body, relayed, keys)
    ON CONFLICT (collection, id, shard) DO UPDATE SET arrival = EXCLUDED.arrival,
        body = EXCLUDED.body, relayed = EXCLUDED.relayed, keys = EXCLUDED.keys
"""
ENTER = """
    INSERT INTO entry SELECT * FROM unnest(%s::bytea[], %s::bytea[])
    ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body
"""
COUNT = """
    INSERT INTO total SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::bigint[])
    ON CONFLICT (name) DO UPDATE SET documents = EXCLUDED.documents, bytes = EXCLUDED.bytes
"""


def raw(text: str) -> bytes:
    """Half a surrogate pair is in no name and no id, so what this makes of it finds nothing."""
    return text.encode(errors="surrogatepass")


def shard_of(collection: bytes, id: bytes) -> int:
    return crc32(id, crc32(collection)) % SHARD_COUNT


def columns_of(keys: list[tuple[str, str]]) -> list[list[bytes] | list[int]]:
    """Return the collections, ids and shards of documents, for unnest."""
    collections = [raw(key[0]) for key in keys]
    ids = [raw(key[1]) for key in keys]
    return [collections, ids, [shard_of(*pair) for pair in zip(collections, ids, strict=True)]]
