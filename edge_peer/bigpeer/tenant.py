"""
One app of a Big Peer: its documents, keys and webhooks, in a folder of their own.

A Big Peer has one in its data folder, and one more in each folder of DATA/apps/. Nothing
is shared between two of them but the process and its ports: who comes in at a port is led
to the app whose key he shows (access.py), or which his handshake is of (reception.py).
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_peer.bigpeer import backup, ingress, settings, slices, stores
from edge_peer.bigpeer.collector import Collector
from edge_peer.bigpeer.delivery import Deliverer
from edge_peer.bigpeer.history import History
from edge_peer.bigpeer.lease import Lease
from edge_peer.bigpeer.live import Streams
from edge_peer.bigpeer.metrics import Metrics
from edge_peer.bigpeer.permissions import EVERYTHING, Permissions
from edge_peer.bigpeer.publisher import Publisher
from edge_peer.bigpeer.registrar import INTERVAL_S, Registrar
from edge_peer.bigpeer.retention import Retention
from edge_peer.bigpeer.scoped import ScopedExecutor
from edge_peer.bigpeer.side_file import opened
from edge_peer.bigpeer.sightings import SightingFile, Sightings
from edge_peer.bigpeer.telling import Teller
from edge_peer.bigpeer.vault import Vault
from edge_peer.bigpeer.webhooks import WebhookFile, Webhooks
from edge_peer.core.errors import EdgeError
from edge_peer.core.query.execute import Executor, Result
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.core.sync.session import Local
from edge_peer.guarding import open_guard
from edge_peer.host import codec, system
from edge_peer.peer import Links, open_keyring
from edge_peer.security.certificate import EPOCH_S
from edge_peer.security.guard import LIST_ID

STOP_LIMIT_S = 3  # how long a stop waits for answers and goodbyes that are under way
STOP_POLL_S = 0.01


class Tenant:
    sync_port = settings.SYNC_PORT  # where its devices find it, over TCP

    def __init__(self, folder: Path, app_id: str = "", database: str = "") -> None:
        """Open what is in the folder of an app, or make it.

        app_id: which app it must be, if that is known. database: the URL of PostgreSQL,
        if the documents are there. Raises ConfigError and
        StorageError with what to mend.
        """
        config = settings.load(folder, app_id, database)
        keyring = open_keyring(config.identity, system)
        self.folder = folder
        self.app_id = keyring.app_id.hex()
        backup.renewed(folder, lambda: backup.open_copy(config.storage), system.entropy)
        self.store = stores.open_store(
            config.storage, keyring.certificate.key, system.wall_ms, system.entropy
        )
        base = self.store.base
        self.vault = opened(Vault, folder / settings.DOORS_FILE, base)
        self.keys = settings.open_keys(folder, self.vault)
        self.upload_count = 0  # under way
        webhooks = opened(WebhookFile, folder / settings.WEBHOOKS_FILE, base)
        self.webhooks = Webhooks(webhooks, system.wall_ms)
        teller = Teller(self.app_id, self.webhooks, self._history())
        self.deliverer = Deliverer(self.store, self.webhooks, teller, system.wall_ms)
        self.streams = Streams()
        self.metrics = Metrics(self)
        self._executor = Executor(self.store, codec)
        self._sliced = slices.sliced(self.store)
        self._selecting = Executor(self._sliced, codec)
        self.links = Links(
            Local(keyring, WANTS_ALL, self.store, self._executor.matcher, system.entropy), system
        )
        self.guard = open_guard(self.links, codec, config.identity)
        self.store.on_entries = self._hear_list
        file = opened(SightingFile, folder / settings.SIGHTINGS_FILE, base)
        self.sightings = Sightings(self.links, system.wall_ms, file)
        self.authority = folder / settings.APP_FOLDER  # where it lies, if it is here
        has_authority = self.authority.exists()
        self._registrar = Registrar(self.authority, self.guard) if has_authority else None
        self.retention = Retention(self)
        self.collector = Collector(self.store, system.wall_ms)
        self.signing = asyncio.Lock()  # with the authority's key (admission.py)
        self._committed = asyncio.Event()
        self.store.on_commit(lambda puts, gone: self._committed.set())

    @property
    def name(self) -> str | None:
        """Return what people call the app, if its authority is here."""
        return None if self._registrar is None else self._registrar.name

    @property
    def is_locked(self) -> bool:
        """Return whether its authority is here and takes a passphrase."""
        return self._registrar is not None and not self._registrar.can_renew

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
        with self.store.turn():
            if permissions == EVERYTHING:
                return self._executor.execute(statement, arguments)
            return ScopedExecutor(self.store, codec, permissions).execute(statement, arguments)

    async def select(
        self, statement: str, arguments: dict[str, Any], permissions: Permissions
    ) -> Result:
        """Run a SELECT as `execute` does, while everybody else has their turn."""
        executor = self._selecting
        if permissions != EVERYTHING:
            executor = ScopedExecutor(self._sliced, codec, permissions)
        return await slices.run(lambda: executor.execute(statement, arguments))

    def transaction_id(self) -> int:
        """Return the number of the newest change; it only rises."""
        return self.store.arrival

    async def wait_for_transaction(self, number: int) -> None:
        """Return as soon as the store has reached that transaction."""
        while self.transaction_id() < number:
            self._committed.clear()
            await self._committed.wait()

    def publish(self) -> None:
        """Let what the authority has issued or revoked count now."""
        if self._registrar is not None:
            try:
                self._registrar.tick(system.wall_ms() // 1000 - EPOCH_S)
            except EdgeError as error:  # the ledger is busy, or the store is full: later
                system.log(f"renewing and revoking: {error}")

    def start(self, mqtt: dict[str, Any] | None) -> list[asyncio.Task[None]]:
        """Begin what never ends."""
        name = f"edge-peer-changes-{self.store.author.hex()}"
        tasks = [asyncio.create_task(self._follow())]
        base, deliverer = self.store.base, self.deliverer
        telling = Lease(base, "webhooks").holding(
            lambda: deliverer.run(None if mqtt is None else Publisher(mqtt, name))
        )
        tasks.append(asyncio.create_task(telling))
        tasks.append(asyncio.create_task(self.sightings.run()))
        tasks.append(asyncio.create_task(Lease(base, "retention").holding(self.retention.run)))
        if mqtt is not None:
            listening = Lease(base, "mqtt").holding(ingress.MqttIngress(self.links, mqtt).run)
            tasks.append(asyncio.create_task(listening))
        if self._registrar is not None:
            tasks.append(asyncio.create_task(self._register()))
        return tasks

    async def close_links(self) -> None:
        """Say goodbye on every link and wait until they have gone, a little while at most."""
        until_ms = system.now_ms() + 1000 * STOP_LIMIT_S
        for pump in self.links.pumps:
            pump.session.close("the Big Peer stops")
            pump.wake()
        while self.links.pumps and system.now_ms() < until_ms:
            await asyncio.sleep(STOP_POLL_S)

    def close(self) -> None:
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
        try:
            self.sightings.close()
        except EdgeError as error:
            system.log(f"sightings: {error}")

    def _hear_list(self) -> None:
        """Go by the revocation list that another worker has kept."""
        raw = self.store.entry(LIST_ID)
        if raw is not None:
            with suppress(EdgeError):
                self.guard.take_list(raw)

    async def _follow(self) -> None:
        await self.store.follow()
        await asyncio.Event().wait()  # who has nobody to follow

    def _history(self) -> History | None:
        """Return what retains changes, where documents are in a file of SQLite."""
        connection = getattr(self.store.log, "connection", None)
        return connection and History(connection, self.folder / settings.STORE_FILE)

    async def _register(self) -> None:
        while True:
            self.publish()
            await asyncio.sleep(INTERVAL_S)
