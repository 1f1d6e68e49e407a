"""
Mechanisms of sync, each with a way to take it out (CPython only).

A mechanism whose removal no world notices is either superfluous or not tested. F…: the
numbers of the regressions that it answers. test_regressions.py shows for each that its
plan in regressions/ holds, and that it fails without the mechanism. To find such a plan:
`python tests/sim/run.py --without f06 --seeds 200` shrinks what fails first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edge_peer.core import document as documents
from edge_peer.core.store import store as stores
from edge_peer.core.store.departure import Departure
from edge_peer.core.store.knowledge import Knowledge
from edge_peer.core.sync import sync as syncs
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.core.sync.receiver import Receiver
from edge_peer.core.sync.reconcile import Held
from edge_peer.core.sync.sender import Sender
from edge_peer.core.sync.sync import Sync

Patch = tuple[Any, str, Any]


def _relay_evicts_what_is_not_durable() -> list[Patch]:
    return [(Knowledge, "is_durable", lambda self, document: True)]


def _gaps_are_not_noticed() -> list[Patch]:
    return [(Receiver, "_continues", lambda self, previous, their_epoch: True)]


def _relays_do_not_teach_relays() -> list[Patch]:
    return [(syncs, "_passes_on", lambda flags, _: bool(flags & WANTS_ALL))]


def _one_cursor() -> list[Patch]:
    set_cursor = Knowledge.set_cursor

    def both(self: Any, neighbour: bytes, cursor: tuple[int, int, int]) -> None:
        set_cursor(self, neighbour, (cursor[0], cursor[0], cursor[2]))

    return [(Knowledge, "set_cursor", both)]


def _a_wiped_peer_is_the_same_author() -> list[Patch]:
    author_of = stores.author_of
    return [(stores, "author_of", lambda device_id, _: author_of(device_id, b"same"))]


def _a_wider_scope_keeps_its_knowledge() -> list[Patch]:
    return [(Knowledge, "forget_knowledge", lambda self, *before: None)]


def _a_rollback_is_no_new_epoch() -> list[Patch]:
    handle_hello = Sync._handle_hello

    def believe(self: Any, hello: Any, now_ms: int) -> None:
        handle_hello(self, hello._replace(sender_epoch=self._store.epoch), now_ms)

    return [(Sync, "_handle_hello", believe)]


def _hello_is_not_answered() -> list[Patch]:
    handle = Sync._handle_documents

    def take_all(self: Any, part: Any, now_ms: int) -> None:
        self._unanswered_count, count = 0, self._unanswered_count
        due_ms, self._hello_due_ms = self._hello_due_ms, None
        handle(self, part, now_ms)
        self._unanswered_count = count
        self._hello_due_ms = self._hello_due_ms or due_ms

    return [(Sync, "_handle_documents", take_all)]


def _knowledge_suppresses_nothing() -> list[Patch]:
    def lacks(self: Any, path: str, cell: Any) -> bool:
        if cell.author == self._neighbour or (cell.author, cell.seq) in self._heard:
            return False
        return bool(cell.author != self._store.author or cell.seq > self._base)

    return [(Sender, "_lacks", lacks)]


def _what_moves_out_is_not_told() -> list[Patch]:
    return [(Sender, "_moved_out", lambda self, put: {})]


def _relays_say_nothing_of_what_they_almost_know() -> list[Patch]:
    return [(Sender, "_next_partly", lambda self: b"")]


def _a_part_is_taken_for_the_whole() -> list[Patch]:
    return [(stores.Store, "_has_gaps", lambda self, collection: False)]


def _who_tells_of_a_field_has_the_whole_write() -> list[Patch]:
    lacks = Sender._lacks

    def whole(self: Any, path: str, cell: Any) -> bool:
        return (cell.author, cell.seq) not in self._heard and lacks(self, path, cell)

    return [(Sender, "_lacks", whole)]


def _what_is_moved_in_is_not_completed() -> list[Patch]:
    return [(Sender, "_was_moved_in", lambda self, put, document: False)]


def _who_asks_for_the_whole_has_not_said_its_part() -> list[Patch]:
    return [(Sender, "lag", lambda self: 0)]


def _a_spare_link_goes_on_where_it_was() -> list[Patch]:
    return [(Sync, "say_again", lambda self: None)]


def _own_writes_are_fetched_again_once() -> list[Patch]:
    forget = Knowledge.forget_knowledge

    def believe_to_have_them(self: Any, *before: Any) -> None:
        forget(self, *before)
        self.lacks_own = False

    return [(Knowledge, "forget_knowledge", believe_to_have_them)]


def _what_is_lacking_is_passed_over() -> list[Patch]:
    def has(self: Any, put: Any, document: Any) -> bool:
        return bool(put[2] <= self._arrival and self._members(put, document))

    return [(Held, "has", has)]


def _a_delete_goes_before_the_big_peer_has_it() -> list[Patch]:
    may_go = Departure.may_go

    def let_go(self: Any, collection: str, id: str, document: Any, may_lose: bool) -> bool:
        if documents.is_deleted(document):
            self.note(collection, document)
            return True
        return bool(may_go(self, collection, id, document, may_lose))

    return [(Departure, "may_go", let_go)]


def _a_counter_goes_on_where_it_was_evicted() -> list[Patch]:
    return [(Departure, "take", _take_without_floor)]


def _take_without_floor(self: Any) -> Any:
    evicted = self._evicted
    self.lost_count += self._losing_count
    self.forget()
    return evicted


MUTATIONS: dict[str, Callable[[], list[Patch]]] = {
    "f01": _relay_evicts_what_is_not_durable,
    "f02": _knowledge_suppresses_nothing,
    "f03": _gaps_are_not_noticed,
    "f04": _relays_do_not_teach_relays,
    "f05": _a_part_is_taken_for_the_whole,
    "f06": _one_cursor,
    "f07": _a_wiped_peer_is_the_same_author,
    "f09": _a_wider_scope_keeps_its_knowledge,
    "f10": _what_moves_out_is_not_told,
    "f11": _a_delete_goes_before_the_big_peer_has_it,
    "f12": _a_counter_goes_on_where_it_was_evicted,
    "f16": _a_rollback_is_no_new_epoch,
    "failover": _a_spare_link_goes_on_where_it_was,
    "heard": _who_tells_of_a_field_has_the_whole_write,
    "fetched_last": _who_asks_for_the_whole_has_not_said_its_part,
    "moved_in": _what_is_moved_in_is_not_completed,
    "own_evicted": _own_writes_are_fetched_again_once,
    "partly": _relays_say_nothing_of_what_they_almost_know,
    "hello": _hello_is_not_answered,
    "strangers": _what_is_lacking_is_passed_over,
}


@contextmanager
def without(name: str) -> Iterator[None]:
    """Take one mechanism out; "" takes out none."""
    patches = MUTATIONS[name]() if name else []
    before = [(owner, attribute, owner.__dict__[attribute]) for owner, attribute, _ in patches]
    for owner, attribute, value in patches:
        setattr(owner, attribute, value)
    try:
        yield
    finally:
        for owner, attribute, value in before:
            setattr(owner, attribute, value)
