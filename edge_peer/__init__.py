"""edge-peer: a local-first database for the Internet of Things, from a $4 board up."""

from edge_peer.core.errors import ConfigError, EdgeError, QueryError, StorageError, StoreFull
from edge_peer.peer import SmallPeer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.kinds import Attachment as Attachment

__all__ = ["ConfigError", "EdgeError", "QueryError", "SmallPeer", "StorageError", "StoreFull"]


def __getattr__(name: str) -> object:
    if name != "Attachment":
        raise AttributeError(name)
    from edge_peer.core.kinds import Attachment  # most boards have none

    return Attachment
