"""
What a store knows of writes, its neighbours' and its own: the vectors that sync is about.

    knowledge  K  author -> seq   we have, or chose to drop, every write up to it
    evicted    E  author -> seq   the highest write that we dropped
    durable    D  author -> seq   the Big Peer has every write up to it
    cursors       neighbour -> (resume, base, its epoch)   how far we have read its log

K and E name at most as many authors together as the log has room for. Who is in
neither when they are full stays out of both: of what K does not claim, E need not say
what is missing, and the worst is that it is sent again.

core/store/store.py, which is this and the documents, saves them and says when.
"""

from binascii import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_peer.core.document import Document
    from edge_peer.core.store.store import Log
    from edge_peer.core.sync.messages import Hello

    Subscriptions = tuple[tuple[str, bytes], ...]  # statements and their arguments, packed
    Vector = dict[bytes, int]
    Cursor = tuple[int, int, int]

AUTHORS_PER_GREETING = 16  # 4 neighbours on a board, each with up to 640 bytes of subscriptions
AUTHORS_PER_RECENT = 2  # so many times fewer recent writes: 32 on a board, 3 kB
RECENT_COUNT_MAX = 1_024
AUTHORS_PER_CURSOR = 4  # so many times fewer cursors than authors: 16 on a board


class Knowledge:
    log: "Log"
    author: bytes
    arrival: int

    def __init__(self, keeps_all: bool) -> None:
        self.keeps_all = keeps_all
        self.knowledge: Vector = {}
        self.learned_at: Vector = {}  # author -> our arrival when K rose, since the store is open
        self.learned_count = 0
        self.evicted: Vector = {}
        # author -> (seq, evicted): what K would claim, but that neighbours had evicted some of it
        self.partly: dict[bytes, tuple[int, int]] = {}
        self.durable: Vector = {}
        self.durable_count = 0  # how often D rose, since the store is open
        self.cursors: dict[bytes, Cursor] = {}
        # neighbour -> (what it says next time, what we do, as a check), since the store is open
        self.greetings: dict[bytes, tuple[Hello, int]] = {}
        self._cursor_used: dict[bytes, int] = {}  # when, since the store is open
        self._cursor_uses = 0
        # Neighbours whose log we read without cursors as they know what we have, since the store
        # is open (core/sync/reconcile.py); and what was wanted when K was forgotten, None: all
        self.reconciled: set[bytes] = set()
        self._recent: dict[tuple[bytes, int], int] = {}
        self._recent_order: list[tuple[bytes, int]] = []
        self.wanted_before: Subscriptions | None = None
        self.epoch = 0
        self.own_seq = 0
        self.lacks_own = False  # has to get back what it evicted of its own writes, for others
        self._has_own = False  # has got it back, as far as it is wanted now
        self.upstream = b""  # the neighbour that raised D last: the Big Peer is behind it

    def is_durable(self, document: "Document") -> bool:
        """Return whether the Big Peer has all of this document's writes."""
        return all([cell.seq <= self.durable_seq(cell.author) for cell in document.values()])

    def own_evicted(self) -> int:
        """Return the highest of our own writes that was evicted and is not here again."""
        return 0 if self._has_own else self.evicted.get(self.author, 0)

    def known(self, author: bytes) -> int:
        return self.own_seq if author == self.author else self.knowledge.get(author, 0)

    def durable_seq(self, author: bytes) -> int:
        """Return D of one author: on the Big Peer what it knows, elsewhere what it was told."""
        return self.known(author) if self.keeps_all else self.durable.get(author, 0)

    def durable_mark(self) -> int:
        """Return a number that is another one whenever D of some author has risen."""
        return self.learned_count + self.own_seq if self.keeps_all else self.durable_count

    def unsynced_count(self) -> int:
        """Return how many of our own arrivals the Big Peer may not have yet."""
        return max(0, self.own_seq - self.durable_seq(self.author))

    def learn_durable(self, vector: "Vector") -> bool:
        """Take what a neighbour says of D; return whether something was new."""
        ours = {}
        room = self.log.authors_max - len(self.durable)
        for author, seq in vector.items():
            is_new = author not in self.durable and not self.known(author)
            room -= is_new
            if not is_new or room >= 0:
                ours[author] = seq
        if self.keeps_all or not rise(self.durable, ours):
            return False
        self.durable_count += 1
        self.ask_again()
        return True

    def set_cursor(self, neighbour: bytes, cursor: "Cursor") -> None:
        """Remember how far we have read a neighbour's log; saved with the next checkpoint.

        Two links to one neighbour may both report; within an epoch the further one counts.
        Neighbours whose flash was wiped never come back by that name, so of too many
        cursors the one used longest ago goes: that neighbour is read from its start.
        """
        old = self.cursors.get(neighbour)
        if old is not None and old[2] == cursor[2]:
            cursor = (max(old[0], cursor[0]), max(old[1], cursor[1]), cursor[2])
        self.cursors[neighbour] = cursor
        self._cursor_uses += 1
        self._cursor_used[neighbour] = self._cursor_uses
        while len(self.cursors) > max(1, self.log.authors_max // AUTHORS_PER_CURSOR):
            oldest = min([(self._cursor_used.get(one, 0), one) for one in self.cursors])[1]
            del self.cursors[oldest]
            self._cursor_used.pop(oldest, None)

    def note_greeting(self, neighbour: bytes, hello: "Hello", check: int) -> None:
        """Remember how a link ended, so that the next one can begin in a word."""
        if len(self.greetings) >= max(1, self.log.authors_max // AUTHORS_PER_GREETING):
            self.greetings = {}
        self.greetings[neighbour] = hello, check

    def learn(self, vector: "Vector") -> None:
        """Raise K and make it, and the cursors, durable."""
        self.raise_knowledge(vector)
        self.save()

    def raise_knowledge(self, vector: "Vector") -> None:
        for author, seq in self._with_room(vector):
            if author != self.author and seq > self.knowledge.get(author, 0):
                self.knowledge[author] = seq
                self.learned_at[author] = self.arrival
                self.learned_count += 1
                if self.partly and seq >= self.partly.get(author, (seq + 1,))[0]:
                    del self.partly[author]

    def note_partly(self, author: bytes, seq: int, evicted: int) -> bool:
        """We have every write of this author up to `seq`, but what was evicted, up to `evicted`.

        Since the store is open. Return whether that is news.
        """
        old = self.partly.get(author, (self.known(author), 0))[0]
        if seq <= old or author not in self.partly and len(self.partly) >= self.log.authors_max:
            return False
        self.partly[author] = seq, evicted
        return True

    def learn_evicted(self, vector: "Vector") -> None:
        """Raise E; `save` comes with what makes the documents go."""
        self._has_own = self._has_own and self.author not in vector
        rise(self.evicted, dict(self._with_room(vector)))

    def fetched_own(self) -> None:
        """Call when a peer that keeps all has sent what it has of our own writes."""
        self.lacks_own = False
        self._has_own = True  # until more goes, more is wanted or the store is opened again

    def digest(self) -> int:
        """Return 32 bits that are the same on peers that know the same of everybody."""
        vector = dict(self.knowledge)
        vector[self.author] = self.own_seq
        sum = 0
        for author in sorted(vector):
            if vector[author]:
                sum = crc32(author + vector[author].to_bytes(8, "big"), sum)
        return sum & 0xFFFFFFFF

    # Writes that are here, and that K does not claim as something before them may be missing

    def note_recent(self, document: "Document") -> None:
        """These cells are here now, since the store is open."""
        dots: dict[tuple[bytes, int], list[str]] = {}
        for path, cell in document.items():
            if cell.seq > self.known(cell.author):
                dots.setdefault((cell.author, cell.seq), []).append(path)
        for dot, paths in dots.items():
            if dot not in self._recent:
                self._recent_order.append(dot)
            self._recent[dot] = check_of(paths)
        count_max = max(1, min(self.log.authors_max // AUTHORS_PER_RECENT, RECENT_COUNT_MAX))
        while len(self._recent_order) > count_max:
            del self._recent[self._recent_order.pop(0)]

    def recent(self, authors: "Iterable[bytes]") -> "list[tuple[bytes, int, int]]":
        """Return (author, seq, check) of recent writes of these that K does not claim."""
        dots = [dot for dot in self._recent_order if dot[0] in authors]
        return [dot + (self._recent[dot],) for dot in dots if dot[1] > self.known(dot[0])]

    def note_reconciled(self, neighbour: bytes) -> None:
        """Remember that a walk through its log that is cut off can begin with finding out, too."""
        if len(self.reconciled) >= max(1, self.log.authors_max // AUTHORS_PER_CURSOR):
            self.reconciled = set()
        self.reconciled.add(neighbour)

    def forget_knowledge(self, wanted_before: "Subscriptions | None" = None) -> None:
        """Start over with every neighbour: more is wanted, or others lack what was evicted here.

        wanted_before: of more than what, None where nobody can say.
        All that we do not have is sent again, our own writes, too: E is only about these.
        """
        self.knowledge = {}
        self.partly = {}
        own_seq = self.evicted.get(self.author)
        self.evicted = {} if own_seq is None else {self.author: own_seq}
        self._has_own = False
        self.lacks_own = own_seq is not None
        self.learned_at = {}
        self.cursors = {}
        self._cursor_used = {}
        self.reconciled = set()
        self._recent = {}
        self._recent_order = []
        self.wanted_before = wanted_before
        self.epoch += 1
        self.save()

    def _with_room(self, vector: "Vector") -> "list[tuple[bytes, int]]":
        """Return our own entry, and those of authors that K and E name or have room to name."""
        new = [one for one in vector if one not in self.knowledge and one not in self.evicted]
        refused = set(new)
        if new:
            named = set(self.knowledge) | set(self.evicted) | set([self.author])
            room = max(0, 1 + self.log.authors_max - len(named))
            refused = set(sorted(refused - named)[room:])
        return [(author, vector[author]) for author in vector if author not in refused]

    # Of the store

    def save(self) -> None:
        raise NotImplementedError

    def ask_again(self) -> None:
        raise NotImplementedError


def check_of(paths: "list[str]") -> int:
    """Return 16 bits of the paths of a write's cells, in any order."""
    return crc32("\n".join(sorted(paths)).encode()) & 0xFFFF


def rise(vector: "Vector", other: "Vector") -> bool:
    """Take the maximum of each author; return whether an entry rose."""
    changed = False
    for author, seq in other.items():
        if seq > vector.get(author, 0):
            vector[author] = seq
            changed = True
    return changed
