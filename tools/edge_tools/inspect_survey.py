"""
What a store holds, counted: documents by collection and author, times, and what is durable.

The store's own state is decoded by Store itself, over a log that takes no commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError
from edge_peer.core.store.store import STATE_ID, Store
from edge_peer.host import codec, storage
from edge_peer.peer import INFO_COLLECTION

if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.store.log import Keep, Put
from edge_tools.inspect_source import Flash, Source, counted


@dataclass
class Span:
    """From the oldest to the newest of some writes, as stamps; 0 before the first."""

    oldest: int = 0
    newest: int = 0

    def add(self, stamp: int) -> None:
        self.oldest = min(self.oldest or stamp, stamp)
        self.newest = max(self.newest, stamp)


@dataclass
class Collection:
    documents: int = 0
    bytes: int = 0
    waiting: int = 0  # documents that the Big Peer may not have
    span: Span = field(default_factory=Span)


@dataclass
class Author:
    name: str = ""  # from its report on itself
    documents: int = 0  # with a field of this author
    waiting: int = 0  # of these, with one that the Big Peer may not have
    newest: int = 0  # sequence numbers: of the newest write here,
    known: int = 0  # K,
    evicted: int = 0  # E,
    durable: int = 0  # D
    own_like: int = 0  # writes whose number is their document's arrival


@dataclass
class Report:
    kind: str
    version: int
    is_in_use: bool
    is_big_peer: bool
    used_bytes: int | None
    quota_bytes: int | None
    relayed: tuple[int, int] | None  # documents and bytes
    flash: Flash | None
    device_author: bytes | None = None  # None: the store does not tell
    collections: dict[str, Collection] = field(default_factory=dict)
    authors: dict[bytes, Author] = field(default_factory=dict)
    span: Span = field(default_factory=Span)
    damage: list[str] = field(default_factory=list)


class _Entries:
    """A log with nothing but the store's own entry, for Store to decode; it takes no commit."""

    arrival_max = 0
    authors_max = storage.SqliteLog.authors_max

    def __init__(self, state: bytes | None) -> None:
        self._state = state

    def get(self, collection: str, id: str) -> bytes | None:
        return self._state if id == STATE_ID else None

    def since(self, arrival: int, limit: int) -> "list[Put]":
        return []

    def scan(self, collection: str, keep: "Keep | None" = None) -> Iterator[tuple[str, bytes]]:
        return iter(())

    def collections(self) -> list[str]:
        return []

    def commit(self, puts: "list[Put]") -> None:
        pass

    def evict_again(self) -> None:
        pass

    def status(self) -> dict[str, int]:
        return {}


def survey(source: Source) -> Report:
    """Read all of a store."""
    report = Report(
        source.kind,
        source.version,
        source.is_in_use,
        source.is_big_peer,
        source.used_bytes(),
        source.quota_bytes,
        source.relayed(),
        source.flash(),
    )
    damage = []
    try:
        state = _state(source.state(), source.is_big_peer)
    except FormatError:
        damage.append("the store's own entry is damaged")
        state = _state(None, source.is_big_peer)
    impostors = set()  # authors who have written what this device cannot have
    unreadable_count = 0
    for put in source.puts():
        try:
            document = documents.decode(put[3])
        except FormatError:
            unreadable_count += 1
        else:
            _enter(report, state, put, document)
            impostors |= _not_ours(state, put[2], document)
    for vector in (state.knowledge, state.evicted, state.durable):
        for author in vector:
            report.authors.setdefault(author, Author())
    own = [
        author
        for author, found in report.authors.items()
        if found.own_like and author not in impostors and author not in state.knowledge
    ]
    report.device_author = own[0] if len(own) == 1 else None
    for author, found in report.authors.items():
        found.known = state.knowledge.get(author, 0)
        if author == report.device_author:
            found.known = max(found.newest, state.own_seq)
        found.evicted = state.evicted.get(author, 0)
        found.durable = state.durable_seq(author)
    report.damage = source.damage() + damage + unreadable(unreadable_count)
    return report


def _state(data: bytes | None, is_big_peer: bool) -> Store:
    """Return a store without documents, to tell K, E and D. Raises FormatError, StorageError."""
    return Store(lambda evict, before: _Entries(data), b"", lambda: None, bytes, is_big_peer)


def _enter(report: Report, state: Store, put: "Put", document: "Document") -> None:
    name, id, arrival, body = put
    collection = report.collections.setdefault(name, Collection())
    collection.documents += 1
    collection.bytes += len(body)
    newest: dict[bytes, int] = {}
    for cell in document.values():
        report.span.add(cell.stamp)
        collection.span.add(cell.stamp)
        newest[cell.author] = max(newest.get(cell.author, 0), cell.seq)
    is_waiting = False
    for number, seq in newest.items():
        author = report.authors.setdefault(number, Author())
        author.documents += 1
        author.newest = max(author.newest, seq)
        author.own_like += seq == arrival
        if not report.is_big_peer and seq > state.durable_seq(number):
            author.waiting += 1
            is_waiting = True
    collection.waiting += is_waiting
    if name == INFO_COLLECTION:
        _take_name(report, id, document)


def _take_name(report: Report, id: str, document: "Document") -> None:
    """Remember what a device says it is called."""
    try:
        number = bytes.fromhex(id)
        name = codec.unpack(document["name"].value)
    except (ValueError, KeyError, FormatError):
        return
    if isinstance(name, str) and len(number) == documents.AUTHOR_SIZE:
        report.authors.setdefault(number, Author()).name = name


def _not_ours(state: Store, arrival: int, document: "Document") -> set[bytes]:
    """Return the authors of writes that are not this device's own.

    The store's entry has the incarnation and not the author. But the number of an own write
    is its arrival, which a document only raises, and none is between the newest own
    one and the arrival that the entry was written at.
    """
    return {
        cell.author
        for cell in document.values()
        if cell.seq > arrival or state.own_seq < cell.seq <= state.arrival
    }


def unreadable(count: int) -> list[str]:
    return [counted(count, "document", "documents") + " cannot be read"] if count else []
