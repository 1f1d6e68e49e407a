"""
Who is asking: a program shows an API key with every request.

    Authorization: Bearer KEY

People have sessions (gate.py), which open the portal and not the API: so no page of
another site can make a browser use the API.
"""

from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.limits import address_of
from edge_peer.bigpeer.refusal import Refusal

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer
    from edge_peer.bigpeer.tenant import Tenant


def key_of(connection: HTTPConnection, big: "BigPeer") -> "tuple[Tenant, Key]":
    """Return the valid key that is shown and its app, and count its request. Raises Refusal.

    A valid key is served however many wrong ones its address has sent: else one wrong
    device would lock out all behind the same router.
    """
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        for tenant in big.tenants.values():
            key = tenant.keys.find(given.strip())
            if key is not None:
                big.limits.ask(key.id)
                return tenant, key
    big.limits.was_wrong(address_of(connection.client))
    raise Refusal(401, "key", "this needs the header Authorization: Bearer KEY, a valid one")
