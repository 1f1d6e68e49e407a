"""
API keys over HTTP, for administrators.

    GET    /api/v4/apps/{appID}/keys        {"keys": [KEY, …]}
    POST   /api/v4/apps/{appID}/keys        201, KEY and its text: {"key": "edge_…", …}
           {"name": "dashboard", "permissions": {"read": …, "write": …}, "expiresAt": TIME | null}
           {"name": "operator", "administrator": true}
    DELETE /api/v4/apps/{appID}/keys/{id}   204

    KEY: {"id", "name", "administrator", "permissions", "createdAt", "expiresAt", "lastUsedAt"}
    TIME: RFC 3339, as 2027-01-31T12:00:00Z

The text of a key is in the answer to POST and nowhere else, ever.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from edge_peer.bigpeer.answers import encode, json_response
from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.permissions import Permissions
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, object_in

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

BODY_BYTES_MAX = 65_536
_MEMBERS = {"name", "permissions", "administrator", "expiresAt"}


async def list_keys(big: "Tenant", request: Request) -> Response:
    return json_response(encode({"keys": [map_of(key) for key in big.keys.all()]}))


async def create_key(big: "Tenant", request: Request) -> Response:
    fields = object_in(await body_of(request, BODY_BYTES_MAX), "name")
    try:
        key, plain = big.keys.create(*_wanted(fields))
    except ValueError as error:
        raise Refusal(400, "request", str(error)) from error
    return json_response(encode({"key": plain} | map_of(key)), 201, {"Cache-Control": "no-store"})


async def revoke_key(big: "Tenant", request: Request) -> Response:
    if not big.keys.revoke(request.path_params["id"]):
        raise Refusal(404, "key", "there is no such key, or it was revoked")
    return Response(status_code=204)


def map_of(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "administrator": key.is_administrator,
        "permissions": key.permissions.fields,
        "createdAt": time_text(key.created_ms),
        "expiresAt": time_text(key.expires_ms),
        "lastUsedAt": time_text(key.used_ms),
    }


def time_text(time_ms: int | None) -> str | None:
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_ms(text: str) -> int:
    """Raises ValueError for what is no time with its zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise ValueError("a time is written as 2027-01-31T12:00:00Z")
    return int(time.timestamp() * 1000)


def _wanted(fields: dict[str, Any]) -> tuple[str, Permissions | None, int | None]:
    """Return name, permissions (None: an administrator's), and expiry. Raises ValueError."""
    name, expiry = fields.get("name"), fields.get("expiresAt")
    is_administrator = fields.get("administrator", False)
    if unknown := set(fields) - _MEMBERS:
        raise ValueError(f"a key has no {min(unknown)[:40]}; it has {', '.join(sorted(_MEMBERS))}")
    if not isinstance(name, str) or not isinstance(expiry, str | None):
        raise ValueError('"name" is text, and "expiresAt" a time, or null for a key that stays')
    if not isinstance(is_administrator, bool) or is_administrator == ("permissions" in fields):
        raise ValueError('say either "permissions" or "administrator": true')
    permissions = None if is_administrator else Permissions(fields["permissions"])
    return name, permissions, None if expiry is None else time_ms(expiry)
