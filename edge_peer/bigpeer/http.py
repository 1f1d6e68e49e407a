"""
The Big Peer's HTTP API: one statement in, one JSON answer out.

    POST /api/v4/store/execute     Authorization: Bearer KEY
         {"statement": "SELECT * FROM cars WHERE color = :color", "args": {"color": "blue"}}
    POST /api/v4/attachments/upload    a multipart form with one file
         {"id": 32 hexadecimal digits, "len": bytes, "type": media type}
    GET  /api/v4/attachments/ID    what was uploaded, or came from a device (blobs.py)
    GET  /health                   {"status": "ok"}; needs no key
    GET  /openapi.json             this, for programs

Shapes and names are those of Ditto's HTTP API (https://docs.ditto.live/cloud/http-api),
so that its clients work here; /api/v5 is the same as /api/v4. Every answer to a statement
has the same fields, and so has every error:

    {"transactionId": the newest change that the answer may show, "queryType": "select",
     "items": […], "mutatedDocumentIds": […], "error": null, "warnings": [],
     "totalWarningsCount": 0}

    error: {"code", "description": a sentence, "column": 1-based place in the statement or null}
    warnings: [{"description": a sentence}, …]
    queryType: select, insert, update, delete, create index, drop index, explain

X-EDGE-TXN-ID or X-DITTO-TXN-ID: N makes a request wait until the store has reached
transaction N, TRANSACTION_WAIT_S at most. JSON has no bytes, NaN or infinity: bytes
are answered as base64 text (RFC 4648, 4), the other two as null. An attachment is
{"id": hexadecimal, "len": bytes, "type": media type}, in answers and in arguments.
"""

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from edge_peer.bigpeer import access, blobs, portal
from edge_peer.bigpeer.openapi import DOWNLOAD, EXECUTE, HEALTH, UPLOAD
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.core.errors import QueryError, StorageError, StoreFull
from edge_peer.core.kinds import Attachment
from edge_peer.core.log import META

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer

BODY_BYTES_MAX = 1 << 20  # some thousand readings; what is written at once makes others wait
BODY_WAIT_S = 30
TRANSACTION_WAIT_S = 10
ENCODED_INLINE_COUNT_MAX = 1_000  # more items are put into JSON beside the event loop

_logger = logging.getLogger("edge_peer.bigpeer")


def make_app(big: "BigPeer") -> FastAPI:
    """Return the whole web application: the API, and the portal for every other path."""
    pages = portal.Portal(big)
    app = FastAPI(
        title="edge-peer Big Peer",
        version="4",
        lifespan=pages.lifespan,
        docs_url=None,  # its page would load from a CDN
        redoc_url=None,
    )

    async def answer(request: Request, make: Callable[[], Awaitable[Response]]) -> Response:
        try:
            if not access.has_bearer(request, big.api_key):
                raise Refusal(401, "key", "this needs the header Authorization: Bearer KEY")
            return await make()
        except Refusal as refusal:
            return _refuse(big, refusal)
        except StorageError:
            _logger.exception("the store failed")
            return _refuse(big, Refusal(500, "storage", "the store failed; the log says how"))
        except Exception:
            _logger.exception("a request failed")
            return _refuse(big, Refusal(500, "internal", "a mistake of ours; the log has it"))

    async def execute(request: Request) -> Response:
        return await answer(request, lambda: _execute(big, request))

    async def upload(request: Request) -> Response:
        async def make() -> Response:
            return _json(_encode(await blobs.upload(big, request)))

        return await answer(request, make)

    async def download(request: Request, id: str) -> Response:
        async def make() -> Response:
            return blobs.download(big, id)

        return await answer(request, make)

    async def health() -> Response:
        try:
            big.store.log.get(META, "")  # a look into the file
        except StorageError:
            return _json(b'{"status":"the store failed"}', 503)
        return _json(b'{"status":"ok"}')

    async def nothing(request: Request) -> Response:
        text = "this API has store/execute and attachments; the rest is not built yet"
        return _refuse(big, Refusal(404, "path", text))

    for version in ("v4", "v5"):
        app.post(f"/api/{version}/store/execute", **EXECUTE[version])(execute)
        app.post(f"/api/{version}/attachments/upload", **UPLOAD[version])(upload)
        app.get(f"/api/{version}/attachments/{{id}}", **DOWNLOAD[version])(download)
    app.get("/health", **HEALTH)(health)
    app.api_route("/api/{path:path}", methods=_METHODS, include_in_schema=False)(nothing)
    app.mount("/", pages.app)
    return app


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


# In


async def _execute(big: "BigPeer", request: Request) -> Response:
    statement, arguments = _parse(await _body(request))
    await _wait_for_transaction(big, request.headers)
    answer = _run(big, statement, blobs.with_tokens(arguments))
    if len(answer["items"]) > ENCODED_INLINE_COUNT_MAX:
        return _json(await asyncio.to_thread(_encode, answer))
    return _json(_encode(answer))


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise Refusal(413, "size", f"a request has at most {BODY_BYTES_MAX} bytes")
    except (TimeoutError, ClientDisconnect) as error:
        raise Refusal(408, "request", "the request did not arrive whole") from error
    return bytes(body)


def _parse(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return statement and arguments."""
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "request", f"the request is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refusal(400, "request", 'the request must be a JSON object with "statement"')
    statement, arguments = fields.get("statement"), fields.get("args")
    if not isinstance(statement, str):
        raise Refusal(400, "request", '"statement" must be the text of a DQL statement')
    if not isinstance(arguments, dict | None):
        raise Refusal(400, "request", '"args" must be an object: {"name": value} for each :name')
    return statement, arguments or {}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


async def _wait_for_transaction(big: "BigPeer", headers: Mapping[str, str]) -> None:
    text = headers.get("x-edge-txn-id", headers.get("x-ditto-txn-id"))
    if text is None:
        return
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal(400, "request", "X-EDGE-TXN-ID takes a transactionId, a whole number")
    try:
        async with asyncio.timeout(TRANSACTION_WAIT_S):
            await big.wait_for_transaction(int(text))
    except TimeoutError as error:
        reached = f"this Big Peer has reached transaction {big.transaction_id()}, not {text}"
        raise Refusal(504, "behind", reached) from error


# Out


def _run(big: "BigPeer", statement: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        result = big.execute(statement, arguments)
    except QueryError as error:
        raise Refusal(400, "query", str(error), error.column) from error
    except RecursionError as error:
        raise Refusal(400, "query", "an argument is nested too deep") from error
    except StoreFull as error:
        raise Refusal(507, "full", f"the store is full: {error}") from error
    items = [_without_attachments(item) for item in result.items]
    return _answer(big.transaction_id(), result.kind, items, result.ids, warnings=result.warnings)


def _answer(
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


def _refuse(big: "BigPeer", refusal: Refusal) -> Response:
    # How far the store is, is nothing for somebody without the key.
    transaction_id = None if refusal.status in (401, 404) else big.transaction_id()
    answer = _answer(transaction_id, error=refusal.error)
    return _json(_encode(answer), refusal.status, refusal.headers)


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, "application/json")


def _encode(answer: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(answer, default=_text_of, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(answer), default=_text_of, ensure_ascii=False)
    return text.encode(errors="replace")


def _text_of(value: object) -> str | None:
    return b64encode(value).decode() if isinstance(value, bytes) else None


def _without_attachments(value: Any) -> Any:
    """Put a map for every attachment; json would write the tuple as an array."""
    if isinstance(value, Attachment):
        return blobs.map_of(value)
    if isinstance(value, dict):
        return {name: _without_attachments(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_attachments(item) for item in value]
    return value


def _finite(value: Any) -> Any:
    """Put null for every number that JSON lacks."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return value
