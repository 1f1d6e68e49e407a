"""
Who is asking: a program shows an API key with every request.

    Authorization: Bearer KEY

People have sessions (gate.py), which open the portal and not the API: so no page of
another site can make a browser use the API.
"""

from starlette.requests import HTTPConnection

from edge_peer.bigpeer.keys import Key, Keys
from edge_peer.bigpeer.limits import Limits, address_of
from edge_peer.bigpeer.refusal import Refusal


def key_of(connection: HTTPConnection, keys: Keys, limits: Limits) -> Key:
    """Return the valid key that is shown, and count its request. Raises Refusal.

    A valid key is served however many wrong ones its address has sent: else one wrong
    device would lock out all behind the same router.
    """
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    key = keys.find(given.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        limits.was_wrong(address_of(connection.client))
        raise Refusal(401, "key", "this needs the header Authorization: Bearer KEY, a valid one")
    limits.ask(key.id)
    return key
