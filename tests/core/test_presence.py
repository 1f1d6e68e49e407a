"""Presence: what peers hear of a mesh, and what they forget of it."""

from helpers import Random, raises

from edge_peer.core.errors import FormatError
from edge_peer.core.packing import Reader
from edge_peer.core.sync.presence import (
    ENTRY_COUNT_MAX,
    INTERVAL_MS,
    LINK_COUNT_MAX,
    VERSION_MAX,
    Entry,
    Link,
    Presence,
    Telling,
    put_entry,
    quality_of,
    take_entries,
)


def author(number):
    return bytes(7) + bytes([number])


class Mesh:
    """Peers that hear, 1, 2, …, and the links between them; what they say arrives at once."""

    def __init__(self, *links, authors_max=256):
        self.now_ms = 0
        self.links = set()
        self.peers = {}
        self.telling = {}
        self.sent_bytes = 0
        self._authors_max = authors_max
        for a, b in links:
            self.link(a, b)

    def peer(self, number):
        if number not in self.peers:
            name = "p%d" % number
            self.peers[number] = Presence(author(number), name, self._authors_max)
        return self.peers[number]

    def link(self, a, b):
        self.links.add((min(a, b), max(a, b)))
        for one, other in ((a, b), (b, a)):
            self.telling[one, other] = Telling(self.peer(one), author(other))
        self._changed(a, b)

    def cut(self, a, b):
        self.links.remove((min(a, b), max(a, b)))
        for pair in ((a, b), (b, a)):
            del self.telling[pair]
        self._changed(a, b)

    def restart(self, number):
        """Lose all that it knows, and its links for a moment."""
        ends = self.neighbours(number)
        for other in ends:
            self.cut(number, other)
        del self.peers[number]
        for other in ends:
            self.link(number, other)

    def neighbours(self, number):
        return sorted([a if b == number else b for a, b in self.links if number in (a, b)])

    def _changed(self, *numbers):
        for number in numbers:
            links = [Link(author(n), "p%d" % n, "lan", 3) for n in self.neighbours(number)]
            self.peer(number).note_links(links)

    def talk(self):
        moved = True
        while moved:
            moved = False
            self.now_ms += INTERVAL_MS
            for one, other in sorted(self.telling):
                message = self.telling[one, other].next_message(1_024, self.now_ms)
                if message:
                    moved = True
                    self.sent_bytes += len(message)
                    entries = take_entries(Reader(message[1:]))
                    self.peers[other].take(entries, author(one), True)
                    self.telling[other, one].owe(self.peers[other].owed)
        return self

    def seen_by(self, number):
        """Return {peer: [its links]}, as this one sees it."""
        return {
            int(entry["author"], 16): [int(link["author"], 16) for link in entry["links"]]
            for entry in self.peers[number].graph()
        }


def test_everybody_sees_who_is_linked_to_whom():
    mesh = Mesh((1, 2), (2, 3), (3, 4), (4, 1), (2, 5)).talk()
    for number in range(1, 6):
        seen = mesh.seen_by(number)
        for other in (1, 2, 3, 4):
            assert seen[other] == mesh.neighbours(other), (number, other)
    assert mesh.peers[1].graph()[0] == {
        "author": author(1).hex(),
        "name": "p1",
        "hops": 0,
        "links": [
            {"author": author(n).hex(), "name": "p%d" % n, "medium": "lan", "quality": 3}
            for n in (2, 4)
        ],
    }


def test_a_pair_has_nothing_to_tell():
    assert Mesh((1, 2)).talk().sent_bytes == 0


def test_a_mesh_without_news_says_nothing():
    mesh = Mesh((1, 2), (2, 3), (3, 1)).talk()
    sent_bytes = mesh.sent_bytes
    assert mesh.talk().sent_bytes == sent_bytes


def test_what_no_link_leads_to_any_more_is_forgotten():
    mesh = Mesh((1, 2), (2, 3), (3, 4), (4, 5)).talk()
    mesh.cut(2, 3)
    mesh.talk()
    assert sorted(mesh.seen_by(1)) == [1, 2]
    assert 3 in mesh.seen_by(5)
    mesh.link(2, 3)
    mesh.talk()
    assert sorted(mesh.seen_by(1)) == [1, 2, 3, 4]


def test_nothing_is_heard_from_more_than_six_links_away():
    mesh = Mesh(*[(n, n + 1) for n in range(1, 12)]).talk()
    assert max(mesh.seen_by(1)) == 7


def test_a_peer_that_has_started_again_is_believed():
    mesh = Mesh((1, 2), (2, 3), (3, 1), (3, 4), (1, 5)).talk()
    mesh.restart(3)
    mesh.cut(3, 4)
    mesh.talk()
    for number in (1, 2):
        assert mesh.seen_by(number)[3] == [1, 2]


def test_whatever_happens_all_see_the_same_in_the_end():
    for seed in range(40):
        random = Random(seed)
        mesh = Mesh((1, 2), (2, 3), (3, 4), (4, 5), (5, 1))
        for _ in range(30):
            a, b = 1 + random.below(5), 1 + random.below(5)
            pair = (min(a, b), max(a, b))
            if a == b:
                mesh.restart(a)
            elif pair in mesh.links:
                mesh.cut(a, b)
            else:
                mesh.link(a, b)
            if random.below(3) == 0:
                mesh.talk()
        mesh.talk()
        for one in mesh.peers:
            seen = mesh.seen_by(one)
            for other in seen:
                assert seen[other] == mesh.neighbours(other), (seed, one, other)


def test_a_device_is_believed_of_itself_only():
    presence = Presence(author(1), "p1", 256)
    presence.note_links([Link(author(2), "p2", "lan", 3)])
    link = Link(author(1), "p1", "lan", 3)
    own, others = Entry(author(2), 1, "p2", [link], 0, b""), Entry(author(3), 1, "", [link], 0, b"")
    assert presence.take([own, others], author(2), False)
    assert [entry["name"] for entry in presence.graph()] == ["p1", "p2"]


def test_a_neighbour_that_makes_up_peers_fills_the_table_and_no_more():
    presence = Presence(author(1), "p1", 64)
    presence.note_links([Link(author(2), "p2", "lan", 3)])
    link = Link(author(2), "p2", "lan", 3)
    for n in range(3, 200):
        presence.take([Entry(author(n), 1, "", [link], 0, b"")], author(2), True)
    assert len(presence.graph()) == 1 + 16
    assert presence.dropped_count == 181


def test_entries_come_back_as_they_were_and_their_prefixes_are_refused():
    links = [Link(author(n), "n%d" % n, "lan", n % 4) for n in range(LINK_COUNT_MAX)]
    entry = Entry(author(9), VERSION_MAX, "näme", links, 0, b"")
    raw = bytes([1]) + put_entry(entry)
    assert take_entries(Reader(raw)) == [entry]
    for size in range(len(raw)):
        with raises(FormatError):
            take_entries(Reader(raw[:size]))
    with raises(FormatError):
        take_entries(Reader(bytes([ENTRY_COUNT_MAX + 1]) + raw[1:]))
    with raises(FormatError, "quality"):
        take_entries(Reader(raw[:-1] + b"\x04"))


def test_quality_is_how_little_is_repeated():
    assert [quality_of(100, n) for n in (0, 1, 2, 3, 10, 11, 500)] == [3, 2, 2, 1, 1, 0, 0]


def test_a_device_cannot_say_how_new_the_presence_of_others_is():
    presence = Presence(author(1), "p1", 256)
    presence.note_links([Link(author(2), "p2", "lan", 3)])
    lie = Entry(author(1), VERSION_MAX, "p1", [], 0, b"")
    assert not presence.take([lie], author(2), False)
    assert presence.take([lie], author(2), True)
    assert not presence.take([lie], author(2), True)  # and a relay's lie is believed once
