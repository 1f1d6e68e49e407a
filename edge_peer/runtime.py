"""
The one place that asks which Python this is.

board/ and host/ hold files of the same names with the same functions: system
(clocks, entropy, log lines), storage (the log), and one for each kind of link.
They load when they are used, so a board pays only for the links that it has. A
board's codec is the portable one.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IS_BOARD = sys.implementation.name == "micropython"


def load(name: str) -> "Any":
    """Return this runtime's module of that name; raise ImportError if it has none."""
    if IS_BOARD:
        package = "edge_peer.core." if name == "codec" else "edge_peer.board."
    else:
        package = "edge_peer.host."
    return __import__(package + name, None, None, (name,))


def unload(name: str) -> None:
    """Give a board back the memory of a module of board/ that is needed only once."""
    if IS_BOARD and "edge_peer.board." + name in sys.modules:
        del sys.modules["edge_peer.board." + name]
        delattr(sys.modules["edge_peer.board"], name)
