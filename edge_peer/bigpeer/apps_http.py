"""
Apps over HTTP: which there are, and one more.

    GET  /api/v4/apps    {"apps": [APP, …]}: the key's own; all of them for an administrator
                         of the app that the Big Peer began with
    POST /api/v4/apps    for such an administrator: 201, APP and {"key": its administrator's}
         {"name": "factory", "passphrase": TEXT | null}
    DELETE /api/v4/apps/{appID}    for such an administrator: 204. It is gone for good, with its
         documents, keys, webhooks and authority. Not the app that the Big Peer began with.

    APP: {"id": the appID, "name": null where its authority is not here, "locked": whether a
          passphrase locks the authority, "documents"}

The Big Peer is the authority of an app that it has made: its private key lies in the data
folder, mode 0600, sealed with the passphrase if there is one. The key is in the answer to
POST, and in the file `api-key` of the app's folder until somebody deletes that.
"""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from edge_peer.bigpeer.answers import encode, json_response
from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, object_in
from edge_peer.bigpeer.settings import KEY_FILE
from edge_peer.core.errors import ConfigError

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer
    from edge_peer.bigpeer.tenant import Tenant

BODY_BYTES_MAX = 4_096
PASSPHRASE_CHARS_MAX = 256
NO_STORE = {"Cache-Control": "no-store"}


async def list_apps(big: "BigPeer", own: "Tenant", request: Request, key: Key) -> Response:
    shown = list(big.tenants.values()) if own is big and key.is_administrator else [own]
    return json_response(encode({"apps": [map_of(one) for one in shown]}))


async def create_app(big: "BigPeer", own: "Tenant", request: Request, key: Key) -> Response:
    _check_host(big, own, key)
    fields = object_in(await body_of(request, BODY_BYTES_MAX), "name")
    name, passphrase = fields.get("name"), passphrase_in(fields)
    if not isinstance(name, str) or not name or not set(fields) <= {"name", "passphrase"}:
        raise Refusal(400, "request", 'an app has a "name", which is text, and maybe "passphrase"')
    try:
        tenant = await big.create_app(name, passphrase)
    except ConfigError as error:
        raise Refusal(400, "request", str(error)) from error
    told = map_of(tenant) | {"key": (tenant.folder / KEY_FILE).read_text().strip()}
    return json_response(encode(told), 201, NO_STORE)


async def delete_app(big: "BigPeer", own: "Tenant", request: Request, key: Key) -> Response:
    _check_host(big, own, key)
    app_id = request.path_params["appID"].lower()
    if app_id not in big.tenants:
        raise Refusal(404, "app", "there is no such app here")
    try:
        await big.delete_app(app_id)
    except ConfigError as error:
        raise Refusal(409, "app", str(error)) from error
    return Response(status_code=204)


def _check_host(big: "BigPeer", own: "Tenant", key: Key) -> None:
    if own is not big or not key.is_administrator:
        text = "this is for an administrator's key of the app that the Big Peer began with"
        raise Refusal(403, "forbidden", text)


def passphrase_in(fields: dict[str, Any]) -> str | None:
    """Raises Refusal for one that is none."""
    passphrase = fields.get("passphrase")
    if passphrase is None:
        return None
    if not isinstance(passphrase, str) or not 0 < len(passphrase) <= PASSPHRASE_CHARS_MAX:
        text = f'"passphrase" is text of 1 to {PASSPHRASE_CHARS_MAX} characters'
        raise Refusal(400, "request", text)
    return passphrase


def map_of(tenant: "Tenant") -> dict[str, Any]:
    return {
        "id": tenant.app_id,
        "name": tenant.name,
        "locked": tenant.is_locked,
        "documents": tenant.store.status()["documents"],
    }
