"""
The portal's page about devices: what each reports, and admitting and revoking them.

A new device's files are in the page that answers the form, as a zip archive in a link,
and in no other.
"""

import io
import json
import zipfile
from base64 import b64encode
from itertools import islice
from typing import Any

from starlette.responses import Response

from edge_peer.bigpeer import admission
from edge_peer.bigpeer.admission_http import config_for, map_of
from edge_peer.bigpeer.devices_http import reports
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.shell import Visit
from edge_peer.bigpeer.views import size
from edge_peer.security.certificate import ROLES

SHOWN_COUNT_MAX = 500  # devices and certificates; the API has all
_FOLDER_MODE = 0o600 << 16  # in a zip archive: only its owner reads the file


async def respond(visit: Visit) -> Response:
    fields = visit.fields
    passphrase = fields.get("passphrase") or None
    try:
        if not visit.is_form():
            return await _page(visit)
        if fields.get("action") == "revoke":
            await admission.revoke(visit.tenant, fields.get("name", ""), passphrase)
            return visit.back("devices")
        wanted = admission.wish(_wanted(fields), fields.get("name", "").strip())
        _, identity = await admission.admit(visit.tenant, wanted, passphrase)
    except Refusal as refusal:
        return await _page(visit, status=refusal.status, message=str(refusal), fields=fields)
    config = config_for(visit.tenant, wanted.role, visit.request.url.hostname or "localhost")
    made = {"name": wanted.name, "href": _archive(wanted.name, identity, config)}
    return await _page(visit, status=201, made=made)


def _wanted(fields: dict[str, str]) -> dict[str, Any]:
    """Return what the form says, as the API takes it. Raises Refusal."""
    days, rules = fields.get("days", "").strip(), fields.get("permissions", "").strip()
    if days and not (days.isascii() and days.isdigit()):
        raise Refusal(400, "request", "days are a number; 0 is for ever")
    try:
        permissions = json.loads(rules) if rules else None
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "request", f"the permissions are not JSON: {error}") from error
    wanted = {"role": fields.get("role", "device"), "permissions": permissions}
    return wanted | ({"days": int(days[:6])} if days else {})


def _archive(name: str, identity: str, config: dict[str, Any]) -> str:
    """Return a link that holds identity.json and edge.json."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in (
            ("identity.json", identity),
            ("edge.json", json.dumps(config, indent=1)),
        ):
            entry = zipfile.ZipInfo(f"{name}/{path}")
            entry.external_attr = _FOLDER_MODE
            archive.writestr(entry, text)
    return "data:application/zip;base64," + b64encode(buffer.getvalue()).decode()


async def _page(visit: Visit, *, status: int = 200, **values: Any) -> Response:
    tenant = visit.tenant
    found = [_row(one) for one in islice(reports(tenant, ""), SHOWN_COUNT_MAX)]
    issued = (await admission.issued(tenant))[-SHOWN_COUNT_MAX:]
    certificates = [map_of(one.certificate, one.revoked_s) for one in reversed(issued)]
    empty: dict[str, Any] = {"message": "", "made": None, "fields": {}}
    return visit.shown(
        "devices", status, devices=found, certificates=certificates, roles=ROLES,
        has_authority=tenant.name is not None, is_locked=tenant.is_locked, **(empty | values),
    )  # fmt: skip


def _row(device: dict[str, Any]) -> dict[str, Any]:
    used, quota = device["usedBytes"], device["quotaBytes"]
    stored = "" if used is None or not quota else f"{size(used)} of {size(quota)}"
    return device | {"stored": stored}
