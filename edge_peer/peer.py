"""
SmallPeer: the public API, and the wiring of everything beneath it.

    peer = SmallPeer.open("edge.json")
    peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"temp": 21.5}})
    asyncio.run(peer.run())

A peer is selfish: it receives what its subscriptions ask for. A relay, such as a
gateway, also takes on what its neighbours wrote and the Big Peer may not have.
Where one neighbour is linked twice, the cheaper link works and the other waits.
"""

import asyncio
from binascii import crc32, hexlify

from edge_peer import config as configs
from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.core.limits import policies_of
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.core.sync.link import Opened
from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE
from edge_peer.core.sync.session import Local, Session
from edge_peer.runtime import load, unload
from edge_peer.transport.pump import Pump, about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.attachments import Blob
    from edge_peer.config import Config
    from edge_peer.core.document import Document
    from edge_peer.core.kinds import Attachment
    from edge_peer.core.query.execute import Result
    from edge_peer.core.store.batch import Batch
    from edge_peer.core.store.log import Put
    from edge_peer.core.sync.link import Event
    from edge_peer.core.sync.presence import Presence
    from edge_peer.core.sync.session import Medium
    from edge_peer.observer import Callback, Observer
    from edge_peer.security.guard import Guard
    from edge_peer.security.keyring import Keyring
    from edge_peer.subscriptions import Subscription, Subscriptions
    from edge_peer.transport.pump import Channel

RECONNECT_MS_MIN = 500
RECONNECT_MS_MAX = 15_000
RATE_ERASES_MIN = 10  # fewer say little about a rate
INFO_COLLECTION = "__small_peer_info"  # each peer's report on itself, synced like any document


class Links:
    """The sessions of one peer, Small or Big, and which of them work."""

    def __init__(self, local: Local, system: "Any") -> None:
        self.local = local
        self.pumps: list[Pump] = []
        self.refused_count = 0  # links that were closed as the other side broke the rules
        self.on_open: Callable[[Session], None] | None = None
        self._system = system
        self._hears = bool(local.flags & (RELAYS | WANTS_ALL))
        self._presence: Presence | None = None
        local.store.on_commit(self._wake)

    async def run(
        self, medium: "Medium", channel: "Channel", waits: bool = False, hint: int = 0
    ) -> str:
        """Run one link until it closes; return why it did. waits, hint: see Session."""
        return (await self.visit(medium, channel, waits, hint)).close_reason

    async def visit(
        self,
        medium: "Medium",
        channel: "Channel",
        waits: bool = False,
        hint: int = 0,
        quiet_ms: int = 0,
    ) -> Session:
        """Run one link until it closes, also by its silence (see Pump); return its session."""
        now_ms = self._system.now_ms()
        session = Session(self.local, medium, now_ms, self._on_event, waits, hint)
        pump = Pump(session, channel, self._system, quiet_ms)
        self.pumps.append(pump)
        try:
            await pump.run()
        finally:
            self.pumps.remove(pump)
        return session

    def status(self) -> "list[dict[str, Any]]":
        links = []
        for pump in self.pumps:
            session = pump.session
            if session.sync is not None:
                link = {
                    "medium": session.medium.name,
                    "neighbour": session.neighbour_name,
                    "cost": session.medium.cost,  # of those to one neighbour the cheapest works
                    "is_spare": not session.is_active,
                    "sent": session.sync.sent_count(),
                    "received": session.sync.received_count(),
                    "refused": session.sync.refused_count(),
                    "repeated_frames": session.retransmitted_count(),
                    "damaged_frames": pump.channel.damaged_count(),
                }
                signal_dbm = getattr(pump.channel, "signal_dbm", None)
                if signal_dbm is not None:
                    link["signal_dbm"] = signal_dbm
                links.append(link)
        return links

    def presence(self) -> "list[dict[str, Any]]":
        """Return who is linked to whom, as far as it is known (core/sync/presence.py)."""
        self._hears = True
        self.note_presence()
        return [] if self._presence is None else self._presence.graph()

    def note_presence(self) -> None:
        """Take what is linked to this peer now, and tell those who hear of it."""
        keyring, store = self.local.keyring, self.local.store
        if keyring is None or not self._hears:
            return
        from edge_peer.core.sync.presence import Presence, links_of

        is_first = self._presence is None
        if self._presence is None:
            name = keyring.certificate.name
            self._presence = Presence(store.author, name, store.log.authors_max)
        sessions = [
            pump.session
            for pump in self.pumps
            if pump.session.sync is not None and not pump.session.is_closed()
        ]
        for session in sessions:
            assert session.sync is not None
            now_ms = self._system.now_ms()
            session.sync.watch(self._presence, self._wake_hearers, now_ms)
        if self._presence.note_links(links_of(sessions)):
            self._wake_hearers()
        if is_first:
            self._wake_all()  # to say that this peer hears

    def cut_revoked(self) -> None:
        """Close the links to those whose certificates are revoked."""
        for pump in self.pumps:
            certificate = pump.session.certificate
            if certificate is not None and self.local.keyring.is_revoked(certificate.serial):
                pump.session.close("its certificate is revoked")
                pump.wake()

    def _wake(self, puts: "list[Put]", gone: "list[tuple[str, str]]") -> None:
        self._wake_all()

    def _wake_all(self) -> None:
        for pump in self.pumps:
            pump.wake()

    def _wake_hearers(self) -> None:
        for pump in self.pumps:
            if pump.session.sync is not None and pump.session.sync.hears():
                pump.wake()

    def _on_event(self, session: Session, event: "Event") -> None:
        self.refused_count += session.was_refused
        if isinstance(event, Opened):
            self._system.log("%s: linked to %s" % (session.medium.name, session.neighbour_name))
            if self.on_open is not None:
                self.on_open(session)
        cheapest: dict[bytes, Session] = {}
        for pump in self.pumps:
            one = pump.session
            if one.sync is not None and not one.is_closed():
                best = cheapest.get(one.neighbour)
                if best is None or one.medium.cost <= best.medium.cost:  # the newer one
                    cheapest[one.neighbour] = one
        for pump in self.pumps:
            one = pump.session
            is_active = cheapest.get(one.neighbour) is one
            if one.is_active != is_active or one is session:
                one.set_active(is_active)
                pump.wake()
        self.note_presence()


def open_keyring(path: str, system: "Any") -> "Keyring":
    """Read identity.json; what the keyring keeps lies beside it, in a folder NAME.keys.

    Raises ConfigError and StorageError.
    """
    from edge_peer.security.certificate import EPOCH_S
    from edge_peer.security.identity import from_text
    from edge_peer.security.keyring import Keyring

    def now_s() -> "int | None":
        wall_ms = system.wall_ms()
        return None if wall_ms is None else wall_ms // 1000 - EPOCH_S

    keys = load("keys")
    identity = from_text(keys.read_secret(path))
    folder = path[:-5] if path.endswith(".json") else path
    shelf = keys.Shelf(folder + ".keys")
    keyring = Keyring(load("crypto"), identity, shelf, system.entropy, now_s, keys.TICKETS_MAX)
    keyring.crypto.forget()
    return keyring


class SmallPeer:
    def __init__(self, config: "Config") -> None:
        self._config = config
        self._system = load("system")
        self._codec = codec = load("codec")
        storage = load("storage")
        keyring = open_keyring(config.identity, self._system) if config.identity else None
        if config.relay and keyring is not None and not keyring.flags_of(keyring.certificate):
            raise ConfigError("relay: the identity's certificate must be one of a relay")
        self.name = config.name if keyring is None else keyring.certificate.name
        self.store = Store(
            lambda evict, before_erase: storage.open_log(config.storage, evict, before_erase),
            config.device_id if keyring is None else keyring.certificate.key,
            self._system.wall_ms,
            self._system.entropy,
            policies=policies_of(config.storage),
        )
        unload("pinned")
        self._opened_ms = self._system.now_ms()
        if config.relay:
            self.store.is_wanted = self._is_wanted
        self._executor = Executor(self.store, codec)
        self._subscriptions: Subscriptions | None = None
        self.about: dict[str, Any] = {}  # what an application adds to this peer's report
        self._info: dict[str, Any] = {}
        flags = WANTS_UNDURABLE | RELAYS if config.relay else 0
        self._links = Links(
            Local(keyring, flags, self.store, self._executor.matcher, self._system.entropy),
            self._system,
        )
        self._links.on_open = self._tell_subscriptions
        self._guard: Guard | None = None
        if keyring is not None:
            from edge_peer.guarding import open_guard

            self._guard = open_guard(self._links, codec, config.identity)
            self._guard.on_widened = self._read_again
        if config.relay:
            self._open_subscriptions()

    @classmethod
    def open(cls, path: str) -> "SmallPeer":
        """Open the peer that a configuration file describes (see config.py).

        Raises ConfigError for a mistake in it, StorageError if its store cannot be used.
        """
        return cls(configs.load(path))

    def execute(self, statement: str, arguments: "dict[str, Any] | None" = None) -> "Result":
        """Run one DQL statement (core/query/parser.py); what it wrote is durable on return.

        Raises QueryError for a mistake in the statement, an argument or a document;
        StoreFull, with nothing changed, when everything stored still waits for sync.
        """
        return self._executor.execute(statement, arguments)

    def batch(self) -> "Batch":
        """Return a context: what is written inside `with peer.batch():` is one durable commit.

        It happens at the end of the block, whole or, after an exception or StoreFull, not
        at all. Inside, statements see what those before them wrote.
        """
        return self.store.batch()

    def observe(
        self,
        statement: str,
        arguments: "dict[str, Any] | None" = None,
        callback: "Callback | None" = None,
    ) -> "Observer":
        """Follow the result of a SELECT on what this peer has, until cancelled.

        callback(rows, diff) is called now and after every change (core/query/observe.py says
        what they are); without one, `async for rows, diff in peer.observe(…)`.
        """
        from edge_peer.observer import Observer

        return Observer(
            self.store, self._codec, statement, arguments or {}, callback, self._log_callback_error
        )

    def live_query(
        self,
        statement: str,
        arguments: "dict[str, Any] | None" = None,
        callback: "Callback | None" = None,
    ) -> "Observer":
        """Observe a SELECT, and subscribe to all that its WHERE finds, until cancelled."""
        from edge_peer.subscriptions import scope_of

        observer = self.observe(statement, arguments, callback)
        observer.on_cancel = self.subscribe(scope_of(statement), arguments).cancel
        return observer

    def subscribe(
        self, statement: str, arguments: "dict[str, Any] | None" = None
    ) -> "Subscription":
        """Ask neighbours for what `SELECT * FROM … WHERE …` finds, until cancelled."""
        return self._open_subscriptions().add(statement, arguments or {})

    def attach(self, source: "Any", type: str = "application/octet-stream") -> "Attachment":
        """Store what is too large for a document, durable on return; return the token for one.

        source: bytes, or a file: what has read(n) and seek(0). type: its media type.
        Raises StoreFull if the share for attachments has no room, ValueError for one
        that is too large.
        """
        return self.store.attachments.attach(source, type)

    async def fetch(
        self,
        token: "Attachment",
        on_progress: "Callable[[int, int], None] | None" = None,
        timeout_s: float = 60,
    ) -> "Blob":
        """Return what a token stands for, once it is all here; neighbours are asked for it.

        on_progress(bytes here, bytes of all); timeout_s: how long to wait without anything
        new. What has come stays, so a fetch goes on where one was cancelled or failed.
        Raises EdgeError when nobody has it, StoreFull when it does not fit here.
        """
        from edge_peer.attachments import fetch

        return await fetch(self.store, self._system, token, on_progress, timeout_s)

    def status(self) -> "dict[str, Any]":
        """Return what is stored, what waits for sync, and the open links, as numbers and text.

        On flash `lifetime_days` is how long it lasts at the rate of since the start.
        """
        status: dict[str, Any] = dict(self.store.status())
        collections = {}
        for name in self.store.log.collections():
            documents, size = self.store.log.totals(name)
            collections[name] = {"documents": documents, "bytes": size}
        status["collections"] = collections
        if "erases_left" in status:
            status["lifetime_days"] = self._lifetime_days(status)
        status["links"] = self._links.status()
        status["refused_links"] = self._links.refused_count
        if self._config.relay:
            status["presence"] = self._links.presence()
        if self._guard is not None and self._guard.has_refusals():
            status["refused"] = self._guard.refusals.count
        return status

    def presence(self) -> "list[dict[str, Any]]":
        """Return who is linked to whom in the mesh, over what and how well, this peer first.

        {"author", "name", "hops", "links": [{"author", "name", "medium", "quality"}]}, quality
        3 (nothing was sent twice) to 0. From the first call on neighbours are asked for what
        they know; a relay asks from the beginning, and `status()["presence"]` has it.
        """
        return self._links.presence()

    def refused(self) -> "list[dict[str, Any]]":
        """Return which of this peer's last writes others have refused, and why; at most 8.

        `status()["refused"]` counts them all. They stay here, and reach nobody.
        """
        if self._guard is None or not self._guard.has_refusals():
            return []
        from edge_peer.security.refusals import REASONS

        return [
            {
                "collection": one.collection,
                "_id": one.id,
                "reason": REASONS.get(one.reason, "unknown"),
            }
            for one in self._guard.refusals.kept
        ]

    @property
    def app_id(self) -> bytes:
        """The app's; b"" for a peer without an identity."""
        keyring = self._links.local.keyring
        return b"" if keyring is None else keyring.app_id

    async def verify(self, signature: bytes, message: bytes) -> bool:
        """Return whether the app's authority has signed a message; others have their turns."""
        steps = self._links.local.keyring.verify(signature, message)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return bool(end.value)
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Sync over every configured link, for ever."""
        tasks = [asyncio.create_task(self._keep(link)) for link in self._config.links]
        tasks.append(asyncio.create_task(self._report()))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _lifetime_days(self, status: "dict[str, Any]") -> "int | None":
        """Return how long the flash lasts if it goes on as since the start; None: unknown yet."""
        if status["erases_since_open"] < RATE_ERASES_MIN:
            return None
        open_ms: int = self._system.now_ms() - self._opened_ms
        days: int = status["erases_left"] * open_ms // status["erases_since_open"] // 86_400_000
        return days

    def _is_wanted(self, collection: str, id: str, document: "Document") -> bool:
        subscriptions = self._subscriptions
        return subscriptions is not None and subscriptions.matches(collection, id, document)

    def _log_callback_error(self, error: Exception) -> None:
        self._system.log("a callback failed: %r" % error)

    # Links

    async def _keep(self, settings: "dict[str, Any]") -> None:
        """Keep one link up: connect, run, wait a little longer after every failure."""
        module = load(settings["kind"])
        label = module.label(settings)
        hint = crc32(label.encode()) & 0xFFFFFFFF | 1
        delay_ms = RECONNECT_MS_MIN
        while True:
            started_ms = self._system.now_ms()
            try:
                if hasattr(module, "keep") and module.finds(settings):  # several neighbours
                    await module.keep(settings, self._links, self._system)
                medium, channel = await module.connect(settings, self._links.local)
                reason = await self._links.run(medium, channel, hint=hint)
            except (OSError, EdgeError) as error:
                reason = str(error)
            if self._system.now_ms() - started_ms > RECONNECT_MS_MAX:
                delay_ms = RECONNECT_MS_MIN
            wait_ms = about(delay_ms, self._system.entropy)
            self._system.log("%s: %s; trying again in %d ms" % (label, reason, wait_ms))
            await asyncio.sleep(wait_ms / 1000)
            delay_ms = min(2 * delay_ms, RECONNECT_MS_MAX)

    def _open_subscriptions(self) -> "Subscriptions":
        if self._subscriptions is None:
            from edge_peer.subscriptions import Subscriptions

            self._subscriptions = Subscriptions(
                self.store, self._codec, self._executor.matcher, self._tell_all, self._config.relay
            )
        return self._subscriptions

    def _tell_subscriptions(self, session: Session) -> None:
        if self._subscriptions is not None:
            self._subscriptions.tell(session, self._system.now_ms)

    def _read_again(self) -> None:
        """Ask for what this peer could not read before."""
        if self._subscriptions is not None:
            self.store.forget_knowledge()
            self._tell_all()

    def _tell_all(self) -> None:
        for pump in self._links.pumps:
            self._tell_subscriptions(pump.session)
            pump.wake()

    # The report

    async def _report(self) -> None:
        while self._config.info_interval_s:
            try:
                self._links.note_presence()  # as the quality of links changes
                self._write_info()
            except EdgeError as error:  # a full store: readings go first
                self._system.log("no report: %s" % error)
            await asyncio.sleep(self._config.info_interval_s)

    def _write_info(self) -> None:
        """Write what has changed in this peer's own document since the last report."""
        status = self.store.status()
        info = {
            "name": self.name,
            "relay": self._config.relay,
            "links": [[link["medium"], link["neighbour"]] for link in self._links.status()],
            "documents": status["documents"],
            "used_bytes": status["used_bytes"],
            "quota_bytes": status["quota_bytes"],
            "evicted": status["evicted"],
            "unsynced": status["unsynced"],
            "lost_writes": status["lost_writes"],
            "firmware": self._system.firmware(),
        }
        if "erases_left" in status:
            info["wear_percent"] = (
                100 * status["erases"] // (status["erases"] + status["erases_left"])
            )
            info["lifetime_days"] = self._lifetime_days(status)
        info.update(self.about)
        news = {name: info[name] for name in info if self._info.get(name) != info[name]}
        if news:
            news["_id"] = hexlify(self.store.author).decode()
            self.execute(
                "INSERT INTO %s DOCUMENTS (:info) ON ID CONFLICT DO UPDATE" % INFO_COLLECTION,
                {"info": news},
            )
            self._info = info
