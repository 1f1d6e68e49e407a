"""MessagePack on a board: the portable one."""

from edge_peer.core.codec import pack, unpack  # noqa: F401
