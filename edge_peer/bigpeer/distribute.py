"""
Spreading the documents of all apps over several servers, by Citus, where it is installed.

`doc` is distributed by its column `shard`; everything else stays with the coordinator, to which
workers connect as before. Without the extension the same tables are on one node, and work.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from edge_peer.bigpeer.postgres_tables import SHARD_COUNT
from edge_peer.core.errors import ConfigError, StorageError

CONNECT_S = 10
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^edge_[0-9a-f]{32}$' ORDER BY 1"
_HAS_CITUS = "SELECT count(*) FROM pg_available_extensions WHERE name = 'citus'"
_IS_SPREAD = "SELECT count(*) FROM pg_dist_partition WHERE logicalrelid = 'doc'::regclass"
_SPREAD = "SELECT create_distributed_table('doc', 'shard', shard_count => %s)"


def distribute(url: str) -> str:
    """Do it for every app in the database, and say what has been done.

    Documents that are there are moved; writers wait meanwhile. Raises ConfigError for a URL
    that cannot be read, StorageError if the server does not do it.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_S) as db:
            schemas = [row[0] for row in db.execute(_SCHEMAS)]
            if not schemas:
                return "no Big Peer has been started on this database yet"
            (count,) = db.execute(_HAS_CITUS).fetchone() or (0,)
            if not count:
                return (
                    f"this server has no Citus: the {SHARD_COUNT} shards of {len(schemas)} apps"
                    " stay on one node, and all works as before"
                )
            db.execute("CREATE EXTENSION IF NOT EXISTS citus")
            new = [schema for schema in schemas if _spread(db, schema)]
            return f"{len(new)} of {len(schemas)} apps have been distributed, the others were"
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:
            raise ConfigError("the URL of the PostgreSQL store cannot be read") from error
        raise StorageError(f"PostgreSQL: {error.diag.message_primary}") from error
    except psycopg.Error as error:
        raise StorageError(f"PostgreSQL: {str(error).strip().splitlines()[0]}") from error


def _spread(db: psycopg.Connection[tuple[object, ...]], schema: str) -> bool:
    """Distribute the documents of one app; return whether they were not."""
    db.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(schema)))
    if (db.execute(_IS_SPREAD).fetchone() or (0,))[0]:
        return False
    db.execute(_SPREAD, (SHARD_COUNT,))
    return True
