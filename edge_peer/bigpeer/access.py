"""
Who may see what the Big Peer has: whoever shows the API key.

A program shows it with every request (Authorization: Bearer KEY). A person shows
it once, in the form or as /?key=KEY, and the browser gets a cookie for its
session: a keyed hash of a constant, which proves the key and does not contain it.
A new key ends all sessions.
"""

import hmac
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

FORM_BYTES_MAX = 1024  # a key has 32 characters
_BEARER = {"WWW-Authenticate": "Bearer"}
_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

_SIGN_IN = (Path(__file__).parent / "sign_in.html").read_text()
_WRONG = '<p class="wrong" role="alert">That is not the key.</p>'


def is_key(given: str, key: str) -> bool:
    """Compare in a time that tells nothing about the key."""
    return hmac.compare_digest(given.encode(errors="replace"), key.encode())


def has_bearer(connection: HTTPConnection, key: str) -> bool:
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and is_key(given.strip(), key)


class Gate:
    """In front of the portal: nothing behind it is reached without the key."""

    def __init__(self, inside: ASGIApp, key: str, app_id: str) -> None:
        self._inside = inside
        self._key = key
        self._cookie = f"edge_peer_{app_id[:8]}"  # browsers share cookies among a host's ports
        self._proof = hmac.digest(key.encode(), b"edge-peer portal session", "sha256").hex()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        known = is_key(connection.cookies.get(self._cookie, ""), self._proof)
        if known and "key" not in connection.query_params:
            await self._inside(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            response = await self._sign_in(Request(scope, receive), known)
            await response(scope, receive, send)

    async def _sign_in(self, request: Request, known: bool) -> Response:
        if request.url.path != "/":
            return PlainTextResponse("the API key first, at /\n", 401, _BEARER)
        given = await _key_in_form(request) if request.method == "POST" else None
        given = request.query_params.get("key", given)
        if not known and (given is None or not is_key(given.strip(), self._key)):
            return self._form("" if given is None else _WRONG)
        response = RedirectResponse("./", 303, _PRIVATE)
        response.set_cookie(
            self._cookie,
            self._proof,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    def _form(self, message: str) -> Response:
        return HTMLResponse(_SIGN_IN.replace("{message}", message), 401, _PRIVATE | _BEARER)


async def _key_in_form(request: Request) -> str | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            return ""
    return parse_qs(body.decode(errors="replace")).get("key", [""])[0]
