"""
DATA/doors.db: who may come in.

It holds digests, never a key or a password; who reads it learns who there is, and
cannot come in with it.
"""

from edge_peer.bigpeer.side_file import SideFile


class Vault(SideFile):
    application_id = 0x45504452  # "EPDR"
    steps = (
        """
        CREATE TABLE key (
            id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, name TEXT NOT NULL,
            is_administrator INTEGER NOT NULL, permissions TEXT NOT NULL,
            created_ms INTEGER NOT NULL, expires_ms INTEGER, used_ms INTEGER, revoked_ms INTEGER
        ) STRICT;
        """,
        """
        CREATE TABLE person (
            name TEXT PRIMARY KEY, password TEXT NOT NULL, created_ms INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE session (
            digest BLOB PRIMARY KEY, person TEXT, key TEXT,
            created_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL
        ) STRICT;
        """,
    )
