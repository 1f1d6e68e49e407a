"""What /openapi.json says of the HTTP API, as FastAPI takes it; no rule is checked here."""

from typing import Any

from fastapi import Depends
from fastapi.security import HTTPBearer

from edge_peer.security.certificate import ROLES

_ERROR = {
    "type": ["object", "null"],
    "required": ["code", "description", "column"],
    "properties": {
        "code": {"type": "string", "example": "query"},
        "description": {"type": "string"},
        "column": {"type": ["integer", "null"], "description": "1-based, if there is one"},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["queryType", "items", "mutatedDocumentIds", "warnings", "totalWarningsCount"],
    "properties": {
        "transactionId": {"type": ["integer", "null"], "format": "int64"},
        "queryType": {"type": "string", "example": "select"},
        "items": {"type": "array", "items": {}},
        "mutatedDocumentIds": {"type": "array", "items": {"type": "string"}},
        "error": _ERROR,
        "warnings": {"type": "array", "items": {"type": "object"}},
        "totalWarningsCount": {"type": "integer"},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["statement"],
    "properties": {
        "statement": {"type": "string", "example": "SELECT * FROM cars WHERE color = :color"},
        "args": {"type": ["object", "null"], "example": {"color": "blue"}},
    },
}
_HEADERS = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "integer", "format": "int64"},
        "description": "wait until the store has reached this transaction",
    }
    for name in ("X-EDGE-TXN-ID", "X-DITTO-TXN-ID")
]
_STATUSES = {
    400: "not a request, or a mistake in the statement or its arguments",
    401: "the key is missing or wrong, has expired, or was revoked",
    403: "the key does not allow this",
    404: "it is not here",
    409: "it cannot be: the name is taken, the passphrase is wrong, or the authority elsewhere",
    408: "the request did not arrive whole",
    412: "the transaction that was asked for has not arrived",
    413: "the request is too large",
    429: "too many requests of this key, or too many wrong keys; Retry-After says when",
    500: "a failure here; nothing is said of it but in the log",
    503: "too much is under way; Retry-After says when",
    507: "the store is full",
}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _path_parameter(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {
        "name": name, "in": "path", "required": True, "schema": schema, "description": description,
    }  # fmt: skip


def _query_parameter(name: str, description: str, required: bool) -> dict[str, Any]:
    return _path_parameter(name, description) | {"in": "query", "required": required}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def of_version(described: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the arguments of FastAPI's route for one of the paths below."""
    return described | {
        "operation_id": f"{described['operation_id']}_{version}".rstrip("_"),
        "dependencies": [Depends(HTTPBearer(scheme_name="key", auto_error=False))],
    }


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {
        status: {"description": _STATUSES[status], **_json(_ANSWER)}
        for status in sorted({*statuses, 429, 503})
    }


# Statements

EXECUTE: dict[str, Any] = {
    "summary": "Execute a DQL statement",
    "operation_id": "execute",
    "responses": {
        200: {"description": "what the statement found or wrote", **_json(_ANSWER)},
        **_errors(400, 401, 403, 408, 412, 413, 500, 507),
    },
    "openapi_extra": {"parameters": _HEADERS, "requestBody": {"required": True, **_json(_REQUEST)}},
}

_EVENTS = {"text/event-stream": {"schema": {"type": "string"}}}

OBSERVE: dict[str, Any] = {
    "summary": "Follow the result of a SELECT, as server-sent events",
    "operation_id": "observe",
    "responses": {
        200: {"description": "events: result, change, …, error (live.py)", "content": _EVENTS},
        **_errors(400, 401, 403, 408, 412, 413, 500),
    },
    "openapi_extra": {"parameters": _HEADERS, "requestBody": {"required": True, **_json(_REQUEST)}},
}
OBSERVE_BY_GET: dict[str, Any] = OBSERVE | {
    "operation_id": "observe_by_get",
    "openapi_extra": {
        "parameters": [
            *_HEADERS,
            _query_parameter("statement", "as in the body of POST", required=True),
            _query_parameter("args", "a JSON object", required=False),
        ]
    },
}

EXPORT: dict[str, Any] = {
    "summary": "Read a whole collection, as lines of JSON",
    "operation_id": "export",
    "responses": {
        200: {
            "description": "a document a line, in the order of ids",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
        **_errors(400, 401, 403, 500),
    },
    "openapi_extra": {
        "parameters": [
            _query_parameter("collection", "whose documents", required=True),
            _query_parameter("where", "a condition, as behind WHERE", required=False),
        ]
    },
}

# Attachments

_TOKEN = {
    "type": "object",
    "required": ["id", "len", "type"],
    "properties": {
        "id": {"type": "string", "description": "32 hexadecimal digits"},
        "len": {"type": "integer", "description": "bytes"},
        "type": {"type": "string", "example": "image/jpeg"},
    },
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}
_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

UPLOAD: dict[str, Any] = {
    "summary": "Store an attachment",
    "operation_id": "upload",
    "responses": {
        200: {"description": "its token, for an argument of a statement", **_json(_TOKEN)},
        **_errors(400, 401, 403, 408, 413, 500, 507),
    },
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
    },
}
DOWNLOAD: dict[str, Any] = {
    "summary": "Read an attachment",
    "operation_id": "download",
    "responses": {
        200: {"description": "all of its bytes", "content": _FILE},
        **_errors(401, 404, 500),
    },
    "openapi_extra": {"parameters": [_path_parameter("id", "32 hexadecimal digits")]},
}

# Keys

_TIME = {"type": ["string", "null"], "format": "date-time"}
_SIDE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "everything": {"type": "boolean", "default": False},
        "queriesByCollection": {
            "type": "object",
            "description": "collection: predicates, of which a document fulfils at least one",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "example": {"readings": ["site == 'A'"]},
        },
    },
}
_PERMISSIONS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"read": _SIDE, "write": _SIDE},
}
_KEY = {
    "id": {"type": "string"},
    "name": {"type": "string", "example": "dashboard"},
    "administrator": {"type": "boolean", "description": "may do everything, and manage keys"},
    "permissions": _PERMISSIONS,
    "createdAt": _TIME,
    "expiresAt": _TIME,
    "lastUsedAt": _TIME,
}
_PLAIN = {"key": {"type": "string", "description": "the key itself: this answer alone has it"}}
_NEW_KEY = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": _KEY["name"],
        "permissions": _PERMISSIONS,
        "administrator": {"type": "boolean", "description": "instead of permissions"},
        "expiresAt": _TIME,
    },
}
_APP = _path_parameter("appID", "32 hexadecimal digits")

_APP_SHOWN = {
    "id": {"type": "string", "description": "the appID, 32 hexadecimal digits"},
    "name": {"type": ["string", "null"]},
    "locked": {"type": "boolean", "description": "a passphrase locks its authority"},
    "documents": {"type": "integer"},
}
_PASSPHRASE = {"type": ["string", "null"], "minLength": 1, "maxLength": 256}
_NEW_APP = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 64, "example": "factory"},
        "passphrase": _PASSPHRASE,
    },
}
LIST_APPS: dict[str, Any] = {
    "summary": "Say which apps there are",
    "operation_id": "list_apps",
    "responses": {
        200: {
            "description": "the key's own, or all",
            **_json(_object(apps={"type": "array", "items": _object(**_APP_SHOWN)})),
        },
        **_errors(401, 500),
    },
}
CREATE_APP: dict[str, Any] = {
    "summary": "Create an app, of which this Big Peer is the authority",
    "operation_id": "create_app",
    "status_code": 201,
    "responses": {
        201: {
            "description": "the new one, and an administrator's key of it",
            **_json(_object(**_APP_SHOWN, key={"type": "string"})),
        },
        **_errors(400, 401, 403, 408, 413, 500),
    },
    "openapi_extra": {"requestBody": {"required": True, **_json(_NEW_APP)}},
}
DELETE_APP: dict[str, Any] = {
    "summary": "Delete an app, for good",
    "operation_id": "delete_app",
    "status_code": 204,
    "responses": {
        204: {"description": "it is gone, with all that it had"},
        **_errors(401, 403, 404, 409, 500),
    },
    "openapi_extra": {"parameters": [_APP]},
}
BACKUP: dict[str, Any] = {
    "summary": "Copy everything into a folder beside the documents",
    "operation_id": "backup",
    "responses": {
        200: {
            "description": "lines of JSON: copied, of; the last with folder, or error",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
        **_errors(400, 401, 403, 408, 409, 413, 500),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            **_json(_object(name={"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"})),
        }
    },
}
LIST_KEYS: dict[str, Any] = {
    "summary": "List the API keys",
    "operation_id": "list_keys",
    "responses": {
        200: {
            "description": "those that were not revoked",
            **_json(_object(keys={"type": "array", "items": _object(**_KEY)})),
        },
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP]},
}
CREATE_KEY: dict[str, Any] = {
    "summary": "Create an API key",
    "operation_id": "create_key",
    "status_code": 201,
    "responses": {
        201: {"description": "the new key", **_json(_object(**_PLAIN, **_KEY))},
        **_errors(400, 401, 403, 404, 408, 413, 500),
    },
    "openapi_extra": {"parameters": [_APP], "requestBody": {"required": True, **_json(_NEW_KEY)}},
}
REVOKE_KEY: dict[str, Any] = {
    "summary": "Revoke an API key",
    "operation_id": "revoke_key",
    "status_code": 204,
    "responses": {204: {"description": "it is none any more"}, **_errors(401, 403, 404, 500)},
    "openapi_extra": {"parameters": [_APP, _path_parameter("id", "as in the list")]},
}

# Webhooks

_COUNT = {"type": "integer", "format": "int64", "minimum": 0}
_WEBHOOK = {
    "id": {"type": "string"},
    "name": {"type": "string", "example": "shop"},
    "url": {"type": "string", "example": "https://shop.example/changes"},
    "filter": _SIDE,
    "oldValues": {"type": "boolean", "description": "whether it is told what was before"},
    "createdAt": _TIME,
    "toldUpTo": _COUNT,
    "behind": _COUNT,
    "paused": {"type": "boolean", "description": "it answered 410; replay lets it go on"},
    "delivered": _COUNT,
    "failed": _COUNT,
    "lastError": {"type": ["string", "null"]},
}
_SECRET = {"secret": {"type": "string", "description": "for signatures: this answer alone has it"}}
_FROM = {"type": "integer", "minimum": 0, "description": "a transactionId; 0 is the beginning"}
_NEW_WEBHOOK = {
    "type": "object",
    "required": ["name", "url", "filter"],
    "additionalProperties": False,
    "properties": {name: _WEBHOOK[name] for name in ("name", "url", "filter", "oldValues")}
    | {"from": _FROM},
}
_DEAD = _object(
    collection={"type": "string"},
    id={"type": "string"},
    txnId=_COUNT,
    at=_TIME,
    error={"type": "string"},
)
_ID = _path_parameter("id", "as in the list")

LIST_WEBHOOKS: dict[str, Any] = {
    "summary": "List the webhooks",
    "operation_id": "list_webhooks",
    "responses": {
        200: {
            "description": "all, and how far they are",
            **_json(_object(webhooks={"type": "array", "items": _object(**_WEBHOOK)})),
        },
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP]},
}
CREATE_WEBHOOK: dict[str, Any] = {
    "summary": "Create a webhook",
    "operation_id": "create_webhook",
    "status_code": 201,
    "responses": {
        201: {"description": "the new one", **_json(_object(**_SECRET, **_WEBHOOK))},
        **_errors(400, 401, 403, 404, 408, 413, 500),
    },
    "openapi_extra": {
        "parameters": [_APP],
        "requestBody": {"required": True, **_json(_NEW_WEBHOOK)},
    },
}
REMOVE_WEBHOOK: dict[str, Any] = {
    "summary": "End a webhook",
    "operation_id": "remove_webhook",
    "status_code": 204,
    "responses": {204: {"description": "it is none any more"}, **_errors(401, 403, 404, 500)},
    "openapi_extra": {"parameters": [_APP, _ID]},
}
REPLAY_WEBHOOK: dict[str, Any] = {
    "summary": "Tell again what came after a transaction",
    "operation_id": "replay_webhook",
    "responses": {
        200: {"description": "the webhook", **_json(_object(**_WEBHOOK))},
        **_errors(400, 401, 403, 404, 408, 413, 500),
    },
    "openapi_extra": {
        "parameters": [_APP, _ID],
        "requestBody": {"required": True, **_json(_object(**{"from": _FROM}))},
    },
}
LIST_DEAD: dict[str, Any] = {
    "summary": "List what could not be told",
    "operation_id": "list_dead",
    "responses": {
        200: {
            "description": "the newest hundred",
            **_json(_object(dead={"type": "array", "items": _DEAD})),
        },
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP, _ID]},
}
_DELIVERY = _object(
    collection={"type": "string"},
    id={"type": "string"},
    txnId=_COUNT,
    at=_TIME,
    state={"type": "string", "enum": ["told", "dead", "waiting"]},
    status={"type": ["integer", "null"], "description": "of HTTP"},
    tries=_COUNT,
    error={"type": ["string", "null"]},
)
REPLAY_DEAD: dict[str, Any] = {
    "summary": "Tell what could not be told again, as it is now",
    "operation_id": "replay_dead",
    "status_code": 202,
    "responses": {
        202: {"description": "how many there are", **_json(_object(count=_COUNT))},
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP, _ID]},
}
DELIVERIES: dict[str, Any] = {
    "summary": "List the last deliveries",
    "operation_id": "list_deliveries",
    "responses": {
        200: {
            "description": "what waits for its next try, then the last 200, the newest first",
            **_json(_object(deliveries={"type": "array", "items": _DELIVERY})),
        },
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP, _ID]},
}

# Retention

_NAMES = {"type": "array", "items": {"type": "string"}, "maxItems": 32}
_POLICY = {
    "type": "object",
    "required": ["keepDays"],
    "additionalProperties": False,
    "properties": {
        "keepDays": {"type": "number", "exclusiveMinimum": 0, "maximum": 36500},
        "rollUp": {
            "type": ["object", "null"],
            "required": ["everyS", "fields", "into"],
            "additionalProperties": False,
            "properties": {
                "everyS": {"type": "integer", "minimum": 1, "maximum": 31622400},
                "fields": _NAMES,
                "by": _NAMES,
                "into": {"type": "string"},
            },
        },
    },
}
_COLLECTION = _path_parameter("collection", "whose documents it is about")
LIST_RETENTION: dict[str, Any] = {
    "summary": "Say how long documents stay",
    "operation_id": "list_retention",
    "responses": {
        200: {
            "description": "policies by collection; what is not named stays",
            **_json(_object(policies={"type": "object", "additionalProperties": _POLICY})),
        },
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP]},
}
PUT_RETENTION: dict[str, Any] = {
    "summary": "Let documents of a collection go, or be rolled up, after some time",
    "operation_id": "put_retention",
    "responses": {
        200: {"description": "the policy", **_json(_POLICY)},
        **_errors(400, 401, 403, 404, 408, 413, 500),
    },
    "openapi_extra": {
        "parameters": [_APP, _COLLECTION],
        "requestBody": {"required": True, **_json(_POLICY)},
    },
}
REMOVE_RETENTION: dict[str, Any] = {
    "summary": "Keep documents of a collection",
    "operation_id": "remove_retention",
    "status_code": 204,
    "responses": {204: {"description": "they stay"}, **_errors(401, 403, 404, 500)},
    "openapi_extra": {"parameters": [_APP, _COLLECTION]},
}

# Devices

_NUMBER = {"type": ["number", "null"]}
_WORD = {"type": ["string", "null"]}
_DEVICE = _object(
    id={"type": "string", "example": "00f1e2d3c4b5a697"},
    name=_WORD,
    relay={"type": "boolean"},
    linked={"type": "boolean", "description": "to this Big Peer, now"},
    lastSeenAt=_TIME,
    reportedAt=_TIME,
    firmware=_WORD,
    unsynced=_NUMBER,
    lostWrites=_NUMBER,
    wearPercent=_NUMBER,
    lifetimeDays=_NUMBER,
    update=_NUMBER,
    onTrial={"type": "boolean"},
    certificate={"type": ["object", "null"]},
    documents=_NUMBER,
    usedBytes=_NUMBER,
    quotaBytes=_NUMBER,
    evicted=_NUMBER,
    links={
        "type": "array",
        "items": _object(
            medium={"type": ["string", "null"]}, neighbour={"type": ["string", "null"]}
        ),
    },
)
_LINE = _object(at=_TIME, what={"type": "string"}, text={"type": "string"})
_DEVICE_WITH_LOG = _DEVICE | {
    "required": [*_DEVICE["required"], "log"],
    "properties": _DEVICE["properties"] | {"log": {"type": "array", "items": _LINE}},
}
DEVICE: dict[str, Any] = {
    "summary": "One device, with its log",
    "operation_id": "show_device",
    "responses": {
        200: {"description": "what is known of it", **_json(_DEVICE_WITH_LOG)},
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP, _path_parameter("id", "as `devices` has it")]},
}
_PEER = _object(
    id={"type": "string"},
    name={"type": "string"},
    hops={"type": "integer", "description": "links on the way from this Big Peer"},
)
_EDGE = _object(
    peers={"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
    medium={"type": "string", "example": "lan"},
    quality={"type": "integer", "minimum": 0, "maximum": 3, "description": "3: no repeats"},
)
PRESENCE: dict[str, Any] = {
    "summary": "Who is linked to whom, now",
    "operation_id": "presence",
    "responses": {
        200: {
            "description": "the graph of the mesh, this Big Peer first",
            **_json(
                _object(
                    peers={"type": "array", "items": _PEER}, links={"type": "array", "items": _EDGE}
                )
            ),
        },
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP]},
}
DEVICES: dict[str, Any] = {
    "summary": "List what devices report of themselves",
    "operation_id": "list_devices",
    "responses": {
        200: {
            "description": "a page of them, in the order of ids",
            **_json(
                _object(
                    devices={"type": "array", "items": _DEVICE},
                    next={"type": ["string", "null"], "description": "for `after`"},
                )
            ),
        },
        **_errors(400, 401, 403, 404, 500),
    },
    "openapi_extra": {
        "parameters": [
            _APP,
            _query_parameter("after", "the `next` of the page before", required=False),
            _query_parameter("limit", "1 to 1000; 100 if it is not given", required=False),
        ]
    },
}

_ROLE = {"type": "string", "enum": list(ROLES)}
_CERTIFICATE = {
    "serial": {"type": "integer"},
    "name": {"type": "string"},
    "role": _ROLE,
    "permissions": _PERMISSIONS,
    "expiresAt": _TIME,
    "revokedAt": _TIME,
}
_TERMS = {
    "permissions": _PERMISSIONS,
    "days": {"type": "integer", "minimum": 0, "maximum": 36500, "description": "0: for ever"},
    "passphrase": _PASSPHRASE,
}
_NEW_DEVICE = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "example": "pump"},
        "role": _ROLE,
        "replaces": {"type": "boolean", "description": "a device of that name"},
        "signs": {"type": "boolean", "description": "what it sends through relays"},
        "publicKey": {
            "type": "string",
            "pattern": "^[0-9a-fA-F]{64}$",
            "description": "of Ed25519, where the device's private key is made elsewhere",
        },
        **_TERMS,
    },
}
_ADMITTED = _object(
    certificate=_object(**_CERTIFICATE),
    identity={"type": "object", "description": "identity.json, without its seed for a publicKey"},
    config={"type": "object", "description": "an edge.json to begin with"},
)
_NAME = _path_parameter("name", "a device that was admitted")
ADMIT: dict[str, Any] = {
    "summary": "Admit a device",
    "operation_id": "admit_device",
    "status_code": 201,
    "responses": {
        201: {"description": "its identity", **_json(_ADMITTED)},
        **_errors(400, 401, 403, 404, 408, 409, 413, 500),
    },
    "openapi_extra": {
        "parameters": [_APP],
        "requestBody": {"required": True, **_json(_NEW_DEVICE)},
    },
}


def _about_device(summary: str, operation_id: str, terms: dict[str, Any]) -> dict[str, Any]:
    body = {"type": "object", "additionalProperties": False, "properties": terms}
    return {
        "summary": summary,
        "operation_id": operation_id,
        "responses": _errors(400, 401, 403, 404, 408, 409, 413, 500),
        "openapi_extra": {"parameters": [_APP, _NAME], "requestBody": _json(body)},
    }


RENEW = _about_device("Renew a device's certificate", "renew_device", _TERMS)
RENEW["responses"][200] = {"description": "the new one", **_json(_object(**_CERTIFICATE))}
REVOKE_DEVICE = _about_device("Revoke a device", "revoke_device", {"passphrase": _PASSPHRASE}) | {
    "status_code": 204
}
REVOKE_DEVICE["responses"][204] = {"description": "all of its certificates are void"}
CERTIFICATES: dict[str, Any] = {
    "summary": "List what the authority has issued",
    "operation_id": "list_certificates",
    "responses": {
        200: {
            "description": "the newest thousand, the oldest of them first",
            **_json(_object(certificates={"type": "array", "items": _object(**_CERTIFICATE)})),
        },
        **_errors(401, 403, 404, 500),
    },
    "openapi_extra": {"parameters": [_APP]},
}

HEALTH: dict[str, Any] = {
    "summary": "Whether the Big Peer and its store answer",
    "responses": {503: {"description": "the store failed"}},
}
METRICS: dict[str, Any] = {
    "summary": "Numbers for Prometheus",
    "operation_id": "metrics",
    "responses": {
        200: {
            "description": "its text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **_errors(401, 403, 500),
    },
}
