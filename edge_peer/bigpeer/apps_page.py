"""
The portal's page about apps: which there are, one more, and one less.
"""

from starlette.responses import Response

from edge_peer.bigpeer import apps_http
from edge_peer.bigpeer.settings import KEY_FILE
from edge_peer.bigpeer.shell import Visit
from edge_peer.core.errors import ConfigError


async def respond(visit: Visit) -> Response:
    if not visit.is_form():
        return _page(visit)
    if visit.fields.get("action") == "delete":
        return await _delete(visit)
    passphrase = visit.fields.get("passphrase", "")
    try:
        if passphrase != visit.fields.get("again", ""):
            raise ConfigError("the two passphrases differ")
        name = visit.fields.get("name", "").strip()
        if not name:
            raise ConfigError("an app needs a name")
        made = await visit.big.create_app(name, passphrase or None)
    except ConfigError as error:
        return _page(visit, status=400, message=str(error))
    key = (made.folder / KEY_FILE).read_text().strip()
    return _page(visit, status=201, made=apps_http.map_of(made), new_key=key)


async def _delete(visit: Visit) -> Response:
    """Whoever deletes an app types its name, or its appID where it has none."""
    app_id = visit.fields.get("id", "")
    tenant = visit.big.tenants.get(app_id)
    if tenant is None:
        return visit.back("apps")
    if visit.fields.get("confirm", "").strip() != (tenant.name or app_id):
        return _page(visit, status=400, message="That is not its name; nothing was deleted.")
    try:
        await visit.big.delete_app(app_id)
    except ConfigError as error:
        return _page(visit, status=409, message=str(error))
    return visit.back("apps")


def _page(visit: Visit, *, status: int = 200, **values: object) -> Response:
    shown = [apps_http.map_of(one) for one in visit.big.tenants.values()]
    empty: dict[str, object] = {"message": "", "made": None, "new_key": ""}
    values["first_id"] = visit.big.app_id
    return visit.shown("apps", status, apps=shown, **(empty | values))
