"""
What the HTTP API answers: JSON, and the same fields in every answer to a statement and
in every error (http.py shows them).
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from edge_peer.bigpeer import blobs
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.core.kinds import Attachment

# Where the asker may be nobody we know: how far the store is, is nothing for them.
_TELL_NOTHING = (401, 404, 429)


def answer(
    transaction_id: int | None,
    kind: str = "",
    items: list[Any] | None = None,
    ids: list[str] | None = None,
    error: dict[str, Any] | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "transactionId": transaction_id,
        "queryType": kind,
        "items": items or [],
        "mutatedDocumentIds": ids or [],
        "error": error,
        "warnings": [{"description": sentence} for sentence in warnings],
        "totalWarningsCount": len(warnings),
    }


def refused(refusal: Refusal, transaction_id: int | None) -> Response:
    told = None if refusal.status in _TELL_NOTHING else transaction_id
    return json_response(encode(answer(told, error=refusal.error)), refusal.status, refusal.headers)


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(body, status, headers, "application/json")


def encode(value: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(value, default=_text_of, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), default=_text_of, ensure_ascii=False)
    return text.encode(errors="replace")


def without_attachments(value: Any) -> Any:
    """Put a map for every attachment; json would write the tuple as an array."""
    if isinstance(value, Attachment):
        return blobs.map_of(value)
    if isinstance(value, dict):
        return {name: without_attachments(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_attachments(item) for item in value]
    return value


def _text_of(value: object) -> str | None:
    return b64encode(value).decode() if isinstance(value, bytes) else None


def _finite(value: Any) -> Any:
    """Put null for every number that JSON lacks."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return value
