"""
What this peer asks its neighbours for. Loaded with the first `subscribe`.

The store remembers what was asked for last, across restarts. Something that was not
asked for then may have passed us by: to get it, every neighbour is read from the
start again, which finds out what is here already (core/sync/reconcile.py). A relay also
asks for what its neighbours want (edge_peer/downstream.py).
"""

from edge_peer.core.errors import StorageError
from edge_peer.core.query.parser import NAME, tokens_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from edge_peer.core.query.execute import Codec
    from edge_peer.core.query.select import Matcher
    from edge_peer.core.query.select import Subscription as Wanted
    from edge_peer.core.store.store import Store
    from edge_peer.core.sync.session import Session
    from edge_peer.core.sync.sync import Requests
    from edge_peer.downstream import Downstream

_WANTED_ID = "wanted"


class Subscription:
    """What `SmallPeer.subscribe` returns."""

    def __init__(self, wanted: "Wanted", owner: "Subscriptions") -> None:
        self.wanted = wanted
        self._owner = owner

    def cancel(self) -> None:
        """Stop the flow; harmless when it has stopped."""
        self._owner.remove(self)


class Subscriptions:
    """`changed()` is called after every change."""

    def __init__(
        self,
        store: "Store",
        codec: "Codec",
        matcher: "Callable[[Iterable[Wanted]], Matcher]",
        changed: "Callable[[], None]",
        relays: bool = False,
    ) -> None:
        self._store = store
        self._codec = codec
        self._matcher = matcher
        self._changed = changed
        self._all: list[Subscription] = []
        self._downstream = _downstream(store, codec) if relays else None
        self._settled: list[Wanted] = []
        self._collections: dict[str, list[str]] | None = None  # of these; None: not asked for yet
        store.wants_of = self._wants_of
        self._is_untold = False  # the store failed in the middle of telling of a change
        self.matches = matcher(())  # matches(collection, id, document): whether one is wanted

    def add(self, statement: str, arguments: "dict[str, Any]") -> Subscription:
        """Raises QueryError unless it is SELECT … FROM … [WHERE …].

        Raises StorageError if the store has no room to remember it; then it is not asked for.
        """
        subscription = Subscription((statement, self._codec.pack(arguments)), self)
        self._matcher([subscription.wanted])
        self._all.append(subscription)
        self.matches = self._matcher(self.wanted())
        try:
            self._changed()
        except StorageError:
            self._all.remove(subscription)
            self.matches = self._matcher(self.wanted())
            raise
        return subscription

    def remove(self, subscription: Subscription) -> None:
        if subscription in self._all:
            self._all.remove(subscription)
            self.matches = self._matcher(self.wanted())
            self._changed()

    def tell(self, session: "Session", now_ms: "Callable[[], int]") -> None:
        """Ask the neighbour at the other end of an open session for what is wanted now."""
        sync = session.sync
        if sync is None:
            return
        neighbour, certificate = session.neighbour, session.certificate
        device = neighbour if certificate is None else certificate.key
        if self._downstream is not None and sync.on_asked is None:
            sync.on_asked = lambda requests, has_gap: self._asked(
                device, neighbour, requests, has_gap, now_ms()
            )
        own = self.wanted()
        if self._downstream is None:
            self.settle(own)
            sync.subscribe(tuple([one + (0,) for one in own]), now_ms())
            return
        scope = self._downstream.scope(own)
        self.settle(scope)
        requests = tuple([one + (scope[one],) for one in sorted(scope)])
        sync.subscribe(requests, now_ms(), self._downstream.covers(neighbour, scope))

    def _asked(
        self, device: bytes, neighbour: bytes, requests: "Requests", has_gap: bool, now_ms: int
    ) -> None:
        """Take what a neighbour of a relay wants; raise RemoteProtocolError if that is too much."""
        assert self._downstream is not None
        if self._downstream.is_news(neighbour, requests):
            self._downstream.pay(device, now_ms)
        was_untold, self._is_untold = self._is_untold, True
        is_changed = self._downstream.heard(neighbour, requests) or was_untold
        if has_gap and self._downstream.may_refetch(now_ms):
            self._store.forget_knowledge()
            is_changed = True
        if is_changed:
            self._changed()
        self._is_untold = False

    def settle(self, wanted: "Iterable[Wanted]") -> None:
        """Make the store ready to receive what is wanted now."""
        wanted = sorted(wanted)
        if wanted != self._settled:
            self._settled, self._collections = wanted, None
        store = self._store
        if store.has_fragments and store.fragments.overflowed:
            store.fragments.overflowed = False
            store.forget_knowledge()
        remembered = self._store.entry(_WANTED_ID)
        raw = self._codec.pack(wanted)
        if raw != remembered:
            before: Any = [] if remembered is None else self._codec.unpack(remembered)
            had = tuple([(one[0], one[1]) for one in before])
            if set(wanted) - set(had):
                self._store.forget_knowledge(had)
            self._store.keep_entry(_WANTED_ID, raw)

    def _wants_of(self, collection: str) -> "list[str] | None":
        """Return the paths on which it depends what of it is wanted, None for nothing of it."""
        if self._collections is None:
            from edge_peer.core.query.select import filters

            self._collections = filters(self._settled)
        return self._collections.get(collection)

    def wanted(self) -> "tuple[Wanted, ...]":
        """Return what this peer's application has asked for."""
        return tuple(sorted(set([one.wanted for one in self._all])))


def _downstream(store: "Store", codec: "Codec") -> "Downstream":
    from edge_peer.downstream import Downstream

    return Downstream(store, codec)


def scope_of(statement: str) -> str:
    """Return a SELECT as a subscription takes it: whole documents, in no order, all of them."""
    start, end = 0, len(statement)
    for kind, text, column in tokens_of(statement):
        word = text.upper() if kind == NAME else ""
        if word == "FROM" and not start:
            start = column - 1
        elif word in ("ORDER", "LIMIT", "OFFSET"):
            end = min(end, column - 1)
    return "SELECT * " + statement[start:end].rstrip()
