"""
Who is linked to whom in the mesh, over what, and how well. Loaded by who wants to know.

Each peer that hears describes its own links in one entry and raises the entry's version with every
change; who hears a higher version passes it on. So there is one state for each peer and no
history, and nothing is repeated in time. An entry that no chain of at most HOPS_MAX links leads
to is dropped; that is how what is gone goes, without timers. A peer that has started again
begins with version 1, hears from its neighbours what it does not remember of itself, and
goes on above that (as routers do in OSPF, RFC 2328, 13.4). Who does not hear, as most
boards, tells nothing either: its links are in the entries at their other ends.

    PRESENCE   17 | count | entry*                              to who said HEARS in its HELLO
    entry      author 8 | version | name text | count | (author 8 | name text | medium text |
               quality u8)*

Of its own links a peer tells nothing to the only neighbour that it has: that one sees it.
A device is heard of itself only; relays and Big Peers also of others.
"""

from binascii import hexlify
from collections import namedtuple

from edge_peer.core.document import AUTHOR_SIZE
from edge_peer.core.errors import FormatError
from edge_peer.core.packing import put_text, put_varint
from edge_peer.core.sync.messages import HOPS_MAX, PRESENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.packing import Reader
    from edge_peer.core.sync.session import Session

INTERVAL_MS = 5_000  # between two messages on one link: links that flap are told of once
LINK_COUNT_MAX = 16  # of one peer that are told of; itself it knows all
ENTRY_COUNT_MAX = 8  # in one message
NAME_BYTES_MAX = 32
MEDIUM_BYTES_MAX = 16
VERSION_MAX = 1 << 32  # from there on nobody could go on above a lie
AUTHORS_PER_PEER = 4  # so many times fewer entries than the store knows authors: 16 on a board
PEER_COUNT_MAX = 1_024
QUALITY_MAX = 3  # 3: nothing was repeated; 2, 1, 0: up to 2, 10, 100 % of the frames were

_QUALITY_PERCENT = (10, 2, 0)  # the most for 1, 2, 3

Link = namedtuple("Link", ("author", "name", "medium", "quality"))
# number: of the news that it is here; source: the neighbour it came from, b"" for our own
Entry = namedtuple("Entry", ("author", "version", "name", "links", "number", "source"))


def quality_of(frame_count: int, repeated_count: int) -> int:
    """Return 3 where nothing was sent twice, to 0."""
    percent = -(-100 * repeated_count // max(1, frame_count))
    return len([one for one in _QUALITY_PERCENT if percent <= one])


class Presence:
    def __init__(self, author: bytes, name: str, authors_max: int) -> None:
        self.dropped_count = 0  # entries that found no room
        self._author = author
        self._peers_max = max(1, min(PEER_COUNT_MAX, authors_max // AUTHORS_PER_PEER))
        self.number = 0  # of the last news
        self.owed: list[bytes] = []  # of whom the neighbour that was heard last knows less than we
        self.is_known = False  # others may remember more links of this peer than it has
        self._entries: dict[bytes, Entry] = {author: Entry(author, 0, name, [], 0, b"")}
        self._found: dict[bytes, int] | None = None  # how far they are, while nothing has changed

    def note_links(self, links: "list[Link]") -> bool:
        """Take all links of this peer; return whether that is news."""
        own = self._entries[self._author]
        if links == own.links:
            return False
        self._keep(own.version + 1, own.name, links, self._author, b"")
        self.is_known = self.is_known or len(set([link.author for link in links])) > 1
        self._prune()
        return True

    def take(self, entries: "list[Entry]", neighbour: bytes, is_believed: bool) -> bool:
        """Take what a neighbour says; is_believed: of others, too. Return whether it is news."""
        before, self.owed = self.number, []
        for entry in entries:
            if entry.author == self._author:
                if is_believed:  # a device remembers nobody but itself
                    self._take_own(entry)
                continue
            known = self._entries.get(entry.author)
            # Of two that have one version any counts, but everywhere the same.
            if known is not None and put_entry(entry, True) <= put_entry(known, True):
                if entry[1:4] != known[1:4]:
                    self.owed.append(entry.author)
                continue
            if entry.author != neighbour and not is_believed:
                continue
            if known is None and len(self._entries) > self._peers_max:
                self.dropped_count += 1
            else:
                self._keep(entry.version, entry.name, entry.links, entry.author, neighbour)
        self._prune()
        return self.number != before

    def _take_own(self, entry: Entry) -> None:
        """What others hold of this peer: go on above it, unless it is what they were told."""
        own = self._entries[self._author]
        if own.version == VERSION_MAX:
            return  # nothing is above it: whoever holds something else keeps it
        is_same = entry[2:4] == _told(own)[2:4]
        if not self.is_known or entry.version >= own.version + is_same:
            self.is_known = True
            version = min(max(own.version, entry.version) + 1, VERSION_MAX)
            self._keep(version, own.name, own.links, self._author, b"")

    def graph(self) -> "list[dict[str, Any]]":
        """Return what is known of the mesh, the nearest first, with this peer at its head."""
        distances = self._distances()
        return [
            {
                "author": hexlify(author).decode(),
                "name": self._entries[author].name,
                "hops": hops,
                "links": [
                    {
                        "author": hexlify(link.author).decode(),
                        "name": link.name,
                        "medium": link.medium,
                        "quality": link.quality,
                    }
                    for link in self._entries[author].links
                ],
            }
            for hops, author in sorted([(distances[one], one) for one in self._entries])
        ]

    def news(self, number: int, owed: "set[bytes]") -> "list[Entry]":
        """Return what has come since then, or is owed, in that order, as far as it goes further."""
        distances = self._distances()
        return sorted(
            [
                entry
                for entry in self._entries.values()
                if (entry.number > number or entry.author in owed)
                and distances[entry.author] < HOPS_MAX
            ],
            key=_number_of,
        )

    def _keep(
        self, version: int, name: str, links: "list[Link]", author: bytes, source: bytes
    ) -> None:
        self.number += 1
        self._entries[author] = Entry(author, version, name, links, self.number, source)
        self._found = None

    def _prune(self) -> None:
        distances = self._distances()
        for author in [one for one in self._entries if one not in distances]:
            del self._entries[author]
            self._found = None

    def _distances(self) -> "dict[bytes, int]":
        """Return author -> links on the way there, of all that are at most HOPS_MAX away."""
        if self._found is not None:
            return self._found
        ends: dict[bytes, list[bytes]] = {}
        for entry in self._entries.values():
            for link in entry.links:
                if self._denies(link.author, entry.author):
                    continue
                ends.setdefault(entry.author, []).append(link.author)
                ends.setdefault(link.author, []).append(entry.author)
        found = {self._author: 0}
        edge = [self._author]
        for hops in range(1, HOPS_MAX + 1):
            edge = [one for author in edge for one in ends.get(author, ()) if one not in found]
            for author in edge:
                found[author] = hops
            edge = list(set(edge))
        self._found = found
        return found

    def _denies(self, author: bytes, other: bytes) -> bool:
        """Return whether a peer knows nothing of a link that the other one tells of."""
        entry = self._entries.get(author)
        if entry is None or entry.source and len(entry.links) >= LINK_COUNT_MAX:
            return False
        return all([link.author != other for link in entry.links])


class Telling:
    """What one neighbour is told, as far as it has been told."""

    def __init__(self, presence: Presence, neighbour: bytes) -> None:
        self._presence = presence
        self._neighbour = neighbour
        self._number = 0
        self._due_ms = 0
        self._owed: set[bytes] = set()
        self._opened_at = presence.number  # what it said before it may have forgotten

    def deadline_ms(self) -> "int | None":
        has_news = self._owed or self._number < self._presence.number
        return self._due_ms if has_news else None

    def owe(self, authors: "list[bytes]") -> None:
        """Tell it of these again: it has just shown that it knows less."""
        self._owed.update(authors)

    def next_message(self, size_max: int, now_ms: int) -> bytes:
        """Return the next message, at most `size_max` bytes, or b"" where nothing is new."""
        if now_ms < self._due_ms or self.deadline_ms() is None:
            return b""
        told: list[bytes] = []
        size = 2
        for entry in self._presence.news(self._number, self._owed):
            raw = b"" if self._is_known(entry) else put_entry(entry)
            if raw and (size + len(raw) > size_max or len(told) == ENTRY_COUNT_MAX):
                break
            self._number = max(self._number, entry.number)
            self._owed.discard(entry.author)
            if raw:
                told.append(raw)
                size += len(raw)
        else:
            self._number = self._presence.number
            self._owed = set()
        if not told:
            return b""
        self._due_ms = now_ms + INTERVAL_MS
        return bytes([PRESENCE, len(told)]) + b"".join(told)

    def _is_known(self, entry: Entry) -> bool:
        """Return whether it said this itself, or sees all of it: our only link, which is to it."""
        if entry.author in self._owed:
            return False
        if entry.source or self._presence.is_known:
            return bool(entry.source == self._neighbour and entry.number > self._opened_at)
        return all([link.author == self._neighbour for link in entry.links])


def links_of(sessions: "list[Session]") -> "list[Link]":
    """Describe a peer's open links, those to relays first."""
    found = []
    for session in sessions:
        quality = quality_of(session.frame_count(), session.retransmitted_count())
        link = Link(session.neighbour, session.neighbour_name, session.medium.name, quality)
        found.append((session.sync is None or not session.sync.relays(), link))
    return [link for _, link in sorted(found)]


def put_entry(entry: Entry, sorts: bool = False) -> bytes:
    """sorts: so that a later version is the higher one as bytes."""
    out = bytearray(entry.author)
    if sorts:
        out += entry.version.to_bytes(8, "big")
    else:
        put_varint(out, entry.version)
    put_text(out, entry.name)
    links = _told(entry).links
    put_varint(out, len(links))
    for link in links:
        out += link.author
        put_text(out, link.name)
        put_text(out, link.medium)
        out.append(link.quality)
    return bytes(out)


def take_entries(reader: "Reader") -> "list[Entry]":
    """Read what follows the kind; raise FormatError."""
    return [_take_entry(reader) for _ in range(reader.count(ENTRY_COUNT_MAX))]


def _take_entry(reader: "Reader") -> Entry:
    author, version = reader.take(AUTHOR_SIZE), reader.count(VERSION_MAX)
    name = reader.text(NAME_BYTES_MAX)
    links = []
    for _ in range(reader.count(LINK_COUNT_MAX)):
        to, its_name = reader.take(AUTHOR_SIZE), reader.text(NAME_BYTES_MAX)
        medium, quality = reader.text(MEDIUM_BYTES_MAX), reader.byte()
        if quality > QUALITY_MAX:
            raise FormatError("a link of quality %d" % quality)
        links.append(Link(to, its_name, medium, quality))
    return Entry(author, version, name, links, 0, b"")


def _told(entry: Entry) -> Entry:
    """Return what others hear of it."""
    return Entry(*(tuple(entry[:3]) + (entry.links[:LINK_COUNT_MAX],) + tuple(entry[4:])))


def _number_of(entry: Entry) -> int:
    number: int = entry.number
    return number
