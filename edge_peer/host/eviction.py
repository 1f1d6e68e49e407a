"""
Who goes when a host's store is full: the oldest documents of the group that is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from edge_peer.core.limits import RELAYED, WHOLE
from edge_peer.host.schema import oldest, quoted, size_of

if TYPE_CHECKING:
    from edge_peer.core.limits import Limit
    from edge_peer.core.log import Evict

SPARE = 1024  # eviction goes on until this part of a quota is free, so it is rare


class Leaving(NamedTuple):
    """A document that may go."""

    collection: str
    id: str
    bytes: int
    is_relayed: bool


class Eviction:
    """Finds the oldest documents of a group that may go.

    Each pass over a group, without loss and with, goes on where the last one ended, until
    `again`: what was found and not needed is kept in `_leaving`.
    """

    def __init__(self, db: sqlite3.Connection, evict: Evict) -> None:
        self._db = db
        self._evict = evict
        self.again()

    def again(self) -> None:
        """Call when documents that had to stay may go now."""
        self._looked_at: dict[tuple[str, bool], int] = {}  # arrival: nothing up to it may go,
        self._leaving: dict[tuple[str, bool], dict[int, Leaving]] = {}  # but these

    def have_gone(self, arrivals: set[int]) -> None:
        for leaving in self._leaving.values():
            for arrival in arrivals:
                leaving.pop(arrival, None)

    def have_stayed(self, arrivals: set[int]) -> None:
        """These were not there while we looked, in a commit that was given up."""
        for key in self._looked_at:
            self._looked_at[key] = min([self._looked_at[key]] + [one - 1 for one in arrivals])

    def choose(
        self, group: str, limit: Limit, excess: tuple[int, int], newest: int, gone: set[int]
    ) -> dict[int, Leaving]:
        """Return {arrival: document} of enough to go, none above `newest`; {} if too few may.

        excess: bytes and documents of the group above its limit. gone: arrivals that
        the commit in the making has taken out. Without loss some more than needed go,
        so that it is rare; with loss none.
        """
        chosen: dict[int, Leaving] = {}
        left_bytes, left_count = excess
        for may_lose in (False, True):
            spare_bytes, spare_count = (0 if may_lose else (one or 0) // SPARE for one in limit)
            for arrival, document in self._who_may_go(group, may_lose, newest):
                if document is not None and arrival not in chosen and arrival not in gone:
                    chosen[arrival] = document
                    left_bytes -= document.bytes
                    left_count -= 1
                if left_bytes <= 0 >= left_count and (
                    document is None or (left_bytes <= -spare_bytes and left_count <= -spare_count)
                ):
                    return chosen
            if left_bytes <= 0 >= left_count:
                return chosen
        return {}

    def _who_may_go(
        self, group: str, may_lose: bool, newest: int
    ) -> Iterator[tuple[int, Leaving | None]]:
        """Yield (arrival, document), or (arrival, None) for one that has to stay."""
        key = (group, may_lose)
        leaving = self._leaving.setdefault(key, {})
        yield from list(leaving.items())
        found_before = self._leaving.get((group, False), {})
        for arrival, collection, id, body, is_relayed in self._rows(
            group, self._looked_at.get(key, 0), newest
        ):
            self._looked_at[key] = arrival
            if arrival in found_before:
                continue  # without loss: it is chosen already
            document = None
            if self._evict(collection, id, body, may_lose):
                document = Leaving(collection, id, size_of(id, len(body)), bool(is_relayed))
                leaving[arrival] = document
            yield arrival, document

    def _rows(self, group: str, above: int, newest: int) -> sqlite3.Cursor:
        if group == WHOLE:
            of_group = "doc WHERE"
        elif group == RELAYED:
            of_group = "doc INDEXED BY relayed WHERE relayed = 1 AND"
        else:
            of_group = f"doc INDEXED BY {oldest(group)} WHERE collection = {quoted(group)} AND"
        return self._db.execute(
            f"SELECT arrival, collection, id, body, relayed FROM {of_group}"
            " arrival > ? AND arrival <= ? ORDER BY arrival",
            (above, newest),
        )
