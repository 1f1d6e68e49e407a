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
HEALTH: dict[str, Any] = {
    "summary": "Whether the Big Peer and its store answer",
    "responses": {503: {"description": "the store failed"}},
}
