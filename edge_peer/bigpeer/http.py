"""
The Big Peer's HTTP API: one statement in, one JSON answer out.

    POST /api/v4/store/execute     Authorization: Bearer KEY
         {"statement": "SELECT * FROM cars WHERE color = :color", "args": {"color": "blue"}}
    POST /api/v4/attachments/upload    a multipart form with one file
         {"id": 32 hexadecimal digits, "len": bytes, "type": media type}
    GET  /api/v4/attachments/ID    what was uploaded, or came from a device (blobs.py)
    POST /api/v4/store/observe     a SELECT that stays up to date (live.py)
    GET  /api/v4/store/export      a whole collection, as lines of JSON (export_http.py)
    GET|POST /api/v4/apps          which apps there are, and one more (apps_http.py)
    GET|POST /api/v4/apps/{appID}/keys, DELETE …/keys/{id}         for administrators (keys_http.py)
    …/apps/{appID}/webhooks        for administrators (webhooks_http.py)
    …/apps/{appID}/retention       for administrators (retention_http.py)
    …/apps/{appID}/devices, …/presence    for administrators (devices_http.py, admission_http.py)
    POST /api/v4/backup            a copy of everything, while it runs (backup_http.py)
    GET  /sync                     a WebSocket for peers (websocket.py)
    GET  /health                   {"status": "ok"}; needs no key
    GET  /metrics                  numbers for Prometheus (metrics.py)
    GET  /openapi.json             this, for programs; /docs for people (docs_page.py)

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

A key is that of one app, and what is asked with it is asked of that app (tenant.py). The
administrators of the app that the Big Peer began with manage all apps, and make new ones.

What a key may do is in keys.py and permissions.py; 401 is for no valid key, 403 for one
that may not do this, 429 for too many requests, or too many wrong keys (limits.py).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from edge_peer.bigpeer import (
    access,
    admission_http,
    apps_http,
    backup_http,
    blobs,
    devices_http,
    docs_page,
    export_http,
    keys_http,
    live,
    metrics,
    openapi,
    portal,
    retention_http,
    webhooks_http,
    websocket,
)
from edge_peer.bigpeer.answers import answer, encode, json_response, refused, without_attachments
from edge_peer.bigpeer.headers import Headers
from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, statement_in, wait_for_transaction
from edge_peer.core.errors import QueryError, StorageError, StoreFull
from edge_peer.core.store.log import META

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer
    from edge_peer.bigpeer.tenant import Tenant

    Handler = Callable[[Tenant, Request, Key], Awaitable[Response]]

ENCODED_INLINE_COUNT_MAX = 1_000  # more items are put into JSON beside the event loop
VERSIONS = ("v4", "v5")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

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

    def route(
        method: str,
        path: str,
        handler: "Handler",
        described: dict[str, Any],
        versions: Sequence[str] = VERSIONS,
    ) -> None:
        """described: as openapi.py has it; versions: of the API, none for a path by itself."""

        async def respond(request: Request) -> Response:
            began_s = time.perf_counter()
            response = await _answered(big, request, handler)
            big.metrics.count(path, response.status_code, time.perf_counter() - began_s)
            return response

        for version in versions or ("",):
            whole = f"/api/{version}{path}" if version else path
            more = openapi.of_version(described, version)
            app.add_api_route(whole, respond, methods=[method], **more)

    route("POST", "/store/execute", _execute, openapi.EXECUTE)
    route("POST", "/attachments/upload", _upload, openapi.UPLOAD)
    route("GET", "/attachments/{id}", _download, openapi.DOWNLOAD)
    for method, described in (("GET", openapi.OBSERVE_BY_GET), ("POST", openapi.OBSERVE)):
        route(method, "/store/observe", live.observe, described)
    route("GET", "/store/export", export_http.export, openapi.EXPORT)
    route("GET", "/metrics", metrics.show, openapi.METRICS, versions=())
    route("GET", "/apps", _of_host(big, apps_http.list_apps), openapi.LIST_APPS)
    route("POST", "/apps", _of_host(big, apps_http.create_app), openapi.CREATE_APP)
    route("DELETE", "/apps/{appID}", _of_host(big, apps_http.delete_app), openapi.DELETE_APP)
    route("POST", "/backup", _of_host(big, backup_http.make), openapi.BACKUP)
    for method, path, handle, described in (
        ("GET", "/keys", keys_http.list_keys, openapi.LIST_KEYS),
        ("POST", "/keys", keys_http.create_key, openapi.CREATE_KEY),
        ("DELETE", "/keys/{id}", keys_http.revoke_key, openapi.REVOKE_KEY),
        ("GET", "/devices", devices_http.list_devices, openapi.DEVICES),
        ("GET", "/devices/{id}", devices_http.show_device, openapi.DEVICE),
        ("GET", "/presence", devices_http.presence, openapi.PRESENCE),
        ("POST", "/devices", admission_http.admit, openapi.ADMIT),
        ("POST", "/devices/{name}/renew", admission_http.renew, openapi.RENEW),
        ("POST", "/devices/{name}/revoke", admission_http.revoke, openapi.REVOKE_DEVICE),
        ("GET", "/certificates", admission_http.list_certificates, openapi.CERTIFICATES),
        ("GET", "/retention", retention_http.list_policies, openapi.LIST_RETENTION),
        ("PUT", "/retention/{collection}", retention_http.put, openapi.PUT_RETENTION),
        ("DELETE", "/retention/{collection}", retention_http.remove, openapi.REMOVE_RETENTION),
        ("GET", "/webhooks", webhooks_http.list_webhooks, openapi.LIST_WEBHOOKS),
        ("POST", "/webhooks", webhooks_http.create_webhook, openapi.CREATE_WEBHOOK),
        ("DELETE", "/webhooks/{id}", webhooks_http.remove_webhook, openapi.REMOVE_WEBHOOK),
        ("POST", "/webhooks/{id}/replay", webhooks_http.replay, openapi.REPLAY_WEBHOOK),
        ("GET", "/webhooks/{id}/dead", webhooks_http.list_dead, openapi.LIST_DEAD),
        ("POST", "/webhooks/{id}/dead/replay", webhooks_http.replay_dead, openapi.REPLAY_DEAD),
        ("GET", "/webhooks/{id}/deliveries", webhooks_http.list_deliveries, openapi.DELIVERIES),
    ):
        route(method, f"/apps/{{appID}}{path}", _managing(big, handle), described)

    async def health() -> Response:
        try:
            big.store.log.get(META, "")  # a look into the file
        except StorageError:
            return json_response(b'{"status":"the store failed"}', 503)
        return json_response(b'{"status":"ok"}')

    async def docs() -> Response:
        return docs_page.show(app)

    async def nothing(request: Request) -> Response:
        text = "this API has no such path; /openapi.json describes those that it has"
        return refused(Refusal(404, "path", text), None)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refused(Refusal(error.status_code, "request", str(error.detail)), None)

    async def sync(socket: WebSocket) -> None:
        await websocket.serve(big.served, socket)

    app.add_api_websocket_route(websocket.PATH, sync)
    app.add_exception_handler(HTTPException, http_error)
    app.get("/docs", include_in_schema=False)(docs)
    app.get("/health", **openapi.HEALTH)(health)
    app.api_route("/api/{path:path}", methods=_METHODS, include_in_schema=False)(nothing)
    app.mount("/", pages.app)
    app.add_middleware(Headers)
    return app


async def _answered(big: "BigPeer", request: Request, handler: "Handler") -> Response:
    """Return what the handler makes for a valid key, or the error in its shape."""
    tenant: Tenant = big
    try:
        tenant, key = access.key_of(request, big)
        return await handler(tenant, request, key)
    except Refusal as refusal:
        return refused(refusal, tenant.transaction_id())
    except StorageError:
        _logger.exception("the store failed")
        text = "the store failed; the log says how"
        return refused(Refusal(500, "storage", text), tenant.transaction_id())
    except Exception:
        _logger.exception("a request failed")
        text = "a mistake of ours; the log has it"
        return refused(Refusal(500, "internal", text), tenant.transaction_id())


def _managing(
    big: "BigPeer", handle: "Callable[[Tenant, Request], Awaitable[Response]]"
) -> "Handler":
    """Return a handler for administrators, about the app in the path."""

    async def checked(own: "Tenant", request: Request, key: Key) -> Response:
        if not key.is_administrator:
            raise Refusal(403, "forbidden", "this is for an administrator's key")
        app_id = request.path_params["appID"].lower()
        tenant = big.tenants.get(app_id) if own is big else own
        if tenant is None or app_id != tenant.app_id:
            raise Refusal(404, "app", f"this key is that of app {own.app_id}")
        return await handle(tenant, request)

    return checked


def _of_host(
    big: "BigPeer", handle: "Callable[[BigPeer, Tenant, Request, Key], Awaitable[Response]]"
) -> "Handler":
    """Return a handler about the Big Peer itself."""

    async def hosted(own: "Tenant", request: Request, key: Key) -> Response:
        return await handle(big, own, request, key)

    return hosted


async def _execute(big: "Tenant", request: Request, key: Key) -> Response:
    statement, arguments = statement_in(await body_of(request))
    await wait_for_transaction(big, request.headers)
    done = await _run(big, key, statement, blobs.with_tokens(arguments))
    if len(done["items"]) > ENCODED_INLINE_COUNT_MAX:
        return json_response(await asyncio.to_thread(encode, done))
    return json_response(encode(done))


async def _upload(big: "Tenant", request: Request, key: Key) -> Response:
    if not key.permissions.writes_something():
        raise Refusal(403, "forbidden", "this key may write nothing, so no attachment either")
    return json_response(encode(await blobs.upload(big, request)))


async def _download(big: "Tenant", request: Request, key: Key) -> Response:
    return await blobs.download(big, request.path_params["id"], key.permissions)


async def _run(
    big: "Tenant", key: Key, statement: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    try:
        if statement.lstrip()[:6].upper() == "SELECT":
            result = await big.select(statement, arguments, key.permissions)
        else:
            result = big.execute(statement, arguments, key.permissions)
    except QueryError as error:
        raise Refusal(400, "query", str(error), error.column) from error
    except RecursionError as error:
        raise Refusal(400, "query", "an argument is nested too deep") from error
    except StoreFull as error:
        raise Refusal(507, "full", f"the store is full: {error}") from error
    items = [without_attachments(item) for item in result.items]
    return answer(big.transaction_id(), result.kind, items, result.ids, warnings=result.warnings)
