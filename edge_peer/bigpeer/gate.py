"""
In front of the portal: nothing behind it is reached without a session.

    GET  /            the sign-in form (401) without a session
    GET  /?key=KEY    a session for who has an administrator's key, such as a program that
                      opens the page for somebody; the key leaves the address at once
    POST /sign-in     name and password
    GET, POST /set-up?token=TOKEN    the first person (people.py)
    POST /sign-out
    GET, POST /apps, /devices, /device, /updates, /data, /webhooks, /keys    (*_page.py)

A session's open pages (WebSockets) end with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from edge_peer.bigpeer import (
    apps_page,
    data_page,
    device_page,
    devices_page,
    forms,
    keys_page,
    updates_page,
    webhooks_page,
)
from edge_peer.bigpeer.forms import Cookie
from edge_peer.bigpeer.limits import address_of
from edge_peer.bigpeer.pages import page
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.sessions import Session
from edge_peer.bigpeer.shell import Visit

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer

LOOK_S = 5  # how often an open page's session is looked up: another process may have ended it
WRONG = "No such name and password."
STALE = "This page was too old. Please try again."
NOT_FROM_HERE = "this request comes from another site"
_PLAIN = {
    "/apps": apps_page.respond,
    "/devices": devices_page.respond,
    "/device": device_page.respond,
    "/updates": updates_page.respond,
    "/data": data_page.respond,
    "/webhooks": webhooks_page.respond,
    "/keys": keys_page.respond,
}
_SAFE = ("GET", "HEAD", "OPTIONS")
_REDIRECT = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_POLICY_VIOLATION = 1008


class Gate:
    def __init__(self, inside: ASGIApp, big: "BigPeer") -> None:
        self._inside = inside
        self._big = big
        self._session_cookie = Cookie(f"edge_peer_{big.app_id[:8]}")
        self._form_cookie = Cookie(f"edge_peer_form_{big.app_id[:8]}")
        self._pages: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/": self._first_page,
            "/sign-in": self._sign_in,
            "/set-up": self._set_up,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        is_socket = scope["type"] == "websocket"
        session = self._big.sessions.find(self._session_cookie.value(connection))
        if not forms.is_from_here(connection) and (is_socket or scope["method"] not in _SAFE):
            session, refusal = None, PlainTextResponse(NOT_FROM_HERE + "\n", 403)
            await (WebSocketClose() if is_socket else refusal)(scope, receive, send)
        elif is_socket:
            if session is None:
                await WebSocketClose()(scope, receive, send)
            else:
                await self._until_over(session, scope, receive, send)
        else:
            try:
                response = await self._answer(Request(scope, receive), session)
            except Refusal as refusal:
                response = self._refused(connection, refusal)
            await (response or self._inside)(scope, receive, send)

    async def _answer(self, request: Request, session: Session | None) -> Response | None:
        """Return None for what is inside."""
        path = request.url.path
        if path == "/" and "key" in request.query_params:
            return self._sign_in_by_key(request)
        if session is None:
            if path in self._pages:
                return await self._pages[path](request)
            return PlainTextResponse("sign in first, at /\n", 401, {"WWW-Authenticate": "Bearer"})
        if path in ("/sign-in", "/set-up"):
            return RedirectResponse("./", 303, _REDIRECT)
        request.scope[forms.SCOPE_KEY] = forms.token_of(self._session_cookie.value(request))
        if path not in _PLAIN and path != "/sign-out":
            return None
        fields: dict[str, str] = {}
        if request.method == "POST":
            fields = await forms.fields_of(request) or {}
            given = fields.get(forms.FIELD, "")
            if not forms.is_token(given, self._session_cookie.value(request)):
                return PlainTextResponse("this form is not from one of our pages\n", 403)
        if path in _PLAIN:
            return await _PLAIN[path](Visit(self._big, request, session, fields))
        return self._sign_out(request, session)

    # Before there is a session

    async def _first_page(self, request: Request) -> Response:
        return self._form(request, "sign_in")

    async def _sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return RedirectResponse("./", 303, _REDIRECT)
        fields = await self._own_form(request)
        if fields is None:
            return self._form(request, "sign_in", STALE)
        address = address_of(request.client)
        self._big.limits.check_wrong(address)
        name = fields.get("name", "")
        if not await self._big.people.knows(name, fields.get("password", "")):
            self._big.limits.was_wrong(address)
            return self._form(request, "sign_in", WRONG)
        return self._begin(request, person=name)

    def _sign_in_by_key(self, request: Request) -> Response:
        key = self._big.keys.find(request.query_params["key"].strip())
        if key is None or not key.is_administrator:
            self._big.limits.was_wrong(address_of(request.client))
            return self._form(request, "sign_in", "That is not the key of an administrator.")
        return self._begin(request, key_id=key.id)

    async def _set_up(self, request: Request) -> Response:
        people = self._big.people
        fields = await self._own_form(request) if request.method == "POST" else None
        token = (fields or request.query_params).get("token", "")
        if not people.is_set_up_token(token):
            self._big.limits.was_wrong(address_of(request.client))
            return self._form(request, "sign_in", "That set-up address is not valid any more.")
        if request.method != "POST":
            return self._form(request, "set_up", token=token)
        if fields is None:
            return self._form(request, "set_up", STALE, token)
        name, password = fields.get("name", "").strip(), fields.get("password", "")
        try:
            if password != fields.get("again"):
                raise ValueError("the two passwords differ")
            await people.set_up(token, name, password)
        except ValueError as error:
            return self._form(request, "set_up", f"{str(error)[0].upper()}{str(error)[1:]}.", token)
        return self._begin(request, person=name)

    def _refused(self, request: HTTPConnection, refusal: Refusal) -> Response:
        sentence = str(refusal)
        response = self._form(request, "sign_in", f"{sentence[0].upper()}{sentence[1:]}.")
        response.status_code = refusal.status
        response.headers.update(refusal.headers)
        return response

    def _form(
        self, request: HTTPConnection, name: str, message: str = "", token: str = ""
    ) -> Response:
        cookie = self._form_cookie.value(request) or forms.new_cookie()
        big = self._big
        status = 200 if name == "set_up" and not message else 401
        response = page(
            name, status, message=message, token=token,
            form_token=forms.token_of(cookie), is_new=not big.people.any(),
        )  # fmt: skip
        self._form_cookie.set(request, response, cookie)
        return response

    async def _own_form(self, request: Request) -> dict[str, str] | None:
        fields = await forms.fields_of(request)
        given = (fields or {}).get(forms.FIELD, "")
        return fields if forms.is_token(given, self._form_cookie.value(request)) else None

    # Sessions

    def _begin(
        self, request: Request, person: str | None = None, key_id: str | None = None
    ) -> Response:
        """A new token with each sign-in: one that somebody planted before proves nothing."""
        response = RedirectResponse("./", 303, _REDIRECT)
        token = self._big.sessions.begin(person, key_id)
        self._session_cookie.set(request, response, token)
        self._form_cookie.clear(request, response)
        return response

    def _sign_out(self, request: Request, session: Session) -> Response:
        response = RedirectResponse("./", 303, _REDIRECT)
        if request.method == "POST":
            self._big.sessions.end(session)
            self._session_cookie.clear(request, response)
        return response

    async def _until_over(
        self, session: Session, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve an open page as long as its session lives."""
        inside = asyncio.ensure_future(self._inside(scope, receive, send))
        watch = asyncio.create_task(self._end_of(session))
        try:
            await asyncio.wait({inside, watch}, return_when=asyncio.FIRST_COMPLETED)
            if inside.done():
                inside.result()
                return
            inside.cancel()
            with suppress(asyncio.CancelledError):
                await inside
            with suppress(Exception):  # the browser may have left meanwhile
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        finally:
            inside.cancel()
            watch.cancel()

    async def _end_of(self, session: Session) -> None:
        changed = asyncio.Event()
        sessions = self._big.sessions
        sessions.watch(session, changed.set)
        try:
            while sessions.look(session.digest) is not None:
                changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await changed.wait()
        finally:
            sessions.unwatch(session, changed.set)
