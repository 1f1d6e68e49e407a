"""What /openapi.json says of http.py, as FastAPI takes it; no rule is checked here."""

from typing import Any

from fastapi import Depends
from fastapi.security import HTTPBearer

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
    200: "what the statement found or wrote",
    400: "not a request, or a mistake in the statement or its arguments",
    401: "the key is missing or wrong",
    408: "the request did not arrive whole",
    413: "the request is too large",
    500: "a failure here; nothing is said of it but in the log",
    504: "the transaction that was asked for has not arrived",
    507: "the store is full",
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


# api version -> arguments of FastAPI.post
EXECUTE: dict[str, dict[str, Any]] = {
    version: {
        "summary": "Execute a DQL statement",
        "operation_id": f"execute_{version}",
        "dependencies": [Depends(HTTPBearer(scheme_name="key", auto_error=False))],
        "responses": {
            status: {"description": text, **_json(_ANSWER)} for status, text in _STATUSES.items()
        },
        "openapi_extra": {
            "parameters": _HEADERS,
            "requestBody": {"required": True, **_json(_REQUEST)},
        },
    }
    for version in ("v4", "v5")
}
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


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: {"description": _STATUSES[status], **_json(_ANSWER)} for status in statuses}


UPLOAD: dict[str, dict[str, Any]] = {
    version: {
        "summary": "Store an attachment",
        "operation_id": f"upload_{version}",
        "dependencies": [Depends(HTTPBearer(scheme_name="key", auto_error=False))],
        "responses": {
            200: {"description": "its token, for an argument of a statement", **_json(_TOKEN)},
            **_errors(400, 401, 408, 413, 500, 507),
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
        },
    }
    for version in ("v4", "v5")
}
DOWNLOAD: dict[str, dict[str, Any]] = {
    version: {
        "summary": "Read an attachment",
        "operation_id": f"download_{version}",
        "dependencies": [Depends(HTTPBearer(scheme_name="key", auto_error=False))],
        "responses": {
            200: {"description": "all of its bytes", "content": _FILE},
            404: {"description": "it is not here, or not all of it yet", **_json(_ANSWER)},
            **_errors(401, 500),
        },
    }
    for version in ("v4", "v5")
}
HEALTH: dict[str, Any] = {
    "summary": "Whether the Big Peer and its store answer",
    "responses": {503: {"description": "the store failed"}},
}
