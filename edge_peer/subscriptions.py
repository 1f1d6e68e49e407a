"""
What this peer asks its neighbours for. Loaded with the first `subscribe`.

The store remembers what was asked for last, across restarts. Something that was not
asked for then may have passed us by: to get it, every neighbour is read from the
start again (DESIGN.md says what will do better).
"""

from edge_peer.core.log import META

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from edge_peer.core.execute import Codec
    from edge_peer.core.select import Matcher
    from edge_peer.core.store import Store
    from edge_peer.core.sync import Subscription as Wanted

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
    ) -> None:
        self._store = store
        self._codec = codec
        self._matcher = matcher
        self._changed = changed
        self._all: list[Subscription] = []

    def add(self, statement: str, arguments: "dict[str, Any]") -> Subscription:
        """Raises QueryError unless it is SELECT … FROM … [WHERE …]."""
        subscription = Subscription((statement, self._codec.pack(arguments)), self)
        self._matcher([subscription.wanted])
        self._all.append(subscription)
        self._changed()
        return subscription

    def remove(self, subscription: Subscription) -> None:
        if subscription in self._all:
            self._all.remove(subscription)
            self._changed()

    def settle(self) -> "tuple[Wanted, ...]":
        """Return what is wanted now; make the store ready to receive it."""
        wanted = tuple(sorted(set([one.wanted for one in self._all])))
        remembered = self._store.log.get(META, _WANTED_ID)
        raw = self._codec.pack(wanted)
        if raw != remembered:
            before: Any = [] if remembered is None else self._codec.unpack(remembered)
            if set(wanted) - set([(one[0], one[1]) for one in before]):
                self._store.forget_knowledge()
            self._store.log.commit([(META, _WANTED_ID, self._store.arrival, raw)])
        return wanted
