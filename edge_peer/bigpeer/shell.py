"""
What the portal's plain pages have in common: which app they show, and their frame.

    ?app=APPID, or the hidden field `app` of a form; without it the Big Peer's first app
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from edge_peer.bigpeer import forms
from edge_peer.bigpeer.pages import page
from edge_peer.bigpeer.sessions import Session

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer
    from edge_peer.bigpeer.tenant import Tenant

PAGES = {
    "devices": "Devices",
    "updates": "Updates",
    "data": "Data",
    "webhooks": "Webhooks",
    "keys": "Keys",
    "apps": "Apps",
}


@dataclass(frozen=True)
class Visit:
    """One request of somebody who is signed in. fields: of the form, which is ours."""

    big: "BigPeer"
    request: Request
    session: Session
    fields: dict[str, str]

    @property
    def tenant(self) -> "Tenant":
        """Return the app that this is about."""
        return tenant_of(self.big, self.request, self.fields.get("app", ""))

    def is_form(self) -> bool:
        return self.request.method == "POST"

    def shown(self, name: str, status: int = 200, /, **values: Any) -> Response:
        """Return the page of that name."""
        tenant = self.tenant
        frame = {
            "app_id": tenant.app_id,
            "app_name": tenant.name or tenant.app_id[:8],
            "pages": PAGES,
            "here": name,
            "who": self.session.who,
            "form_token": self.request.scope[forms.SCOPE_KEY],
        }
        return page(name, status, **(frame | values))

    def back(self, name: str) -> Response:
        """Show a page anew, after what a form has changed."""
        return RedirectResponse(f"{name}?app={self.tenant.app_id}", 303)


def tenant_of(big: "BigPeer", connection: HTTPConnection, named: str = "") -> "Tenant":
    """Return the app that an address names, the first one where it names none of ours."""
    app_id = named or connection.query_params.get("app", "")
    return big.tenants.get(app_id, big)
