"""
Forms that only our own pages can send.

 1. Every form carries a token: an HMAC keyed with the cookie that the browser holds, of
    the session or, before there is one, of the form. Another site knows neither.
 2. Where a browser says where a request comes from (Origin), that must be here. It always
    says so for a WebSocket, which no form token protects, so there it has to be said.
 3. Cookies are SameSite=Lax, and over TLS have the prefix __Host-, so that neither
    another site sends them along nor a neighbouring domain sets them.
"""

import asyncio
import hmac
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

BYTES_MAX = 65_536  # a key's permissions may be long
FIELDS_MAX = 16
WAIT_S = 30
SCOPE_KEY = "edge_peer.form_token"  # where pages find the token of their session
FIELD = "form_token"  # the hidden one of every form
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Cookie:
    """The name of one of our cookies; browsers share cookies among a host's ports."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self, connection: HTTPConnection) -> str:
        return f"__Host-{self._name}" if is_secure(connection) else self._name

    def value(self, connection: HTTPConnection) -> str:
        return connection.cookies.get(self.name(connection), "")

    def set(self, connection: HTTPConnection, response: Response, value: str) -> None:
        """No expiry: the browser forgets it when it is closed, the server when it is time."""
        response.set_cookie(
            self.name(connection),
            value,
            httponly=True,
            samesite="lax",
            secure=is_secure(connection),
        )

    def clear(self, connection: HTTPConnection, response: Response) -> None:
        if self.value(connection):
            response.delete_cookie(
                self.name(connection), secure=is_secure(connection), httponly=True
            )


def is_secure(connection: HTTPConnection) -> bool:
    return connection.url.scheme in ("https", "wss")


def is_from_here(connection: HTTPConnection) -> bool:
    """Return whether the page that sends this is one of ours, as far as the browser says."""
    origin = connection.headers.get("origin")
    if origin is None:
        return bool(connection.scope["type"] != "websocket")
    host = connection.headers.get("host", "")
    here = _place(f"{connection.url.scheme}://{host}")
    return here is not None and _place(origin) == here


def _place(url: str) -> tuple[str, int] | None:
    """Return host and port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname, port or _PORTS.get(parts.scheme, 0)


def new_cookie() -> str:
    return secrets.token_urlsafe(24)


def token_of(cookie: str) -> str:
    """Return what the forms of a page carry whose browser holds this cookie."""
    return hmac.digest(cookie.encode(errors="replace"), b"edge-peer form", "sha256").hex()


def is_token(given: str, cookie: str) -> bool:
    return bool(cookie) and hmac.compare_digest(
        given.encode(errors="replace"), token_of(cookie).encode()
    )


async def fields_of(request: Request) -> dict[str, str] | None:
    """Return a form's fields; None if it is too large or does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(WAIT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BYTES_MAX:
                    return None
        found = parse_qs(
            body.decode(errors="replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX
        )
    except (TimeoutError, ClientDisconnect, ValueError):
        return None
    return {name: values[0] for name, values in found.items()}
