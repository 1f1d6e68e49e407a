"""
The portal: one live page about the devices, their readings and the links.

The page asks the feed for news every REFRESH_S and sends the browser only the
pieces that have changed, so a burst of documents is one update. NiceGUI brings
everything that the browser needs; nothing comes from elsewhere.

NiceGUI's pages belong to the process, not to an application. They are set up once,
and learn from the request which Big Peer they show.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from fastapi import FastAPI, Request
from nicegui import ui
from starlette.datastructures import URL
from starlette.types import Receive, Scope, Send

from edge_peer.bigpeer import forms, mesh_view, views
from edge_peer.bigpeer.devices_http import graph_of
from edge_peer.bigpeer.feed import Feed
from edge_peer.bigpeer.gate import Gate
from edge_peer.bigpeer.shell import PAGES, tenant_of
from edge_peer.host import codec, system

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer
    from edge_peer.bigpeer.tenant import Tenant

REFRESH_S = 0.5
MESH_MS = 2_000  # between two looks at the whole graph
RECONNECT_S = 10  # how long the server keeps a page whose browser is gone
FIRST_COLLECTION = "readings"  # shown at first, where there is one
_SCOPE_KEY = "edge_peer.portal"
_CSS = (Path(__file__).parent / "portal.css").read_text()
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g stroke="#0b7285" '
    'stroke-width="2.5"><path d="M16 16 6 7M16 16 27 9M16 16 14 28"/></g><g fill="#0b7285">'
    '<circle cx="16" cy="16" r="6"/><circle cx="6" cy="7" r="3.5"/><circle cx="27" cy="9" r="3.5"/>'
    '<circle cx="14" cy="28" r="3.5"/></g></svg>'
)


class Portal:
    """The portal of one Big Peer: an ASGI application behind its gate."""

    def __init__(self, big: "BigPeer") -> None:
        self.big = big
        self.app = Gate(self._serve, big)
        self._feeds: WeakKeyDictionary[Tenant, Feed] = WeakKeyDictionary()  # somebody has looked

    def feed_of(self, tenant: "Tenant") -> Feed:
        if tenant not in self._feeds:
            self._feeds[tenant] = Feed(tenant.store, codec.unpack)
        return self._feeds[tenant]

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Start NiceGUI with the application that carries the portal, and stop it with that."""
        site = _site()
        async with site.router.lifespan_context(site):
            yield

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_SCOPE_KEY] = self
        await _site()(scope, receive, send)


@cache
def _site() -> FastAPI:
    logging.getLogger("nicegui").setLevel(logging.ERROR)  # it warns of every path it lacks
    site = FastAPI(openapi_url=None)
    ui.page("/")(_page)
    ui.run_with(
        site,
        title="edge-peer",
        favicon=_ICON,
        dark=None,  # as the browser likes it
        language="en-US",
        tailwind=False,
        reconnect_timeout=RECONNECT_S,
        show_welcome_message=False,
    )
    return site


def _page(request: Request) -> None:
    portal: Portal = request.scope[_SCOPE_KEY]
    tenant = tenant_of(portal.big, request)
    page = Page(portal, tenant, request.base_url, request.scope[forms.SCOPE_KEY])
    ui.timer(REFRESH_S, page.refresh)


class Page:
    """One open page; `refresh` brings it up to date."""

    def __init__(self, portal: Portal, tenant: "Tenant", site: URL, form_token: str) -> None:
        """site: as the browser calls this server; form_token: of its session (forms.py)."""
        self._host = portal.big.options.host
        self._tenants = portal.big.tenants
        self._big = tenant
        self._feed = portal.feed_of(tenant)
        self._mesh_drawn: Any = None
        self._mesh_due_ms = 0
        self._drawn: tuple[Any, ...] = ()  # what the chart shows
        ui.add_css(_CSS)
        with ui.element("main").classes("portal"):
            self._build(site, form_token)

    async def refresh(self) -> None:
        if self._tenants.get(self._big.app_id) is not self._big:  # it was deleted
            ui.navigate.to("./apps")
            return
        await self._feed.catch_up()
        devices = self._feed.devices()
        empty = not devices and not self._big.links.pumps
        self._steps.set_visibility(empty)
        self._content.set_visibility(not empty)
        if not empty:
            neighbours = {pump.session.neighbour for pump in self._big.links.pumps}
            linked = frozenset(neighbours - {b""})  # which a link has until it is open
            moment = views.Moment(system.wall_ms(), self._big.store.author, linked)
            links = self._big.links.status()
            count = sum(one.author != moment.own_author for one in devices)
            _show(self._tiles, views.tiles(self._facts(count, len(linked), links)))
            _show(self._devices, views.devices(devices, moment, self._feed.complete))
            _show(self._links, views.links(links))
            self._refresh_chart()
            if system.now_ms() >= self._mesh_due_ms:
                self._mesh_due_ms = system.now_ms() + MESH_MS
                presence = graph_of(self._big.links.presence())
                self._refresh_mesh(mesh_view.graph(presence, devices))

    def _build(self, site: URL, form_token: str) -> None:
        big = self._big
        with ui.element("header").classes("top"):
            _html("edge-peer", "h1")
            name = "" if big.name is None else f"{escape(big.name)} "
            _html(f"Big Peer of app {name}<code>{big.app_id}</code>").classes("app")
            ui.element("span").classes("state").props("role=status")
            for page, title in PAGES.items():
                ui.link(title, f"./{page}?app={big.app_id}").classes("way")
            with ui.element("form").props("method=post action=./sign-out"):
                ui.element("input").props(f"type=hidden name={forms.FIELD} value={form_token}")
                _html("Sign out", "button").classes("way")
        local = self._host in ("localhost", "::1") or self._host.startswith("127.")
        host, address = site.hostname or "localhost", str(site).rstrip("/")
        steps = views.first_steps(big.app_id, address, host, big.sync_port, local)
        self._steps = _html(steps).classes("card steps")
        self._steps.set_visibility(False)
        with ui.element("div").classes("stale") as self._content:
            self._content.set_visibility(False)
            self._tiles = _html("").classes("tiles")
            with ui.element("section").classes("card"):
                with ui.element("div").classes("bar-of-card"):
                    _html("Readings", "h2")
                    self._collection = _choice("Collection", self._refresh_chart)
                    self._field = _choice("Field", self._refresh_chart)
                self._chart = ui.echart(views.chart({})).classes("chart")
                self._no_numbers = _html(
                    "No document with a number has arrived yet; the chart begins with the first.",
                    "p",
                ).classes("note")
            with ui.element("section").classes("card"):
                _html("Mesh", "h2")
                self._mesh = ui.echart({"series": []}).classes("chart mesh")
            with ui.element("section").classes("card"):
                _html("Devices", "h2")
                self._devices = _html("").classes("table")
            with ui.element("section").classes("card"):
                _html("Open links", "h2")
                self._links = _html("").classes("table")

    def _facts(
        self, device_count: int, linked_count: int, links: list[dict[str, Any]]
    ) -> list[tuple[str, str, str]]:
        status = self._big.store.status()
        media = Counter(link["medium"] for link in links)
        used = f"{views.size(status['used_bytes'])} of {views.size(status['quota_bytes'])}"
        rate = self._feed.rate()
        return [
            ("Documents", views.count(status["documents"]), used),
            ("Devices", views.count(device_count), f"{linked_count} linked directly"),
            ("Changes a second", f"{rate:.1f}" if rate < 10 else views.count(rate), "last 10 s"),
            (
                "Open links",
                views.count(len(links)),
                " · ".join(f"{name} {count}" for name, count in sorted(media.items())) or "none",
            ),
            ("Transaction", views.count(self._big.transaction_id()), "the newest change"),
        ]

    def _refresh_mesh(self, graph: dict[str, Any]) -> None:
        """Draw the map anew where it has changed: what stands still must not jump."""
        if self._mesh_drawn != graph:
            self._mesh_drawn = graph
            self._mesh.options.clear()
            self._mesh.options.update(graph)
            self._mesh.update()

    def _refresh_chart(self) -> None:
        collections = self._feed.collections()
        self._chart.set_visibility(bool(collections))
        self._no_numbers.set_visibility(not collections)
        if not collections:
            return
        first = FIRST_COLLECTION if FIRST_COLLECTION in collections else collections[0]
        collection = _offer(self._collection, collections, first)
        fields = self._feed.fields(collection)
        field = _offer(self._field, fields, fields[0])
        if self._drawn != (collection, field, self._feed.version):
            self._drawn = (collection, field, self._feed.version)
            self._chart.options.clear()
            self._chart.options.update(views.chart(self._feed.lines(collection, field)))
            self._chart.update()


def _html(content: str, tag: str = "div") -> ui.html:
    return ui.html(content, sanitize=True, tag=tag)


def _show(element: ui.html, content: str) -> None:
    if element.content != content:
        element.set_content(content)


def _choice(label: str, on_change: Any) -> ui.select:
    select = ui.select([], label=label, on_change=lambda: on_change())
    return select.classes("choice").props("dense outlined options-dense")


def _offer(select: ui.select, options: list[str], first: str) -> str:
    """Show the options; return the chosen one, `first` when there is none yet."""
    chosen: str = select.value if select.value in options else first
    if select.options != options or select.value != chosen:
        select.set_options(options, value=chosen)
    return chosen
