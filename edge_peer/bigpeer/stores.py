"""
Where an app's documents are: a file of SQLite, or a schema in PostgreSQL.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from edge_peer.core.errors import ConfigError
from edge_peer.core.store.store import Store
from edge_peer.host import storage

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database
    from edge_peer.bigpeer.shared_store import SharedStore
    from edge_peer.core.store.log import Evict
    from edge_peer.core.store.store import BeforeErase


class FileStore(Store):
    """The store of a Big Peer that nobody shares: each commit is a turn of its own."""

    base: "Database | None" = None
    on_entries: Callable[[], None] | None = None

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def follow(self) -> None:
        """Nobody else writes."""


def open_store(
    settings: dict[str, Any],
    key: bytes,
    wall_ms: Callable[[], int | None],
    entropy: Callable[[int], bytes],
) -> "FileStore | SharedStore":
    """Open the store of a Big Peer; key: its certificate's. Raises as open_log does."""
    kind: Any = FileStore
    if "url" in settings:
        _need_psycopg()
        from edge_peer.bigpeer.shared_store import SharedStore as kind
    store: FileStore | SharedStore = kind(
        lambda evict, before_erase: open_log(settings, evict, before_erase),
        key,
        wall_ms,
        entropy,
        keeps_all=True,
    )
    return store


def open_log(settings: dict[str, Any], evict: "Evict", before_erase: "BeforeErase") -> Any:
    """settings: with "path", or "url" and "schema". Raises ConfigError, StorageError."""
    if "url" not in settings:
        return storage.open_log(settings, evict, before_erase)
    _need_psycopg()
    from edge_peer.bigpeer import postgres

    return postgres.open_log(settings, evict, before_erase)


def _need_psycopg() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        text = "PostgreSQL needs psycopg: pip install 'edge-peer[bigpeer,postgresql]'"
        raise ConfigError(text) from error
