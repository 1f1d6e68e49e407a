"""edge-peer: a local-first database for the Internet of Things, from a $4 board up."""

from edge_peer.core.errors import ConfigError, EdgeError, QueryError, StorageError, StoreFull
from edge_peer.peer import SmallPeer

__all__ = ["ConfigError", "EdgeError", "QueryError", "SmallPeer", "StorageError", "StoreFull"]
