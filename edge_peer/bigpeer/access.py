"""
Who is asking: somebody who shows an API key.

A program shows it with every request (Authorization: Bearer KEY). A person shows
an administrator's once, in the form or as /?key=KEY, and the browser gets a cookie for its
session: the key's id and a hash that proves the key and does not contain it. When the
key ends, so do its sessions.
"""

import hmac
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from edge_peer.bigpeer.keys import Key, Keys
from edge_peer.bigpeer.refusal import Refusal

FORM_BYTES_MAX = 1024  # a key has 32 characters
_BEARER = {"WWW-Authenticate": "Bearer"}
_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

_SIGN_IN = (Path(__file__).parent / "sign_in.html").read_text()
_WRONG = '<p class="wrong" role="alert">That is not the key of an administrator.</p>'


def key_of(connection: HTTPConnection, keys: Keys) -> Key:
    """Return the valid key that a program shows. Raises Refusal."""
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    key = keys.find(given.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise Refusal(401, "key", "this needs the header Authorization: Bearer KEY, a valid one")
    return key


class Gate:
    """In front of the portal: nothing behind it is reached without an administrator's key."""

    def __init__(self, inside: ASGIApp, keys: Keys, app_id: str) -> None:
        self._inside = inside
        self._keys = keys
        self._cookie = f"edge_peer_{app_id[:8]}"  # browsers share cookies among a host's ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        known = self._is_session(connection.cookies.get(self._cookie, ""))
        if known and "key" not in connection.query_params:
            await self._inside(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            response = await self._sign_in(Request(scope, receive))
            await response(scope, receive, send)

    def _is_session(self, cookie: str) -> bool:
        key = self._keys.by_id(cookie.partition(".")[0])
        return key is not None and hmac.compare_digest(
            cookie.encode(errors="replace"), _proof(key).encode()
        )

    async def _sign_in(self, request: Request) -> Response:
        if request.url.path != "/":
            return PlainTextResponse("the API key first, at /\n", 401, _BEARER)
        given = await _key_in_form(request) if request.method == "POST" else None
        given = request.query_params.get("key", given)
        key = None if given is None else self._keys.find(given.strip())
        if key is None or not key.is_administrator:
            return self._form("" if given is None else _WRONG)
        response = RedirectResponse("./", 303, _PRIVATE)
        response.set_cookie(
            self._cookie,
            _proof(key),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    def _form(self, message: str) -> Response:
        return HTMLResponse(_SIGN_IN.replace("{message}", message), 401, _PRIVATE | _BEARER)


def _proof(key: Key) -> str:
    return f"{key.id}.{hmac.digest(key.digest, b'edge-peer portal session', 'sha256').hex()}"


async def _key_in_form(request: Request) -> str | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            return ""
    return parse_qs(body.decode(errors="replace")).get("key", [""])[0]
