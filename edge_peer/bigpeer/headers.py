"""
What every answer tells a browser not to do: guess types, show us in a frame, send where
it was to others, load from elsewhere.

NiceGUI's page compiles its templates in the browser, so its policy has to allow that
('unsafe-eval', and scripts in the page); the plain pages (pages.py) have a policy of their own
that allows no script at all, and API answers are not pages.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HSTS_S = 180 * 86_400
_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_API = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_PORTAL = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval';"
        " style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:;"
        " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}
_API_PATHS = ("/api/", "/health", "/metrics", "/openapi.json")


class Headers:
    """In front of the whole web application; what an answer has already stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _headers_for(scope).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _headers_for(scope: Scope) -> dict[str, str]:
    found = _EVERYWHERE | (_API if scope["path"].startswith(_API_PATHS) else _PORTAL)
    if scope["scheme"] == "https":
        found["Strict-Transport-Security"] = f"max-age={HSTS_S}"
    return found
