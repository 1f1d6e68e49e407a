"""
Devices over HTTP, for administrators: admitting, renewing, revoking (admission.py).

    POST /api/v4/apps/{appID}/devices    201, {"certificate": CERTIFICATE, "identity": {…},
                                               "config": {…}}
         {"name": "pump", "role": "device", "permissions": {"read": …, "write": …},
          "days": 365, "replaces": false, "signs": false, "passphrase": TEXT,
          "publicKey": 64 hexadecimal digits}
    POST …/devices/{name}/renew          CERTIFICATE    {"days", "permissions", "passphrase"}
    POST …/devices/{name}/revoke         204            {"passphrase"}
    GET  …/certificates                  {"certificates": [CERTIFICATE, …]}, the oldest first

    CERTIFICATE: {"serial", "name", "role", "permissions", "expiresAt": TIME | null,
                  "revokedAt": TIME | null}

Only the name is needed; without permissions a device may do everything. `identity` is the
contents of identity.json, with the device's private key: it is in this answer and nowhere
else, ever. Who would rather make that key himself, as `edge-peer` does where a device is
provisioned through a Big Peer, sends `publicKey`, an Ed25519 public key (RFC 8032): then
`identity` lacks "seed", which is his to add, and no private key travels. `config` is an
edge.json to begin with, for a computer that reaches this Big Peer as whoever asks does.
What a device of that name had signed before stays as it is.
"""

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from edge_peer.bigpeer import admission
from edge_peer.bigpeer.answers import encode, json_response
from edge_peer.bigpeer.apps_http import NO_STORE, passphrase_in
from edge_peer.bigpeer.keys_http import time_text
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, object_in
from edge_peer.host import permissions
from edge_peer.security.certificate import EPOCH_S, NEVER_S, Certificate

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

BODY_BYTES_MAX = 65_536
CERTIFICATE_COUNT_MAX = 1_000
_TERMS = {"permissions", "days", "passphrase"}
_MEMBERS = {"name", "role", "replaces", "signs", "publicKey"} | _TERMS


async def admit(big: "Tenant", request: Request) -> Response:
    fields = await _fields(request, _MEMBERS)
    wanted = admission.wish(fields, fields.get("name"))
    certificate, identity = await admission.admit(big, wanted, passphrase_in(fields))
    kept = json.loads(identity)
    if not kept["seed"]:
        del kept["seed"]
    told = {
        "certificate": map_of(certificate, None),
        "identity": kept,
        "config": config_for(big, wanted.role, request.url.hostname or "localhost"),
    }
    return json_response(encode(told), 201, NO_STORE)


async def renew(big: "Tenant", request: Request) -> Response:
    fields = await _fields(request, _TERMS)
    wanted = admission.wish(fields, request.path_params["name"])
    certificate = await admission.renew(big, wanted, passphrase_in(fields))
    return json_response(encode(map_of(certificate, None)))


async def revoke(big: "Tenant", request: Request) -> Response:
    fields = await _fields(request, {"passphrase"})
    await admission.revoke(big, request.path_params["name"], passphrase_in(fields))
    return Response(status_code=204)


async def list_certificates(big: "Tenant", request: Request) -> Response:
    issued = await admission.issued(big)
    shown = [map_of(one.certificate, one.revoked_s) for one in issued[-CERTIFICATE_COUNT_MAX:]]
    return json_response(encode({"certificates": shown}))


def map_of(certificate: Certificate, revoked_s: int | None) -> dict[str, Any]:
    end_s = None if certificate.expiry_s == NEVER_S else certificate.expiry_s
    return {
        "serial": certificate.serial,
        "name": certificate.name,
        "role": admission.ROLE_NAMES[certificate.role],
        "permissions": permissions.unpacked(certificate.permissions),
        "expiresAt": _time(end_s),
        "revokedAt": _time(revoked_s),
    }


def config_for(big: "Tenant", role: str, host: str) -> dict[str, Any]:
    """Return an edge.json; host: this computer, as its devices reach it."""
    return {
        "identity": "identity.json",
        "storage": {"path": "edge.db"},
        "relay": role == "relay",
        "links": [{"kind": "lan", "host": host, "port": big.sync_port}],
    }


async def _fields(request: Request, members: set[str]) -> dict[str, Any]:
    body = await body_of(request, BODY_BYTES_MAX)
    fields = object_in(body or b"{}", "name")
    if unknown := set(fields) - members:
        known = ", ".join(sorted(members))
        raise Refusal(400, "request", f"there is no {min(unknown)[:40]} here; there is {known}")
    return fields


def _time(time_s: int | None) -> str | None:
    return None if time_s is None else time_text((time_s + EPOCH_S) * 1000)
