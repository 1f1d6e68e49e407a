"""
The portal's plain pages: sign-in, set-up, keys. They need no script, and have none.
"""

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent / "pages"
_STYLE = (_FOLDER / "pages.css").read_text()
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:;"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
_templates = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(name: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """Return the page of that name; values: what its template names."""
    text = _templates.get_template(f"{name}.html").render(style=_STYLE, **values)
    return HTMLResponse(text, status, HEADERS)
