"""
Let certificates decide what neighbours may, on all links of a peer (security/guard.py).

A revocation list that lies beside identity.json is taken when the peer starts: so it comes
to a mesh whose authority is elsewhere.
"""

from binascii import unhexlify

from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.security.guard import Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.peer import Links

LIST_FILE = "revoked.hex"  # what `edge-peer device revoke` writes
ENOENT = 2  # no such file: the same number on every system


def open_guard(links: "Links", codec: "Any", identity: str = "") -> Guard:
    """identity: the path of identity.json. Raises ConfigError for a list that is damaged."""
    keyring, store = links.local.keyring, links.local.store
    guard = Guard(store, keyring.certificate, keyring.app_id, keyring, codec.unpack, keyring.time)
    keyring.guard = guard
    keyring.is_revoked = guard.is_revoked
    guard.on_renewed = keyring.renew
    guard.on_revoked = links.cut_revoked
    if identity:
        _take_list(guard, identity[: identity.rfind("/") + 1] + LIST_FILE)
    return guard


def _take_list(guard: Guard, path: str) -> None:
    try:
        with open(path) as file:
            guard.take_list(unhexlify(file.read().strip()))
    except OSError as error:
        if error.errno != ENOENT:
            raise ConfigError("cannot read %s: %s" % (path, error))
    except (ValueError, EdgeError) as error:
        raise ConfigError("%s: %s" % (path, error))
