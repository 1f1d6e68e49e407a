"""
The Big Peer: takes every change of every Small Peer, and lets people and programs at it.

To its neighbours it is a peer like any other, one that wants everything, never
evicts, and whose knowledge is therefore what is durable. One process: the
store, sync over TCP and MQTT (ingress.py), the HTTP API (http.py) and the portal
(portal.py), all in one event loop. So whatever takes long in one of them makes the
others wait: a statement, above all a SELECT that must look at a whole large
collection, holds the loop until it is done.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from errno import EADDRINUSE
from typing import Any

import uvicorn

from edge_peer.bigpeer import ingress, settings
from edge_peer.bigpeer.connection import Connection
from edge_peer.bigpeer.delivery import Deliverer
from edge_peer.bigpeer.http import make_app
from edge_peer.bigpeer.limits import Limits
from edge_peer.bigpeer.live import Streams
from edge_peer.bigpeer.metrics import Metrics
from edge_peer.bigpeer.people import People
from edge_peer.bigpeer.permissions import EVERYTHING, Permissions
from edge_peer.bigpeer.registrar import INTERVAL_S, Registrar
from edge_peer.bigpeer.scoped import ScopedExecutor
from edge_peer.bigpeer.sessions import Sessions
from edge_peer.bigpeer.tls import Certificate
from edge_peer.bigpeer.vault import Vault
from edge_peer.bigpeer.webhooks import WebhookFile, Webhooks
from edge_peer.core.errors import EdgeError
from edge_peer.core.execute import Executor, Result
from edge_peer.core.messages import WANTS_ALL
from edge_peer.core.session import Local
from edge_peer.core.store import Store
from edge_peer.guarding import open_guard
from edge_peer.host import codec, storage, system
from edge_peer.peer import Links, open_keyring
from edge_peer.security.certificate import EPOCH_S

HTTP_BACKLOG = 128
WEBSOCKET_BYTES_MAX = 1 << 20  # what a portal page sends is far smaller
STOP_LIMIT_S = 3  # how long a stop waits for answers and goodbyes that are under way
STOP_POLL_S = 0.01


class BigPeer:
    def __init__(
        self, options: settings.Settings, now_ms: Callable[[], float] = system.now_ms
    ) -> None:
        """Open the store. Raises ConfigError and StorageError with what to mend.

        now_ms: what the rate limits go by.
        """
        config = settings.load(options)
        keyring = open_keyring(config.identity, system)
        self.options = options = settings.completed(options)
        self.certificate = Certificate(options.tls) if options.tls else None
        self.vault = Vault(options.data / settings.DOORS_FILE)
        self.keys = settings.open_keys(options.data, self.vault)
        self.limits = Limits(now_ms)
        self.people = People(self.vault, system.wall_ms)
        self.sessions = Sessions(self.vault, system.wall_ms)
        self.app_id = keyring.app_id.hex()
        self.store = Store(
            lambda evict, before_erase: storage.open_log(config.storage, evict, before_erase),
            keyring.certificate.key,
            system.wall_ms,
            system.entropy,
            keeps_all=True,
        )
        self.upload_count = 0  # under way
        self.webhooks = Webhooks(WebhookFile(options.data / settings.WEBHOOKS_FILE), system.wall_ms)
        self.deliverer = Deliverer(self.store, self.webhooks, system.wall_ms)
        self.streams = Streams()
        self.metrics = Metrics(self)
        self._executor = Executor(self.store, codec)
        self.links = Links(
            Local(keyring, WANTS_ALL, self.store, self._executor.matcher, system.entropy), system
        )
        self.guard = open_guard(self.links, codec, config.identity)
        folder = options.data / settings.APP_FOLDER
        self._registrar = Registrar(folder, self.guard) if folder.exists() else None
        self.http_port = options.http_port
        self.sync_port = options.sync_port
        self.started = asyncio.Event()  # set when both ports answer; then their numbers are known
        self._committed = asyncio.Event()
        self.store.on_commit(lambda puts, gone: self._committed.set())

    def execute(
        self,
        statement: str,
        arguments: dict[str, Any] | None = None,
        permissions: Permissions = EVERYTHING,
    ) -> Result:
        """Run one DQL statement, durably.

        Raises QueryError, Refusal for what the permissions do not allow, and StoreFull
        with nothing changed.
        """
        if permissions == EVERYTHING:
            return self._executor.execute(statement, arguments)
        return ScopedExecutor(self.store, codec, permissions).execute(statement, arguments)

    def transaction_id(self) -> int:
        """Return the number of the newest change; it only rises."""
        return self.store.arrival

    async def wait_for_transaction(self, number: int) -> None:
        """Return as soon as the store has reached that transaction."""
        while self.transaction_id() < number:
            self._committed.clear()
            await self._committed.wait()

    async def run(self) -> None:
        """Serve until cancelled, then stop in order and close the store; call it once.

        Raises OSError, with a sentence for the operator, when a port cannot be had.
        """
        try:
            await self._serve()
        finally:
            self.close()

    def close(self) -> None:
        """Close the store; for a Big Peer that never ran."""
        try:
            self.store.save()
        except EdgeError as error:  # older vectors are safe
            system.log(f"the last checkpoint failed: {error}")
        close = getattr(self.store.log, "close", None)  # a board's log has nothing to close
        if close is not None:
            close()
        self.vault.close()
        if self._registrar is not None:
            self._registrar.close()
        self.webhooks.close()

    async def _serve(self) -> None:
        options = self.options
        http_socket = _bind(options.host, options.http_port)
        self.http_port = http_socket.getsockname()[1]
        try:
            listener = await ingress.listen(self.links, options.host, options.sync_port)
        except (OSError, OverflowError) as error:
            http_socket.close()
            raise _no_port("sync", options.host, options.sync_port, error) from error
        self.sync_port = listener.sockets[0].getsockname()[1]
        web = WebServer(make_app(self), self.started.set, self.certificate, options.trusted_proxies)
        tasks = [asyncio.create_task(web.serve(sockets=[http_socket]))]
        tasks.append(asyncio.create_task(self.deliverer.run()))
        if self.certificate is not None:
            tasks.append(asyncio.create_task(self.certificate.keep()))
        if options.mqtt is not None:
            mqtt = ingress.MqttIngress(self.links, options.mqtt)
            tasks.append(asyncio.create_task(mqtt.run()))
        if self._registrar is not None:
            tasks.append(asyncio.create_task(self._register(self._registrar)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            listener.close()
            await self._close_links()
            web.should_exit = True
            for task in tasks[1:]:
                task.cancel()
            await asyncio.wait(tasks)

    async def _register(self, registrar: Registrar) -> None:
        while True:
            try:
                registrar.tick(system.wall_ms() // 1000 - EPOCH_S)
            except EdgeError as error:  # the ledger is busy, or the store is full: later
                system.log(f"renewing and revoking: {error}")
            await asyncio.sleep(INTERVAL_S)

    async def _close_links(self) -> None:
        """Say goodbye on every link and wait until they have gone, a little while at most."""
        until_ms = system.now_ms() + 1000 * STOP_LIMIT_S
        for pump in self.links.pumps:
            pump.session.close("the Big Peer stops")
            pump.wake()
        while self.links.pumps and system.now_ms() < until_ms:
            await asyncio.sleep(STOP_POLL_S)


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
