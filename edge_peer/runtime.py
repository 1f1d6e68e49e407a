"""
The one place that asks which Python this is.

board/ and host/ hold files of the same names with the same functions: system
(clocks, entropy, log lines), storage (the log), and one for each kind of link.
They load when they are used, so a board pays only for the links that it has.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PACKAGE = "edge_peer.board." if sys.implementation.name == "micropython" else "edge_peer.host."


def load(name: str) -> "Any":
    """Return this runtime's module of that name; raise ImportError if it has none."""
    return __import__(_PACKAGE + name, None, None, (name,))
