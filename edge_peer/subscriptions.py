"""
What this peer asks its neighbours for. Loaded with the first `subscribe`.

The store remembers what was asked for last, across restarts. Something that was not
asked for then may have passed us by: to get it, every neighbour is read from the
start again (DESIGN.md says what will do better).
"""

from edge_peer.core.errors import StorageError
from edge_peer.core.query import NAME, tokens_of

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
        self.matches = matcher(())  # matches(collection, id, document): whether one is wanted

    def add(self, statement: str, arguments: "dict[str, Any]") -> Subscription:
        """Raises QueryError unless it is SELECT … FROM … [WHERE …].

        Raises StorageError if the store has no room to remember it; then it is not asked for.
        """
        subscription = Subscription((statement, self._codec.pack(arguments)), self)
        self._matcher([subscription.wanted])
        self._all.append(subscription)
        self.matches = self._matcher(self._wanted())
        try:
            self._changed()
        except StorageError:
            self._all.remove(subscription)
            self.matches = self._matcher(self._wanted())
            raise
        return subscription

    def remove(self, subscription: Subscription) -> None:
        if subscription in self._all:
            self._all.remove(subscription)
            self.matches = self._matcher(self._wanted())
            self._changed()

    def settle(self) -> "tuple[Wanted, ...]":
        """Return what is wanted now; make the store ready to receive it."""
        wanted = self._wanted()
        remembered = self._store.entry(_WANTED_ID)
        raw = self._codec.pack(wanted)
        if raw != remembered:
            before: Any = [] if remembered is None else self._codec.unpack(remembered)
            if set(wanted) - set([(one[0], one[1]) for one in before]):
                self._store.forget_knowledge()
            self._store.keep_entry(_WANTED_ID, raw)
        return wanted

    def _wanted(self) -> "tuple[Wanted, ...]":
        return tuple(sorted(set([one.wanted for one in self._all])))


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
