"""
The store of a Big Peer that may be one of several workers on one PostgreSQL database.

To devices all workers are one peer: one author, one order of arrivals (postgres.py), so
a cursor that a device has got from one worker holds with another. What changes documents
happens in a *turn*: it begins with what the others have done meanwhile and is told to
listeners when it is committed. Between turns `follow` hears of the others.

    shared, in the database     documents, arrivals, own seq and last stamp, K and D, how far
                                neighbours have been read
    of each worker              its links, its epoch, tickets, what it remembers of greetings

What one worker knows of K is true for all, as their documents are the same; so are
the cursors into neighbours' logs. K is taken together with the arrival that it is of. A
device that comes from a worker with another epoch is read to it from its last DONE.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from edge_peer.core.errors import StorageError
from edge_peer.core.store import state as states
from edge_peer.core.store.knowledge import rise
from edge_peer.core.store.log import META
from edge_peer.core.store.store import STATE_ID, Store

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database
    from edge_peer.bigpeer.postgres import Feed, PostgresLog
    from edge_peer.core.document import Document
    from edge_peer.core.store.batch import Batch
    from edge_peer.core.store.log import Put
    from edge_peer.core.store.store import Write

POLL_S = 0.5  # NOTIFY wakes sooner; this is for what it misses
TELL_COUNT = 128  # documents that listeners are told at a time


class SharedStore(Store):
    log: PostgresLog
    checkpoint_arrivals = 1_024  # what is read again at a start; numbers stand in the feed

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._feed: Feed | None = None  # of the turn that we have
        self._held: list[list[Put]] = []  # to be told once they are committed
        self._told = 0  # up to this arrival listeners know everything
        self._state_at = self._entries_at = -1
        self._epoch_max = 0
        self._news: asyncio.Event | None = None
        self.on_entries: Callable[[], None] | None = None  # others have kept something
        super().__init__(*arguments, **more)
        self.log.on_ahead = self._note_ahead
        self._told = self.arrival

    @property
    def base(self) -> Database:
        """The database, for what else workers share there."""
        return self.log.base

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let all of the block be one commit, that no other worker comes between."""
        if self._feed is not None:
            yield
            return
        before = self._all_numbers()
        try:
            with self.log.turn() as feed:
                self._feed = feed
                self._adopt(feed)
                told_all, before = self._told >= feed["arrival"], self._all_numbers()
                yield
                feed["own_seq"], feed["stamp"] = self.own_seq, self._clock.last
        except BaseException:
            self._held = []
            self.arrival, self._clock.last, self.own_seq, self._saved_arrival = before
            raise
        finally:
            self._feed = None
        self._state_at = feed["state"]
        if told_all:
            self._told = self.arrival
        held, self._held = self._held, []
        for items in held:
            super()._tell(items)

    # What a turn is taken for

    def write(self, writes: list[Write], stamps: list[int] | None = None) -> list[str]:
        with self.turn():
            return super().write(writes, stamps)

    @contextmanager
    def batch(self) -> Iterator[Batch]:  # type: ignore[override]
        with self.turn(), super().batch() as batch:
            yield batch

    def merge(self, records: list[tuple[str, str, Document]], is_whole: bool = False) -> int:
        with self.turn():
            self.log.look_ahead([record[:2] for record in records])
            return super().merge(records, is_whole)

    def save(self) -> None:
        with self.turn():
            super().save()
            assert self._feed is not None
            self._feed["state"] += 1

    def keep_entry(self, id: str, data: bytes) -> None:
        with self.turn():
            super().keep_entry(id, data)

    def _load(self, device_id: bytes, entropy: Callable[[int], bytes]) -> None:
        with self.turn():
            super()._load(device_id, entropy)
            assert self._feed is not None
            self._follow_numbers(self._feed)

    def _state_put(self) -> Put:
        """Of the epochs of all workers the highest is kept, so that the next has another one."""
        own, self.epoch = self.epoch, max(self.epoch, self._epoch_max)
        try:
            return super()._state_put()
        finally:
            self.epoch = own

    def _tell(self, items: list[Put]) -> None:
        if self._feed is None:
            super()._tell(items)
        else:
            self._held.append(items)

    # What others do

    async def follow(self) -> None:
        """Hear of what other workers commit, and tell it, for ever."""
        self._news = news = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.log.on_notify = news.set
        self.log.base.on_here = lambda: _soon(loop, news.set)
        watch = _Watch(self.log.base, news.set)
        try:
            while True:
                news.clear()
                with suppress(StorageError):  # whoever needs the store says so
                    self.catch_up()
                    while self._tell_some():
                        await asyncio.sleep(0)
                watch.renew()
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), POLL_S)
        finally:
            self._news = None
            self.log.on_notify = lambda: None
            self.log.base.on_here = None
            watch.close()

    def catch_up(self) -> None:
        """Know what the others have done up to now; `follow` tells it. Raises StorageError."""
        feed, _ = self.log.look("")
        if feed["state"] != self._state_at:
            feed, state = self.log.look(STATE_ID)  # one look: this K is of this arrival
            self._follow_numbers(feed)
            self._adopt_state(feed, state)
            self.wake()
        self._follow_numbers(feed)
        self._note_entries(feed)

    def _tell_some(self) -> bool:
        """Tell of some that others have committed; return whether there may be more."""
        if self._told >= self.arrival:
            return False
        puts = self.log.since(self._told, TELL_COUNT)
        self._told = puts[-1][2] if puts else self.arrival
        super()._tell(puts)
        return bool(puts)

    def _note_ahead(self, arrival: int) -> None:
        if arrival > self.arrival and self._feed is None:
            self.arrival = arrival
            if self._news is not None:
                self._news.set()

    def _adopt(self, feed: Feed) -> None:
        self._follow_numbers(feed)
        if feed["state"] != self._state_at:
            self._adopt_state(feed, self.log.get(META, STATE_ID))
        if self._told < feed["arrival"] and self._news is not None:
            self._news.set()

    def _follow_numbers(self, feed: Feed) -> None:
        self.arrival = max(self.arrival, feed["arrival"])
        self.own_seq = max(self.own_seq, feed["own_seq"])
        self._clock.last = max(self._clock.last, feed["stamp"])

    def _adopt_state(self, feed: Feed, body: bytes | None) -> None:
        """Take what another worker has learned; raises StorageError if it is another author."""
        if body is None or not self._incarnation:  # then it is read at open
            return
        state = states.decode(body)
        if state.incarnation != self._incarnation:
            raise StorageError("the database was put back to an earlier time: start again")
        self._epoch_max = max(self._epoch_max, state.epoch)
        self.raise_knowledge(state.vectors[0])
        rise(self.durable, state.vectors[2])
        for neighbour, cursor in state.cursors.items():
            if self.cursors.get(neighbour) != cursor:
                self.set_cursor(neighbour, cursor)
        self._state_at = feed["state"]

    def _note_entries(self, feed: Feed) -> None:
        before, self._entries_at = self._entries_at, feed["entries"]
        if before != self._entries_at and self.on_entries is not None:
            self.on_entries()

    def _all_numbers(self) -> tuple[int, int, int, int]:
        return (*self._numbers(), self._saved_arrival)


class _Watch:
    """Wakes when the server says something unasked: it has a NOTIFY for us, or is gone."""

    def __init__(self, base: Database, wake: Callable[[], None]) -> None:
        self._base, self._wake = base, wake
        self._of, self._copy = -1, -1  # a copy, as the driver closes its socket when it likes

    def renew(self) -> None:
        """Watch the connection that there is now."""
        if self._base.connection_number != self._of or self._base.fileno() < 0:
            self.close()
            if self._base.fileno() >= 0:
                self._of, self._copy = self._base.connection_number, os.dup(self._base.fileno())
                asyncio.get_running_loop().add_reader(self._copy, self._wake)

    def close(self) -> None:
        if self._copy >= 0:
            asyncio.get_running_loop().remove_reader(self._copy)
            os.close(self._copy)
            self._of = self._copy = -1


def _soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # it has ended
        loop.call_soon_threadsafe(function)
