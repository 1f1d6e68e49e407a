"""
The Big Peer: takes every change of every Small Peer, and lets people and programs at it.

To its neighbours it is a peer like any other, one that wants everything, never
evicts, and whose knowledge is therefore what is durable. One process: the
stores of its apps (tenant.py), sync over TCP and MQTT (ingress.py), the HTTP API (http.py)
and the portal (portal.py), all in one event loop. So whatever takes long in one of them makes the
others wait; a SELECT does not (slices.py).
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from errno import EADDRINUSE
from typing import Any

import uvicorn
import zeroconf

from edge_peer.bigpeer import apps, ingress, settings
from edge_peer.bigpeer.connection import Connection
from edge_peer.bigpeer.http import make_app
from edge_peer.bigpeer.limits import Limits
from edge_peer.bigpeer.people import People
from edge_peer.bigpeer.sessions import Sessions
from edge_peer.bigpeer.tenant import STOP_LIMIT_S, Tenant
from edge_peer.bigpeer.tls import Certificate
from edge_peer.core.errors import ConfigError
from edge_peer.host import system
from edge_peer.host.announcement import Announcement, is_of_use
from edge_peer.peer import Links

HTTP_BACKLOG = 128
WEBSOCKET_BYTES_MAX = 1 << 20  # what a portal page sends is far smaller


class BigPeer(Tenant):
    """The app of its data folder, and the host of further ones (`tenants`, by appID)."""

    def __init__(
        self, options: settings.Settings, now_ms: Callable[[], float] = system.now_ms
    ) -> None:
        """Open the stores. Raises ConfigError and StorageError with what to mend.

        now_ms: what the rate limits go by.
        """
        self.options = options = settings.completed(options)
        super().__init__(options.data, options.app_id, options.store)
        self.certificate = Certificate(options.tls) if options.tls else None
        self.limits = Limits(now_ms)
        self.people = People(self.vault, system.wall_ms)
        self.sessions = Sessions(self.vault, system.wall_ms)
        self.metrics.add_sessions(self.sessions.count)
        self.http_port = options.http_port
        self.sync_port = options.sync_port
        self.started = asyncio.Event()  # set when both ports answer; then their numbers are known
        self.tenants: dict[str, Tenant] = {self.app_id: self}
        apps.sweep(options.data)
        for folder in apps.folders(options.data):
            self.tenants[folder.name] = Tenant(folder, folder.name, options.store)
        self._tasks: dict[asyncio.Task[None], str] = {}  # and of which app each is
        self._announcement: Announcement | None = None

    def served(self) -> list[Links]:
        """Return the links of each app."""
        return [tenant.links for tenant in self.tenants.values()]

    async def create_app(self, name: str, passphrase: str | None) -> Tenant:
        """Make a new app and serve it. Raises ConfigError and StorageError."""
        folder = await asyncio.to_thread(apps.found, self.options.data, name, passphrase)
        tenant = Tenant(folder, folder.name, self.options.store)
        self.tenants[folder.name] = tenant
        tenant.sync_port = self.sync_port
        self._start(tenant)
        await self._announce([tenant])
        return tenant

    async def delete_app(self, app_id: str) -> None:
        """Delete an app with all that it has, for good. Raises ConfigError."""
        tenant = self.tenants[app_id]
        if tenant is self:
            raise ConfigError("the app that a Big Peer began with cannot be deleted")
        if self.options.store:
            text = "its documents are in PostgreSQL: stop all that share it, drop the schema "
            raise ConfigError(text + f"edge_{app_id}, and move {tenant.folder} away")
        del self.tenants[app_id]
        tasks = [task for task, of in self._tasks.items() if of == app_id]
        for task in tasks:
            del self._tasks[task]  # whose end is none of the Big Peer's
            task.cancel()
        await asyncio.gather(tenant.close_links(), *tasks, return_exceptions=True)
        tenant.close()
        await asyncio.to_thread(apps.remove, tenant.folder)

    def _start(self, tenant: Tenant) -> None:
        for task in tenant.start(self.options.mqtt):
            self._tasks[task] = tenant.app_id

    async def run(self) -> None:
        """Serve until cancelled, then stop in order and close the stores; call it once.

        Raises OSError, with a sentence for the operator, when a port cannot be had.
        """
        try:
            await self._serve()
        finally:
            self.close_all()

    def close_all(self) -> None:
        """Close all stores; for a Big Peer that never ran."""
        for tenant in self.tenants.values():
            tenant.close()

    async def _serve(self) -> None:
        options = self.options
        http_socket = _bind(options.host, options.http_port)
        self.http_port = http_socket.getsockname()[1]
        try:
            listener = await ingress.listen(self.served, options.host, options.sync_port)
        except (OSError, OverflowError) as error:
            http_socket.close()
            raise _no_port("sync", options.host, options.sync_port, error) from error
        self.sync_port = listener.sockets[0].getsockname()[1]
        for tenant in self.tenants.values():
            tenant.sync_port = self.sync_port
        web = WebServer(make_app(self), self.started.set, self.certificate, options.trusted_proxies)
        serving = asyncio.create_task(web.serve(sockets=[http_socket]))
        if self.certificate is not None:
            self._tasks[asyncio.create_task(self.certificate.keep())] = ""
        for tenant in self.tenants.values():
            self._start(tenant)
        try:
            await self._announce(self.tenants.values())
            while not serving.done():
                done, _ = await asyncio.wait(
                    {serving, *self._tasks}, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done & {serving, *self._tasks}:
                    task.result()
        finally:
            listener.close()
            if self._announcement is not None:
                await self._announcement.close()
            await asyncio.gather(*(tenant.close_links() for tenant in self.tenants.values()))
            web.should_exit = True
            for task in self._tasks:
                task.cancel()
            await asyncio.wait({serving, *self._tasks})

    async def _announce(self, tenants: Iterable[Tenant]) -> None:
        """Let peers on this network find these apps; without one all else works."""
        if not is_of_use(self.options.host):
            return
        try:
            if self._announcement is None:
                self._announcement = Announcement(self.options.host)
            for tenant in tenants:
                local = tenant.links.local
                await self._announcement.add(
                    local.store.author, local.keyring.app_id, self.sync_port, waits=True
                )
        except (OSError, zeroconf.Error) as error:
            system.log(f"multicast DNS: {error}")


class WebServer(uvicorn.Server):
    """uvicorn as a part of this program: it leaves signals, and the process, alone."""

    def __init__(
        self,
        app: Any,
        on_started: Callable[[], None],
        certificate: Certificate | None,
        trusted_proxies: Sequence[str],
    ) -> None:
        """trusted_proxies: whose X-Forwarded-For and X-Forwarded-Proto count; nobody else's do."""
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="on",
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                log_config=None,
                log_level="warning",
                access_log=False,  # its lines would hold the key of /?key=…
                server_header=False,
                ws_max_size=WEBSOCKET_BYTES_MAX,
                http=Connection,
                timeout_graceful_shutdown=STOP_LIMIT_S,
            )
        )
        self._on_started = on_started
        if certificate is not None:
            self.config.load()
            self.config.ssl = certificate.context

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        except SystemExit as error:
            raise RuntimeError("the web server did not start; the log says why") from error

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what asyncio.Runner(loop_factory=…) takes: uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=HTTP_BACKLOG)
    except (OSError, OverflowError) as error:  # the latter: a port above 65535
        raise _no_port("HTTP", host, port, error) from error


def _no_port(what: str, host: str, port: int, error: Exception) -> OSError:
    taken = isinstance(error, OSError) and error.errno == EADDRINUSE
    reason = "it is taken" if taken else str(error)
    return OSError(f"cannot listen for {what} on {host}, port {port}: {reason}")
