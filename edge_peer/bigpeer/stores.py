"""
Where an app's documents are: a file of SQLite, or a schema in PostgreSQL.
"""

from typing import TYPE_CHECKING, Any

from edge_peer.core.errors import ConfigError
from edge_peer.core.store.store import Store
from edge_peer.host import storage

if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.store.log import Evict
    from edge_peer.core.store.store import BeforeErase


class BigStore(Store):
    """The store of a Big Peer: it asks a log that is far away for many documents at once."""

    def merge(self, records: "list[tuple[str, str, Document]]") -> int:
        look_ahead = getattr(self.log, "look_ahead", None)
        if look_ahead is not None and records:
            look_ahead([record[:2] for record in records])
        return super().merge(records)


def open_log(settings: dict[str, Any], evict: "Evict", before_erase: "BeforeErase") -> Any:
    """settings: with "path", or "url" and "schema". Raises ConfigError, StorageError."""
    if "url" not in settings:
        return storage.open_log(settings, evict, before_erase)
    try:
        from edge_peer.bigpeer import postgres
    except ImportError as error:
        text = "PostgreSQL needs psycopg: pip install 'edge-peer[bigpeer,postgresql]'"
        raise ConfigError(text) from error
    return postgres.open_log(settings, evict, before_erase)
