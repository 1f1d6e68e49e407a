"""
Attachments: what is too large for a document, in pieces beside the documents.

A document holds a token (core/kinds.py): the first 16 bytes of the blob's SHA-256, its
size and its media type. The blob lies in the same log as the documents do, in two
collections that hold none (core/limits.py):

    PIECES   name number, hexadecimal   PIECE_BYTES of the blob; of the last one what is left
    KEPT     name                       its size, a varint
    name     base64 of the id without what fills it up, 22 characters

KEPT is written last, so what has no such entry may lack pieces. A Small Peer keeps its
own attachments until the Big Peer has them, then takes the entry away: what has none
goes when there is no room for others. The Big Peer keeps everything; there an entry says
that all pieces are there and were compared with the id.

*Wants* are what this peer lacks and somebody waits for: somebody here (fetch), or, where
this peer passes on what others want, a neighbour. They are in RAM: which pieces are
there is what the log says. core/sync/exchange.py carries them over a link.
"""

import hashlib
from binascii import a2b_base64, b2a_base64

from edge_peer.core.errors import StoreFull
from edge_peer.core.kinds import ATTACHMENT_ID_SIZE, Attachment, packed_token
from edge_peer.core.limits import ATTACHMENTS, KEPT, PIECE_BYTES, PIECES
from edge_peer.core.packing import Reader, put_varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from edge_peer.core.store.store import Store

ATTACHMENT_BYTES_MAX = 16 << 20  # to compare it with its id makes all others wait
WANT_COUNT_MAX = 16  # blobs on their way at once
ASKED_MS = 10_000  # without a word from the neighbour, a piece is asked for again
PASSED_ON_MS = 30_000  # who waits asks again before that
ASKERS_MAX = 8  # neighbours that wait for the same blob, or that offer it
OFFER_COUNT_MAX = 32  # of neighbours, passed on
COMMIT_PIECES_MAX = 64  # pieces in one commit
_NAME_SIZE = 22


class Want:
    """A blob on its way. missing: one bit for each piece that somebody waits for."""

    def __init__(self, id: bytes, size: int) -> None:
        self.id = id
        self.size = size
        self.missing = bytearray((piece_count(size) + 7) // 8)
        self.missing_count = 0
        self.user_count = 0  # who here waits for all of it
        self.until_ms = 0  # how long a neighbour waits for some of it
        self.asked: dict[int, tuple[object, int]] = {}  # piece -> link, until when
        self.lacking: dict[object, int] = {}  # link -> until when it is not asked
        self.error: StoreFull | None = None
        self.listeners: list[Callable[[], Any]] = []  # called when something came, or will not

    def lacks(self, number: int) -> bool:
        return bool(self.missing[number >> 3] & 1 << (number & 7))

    def set(self, number: int, is_missing: bool) -> None:
        if self.lacks(number) != is_missing:
            self.missing[number >> 3] ^= 1 << (number & 7)
            self.missing_count += 1 if is_missing else -1

    def runs_for(
        self, link: object, now_ms: int, room: int, count_max: int
    ) -> "list[tuple[int, int]]":
        """Choose up to `room` pieces that nobody is asked for: [(number, count)]."""
        runs: list[tuple[int, int]] = []
        if self.lacking.get(link, now_ms) > now_ms:
            return runs
        for index in range(len(self.missing)):
            if not self.missing[index]:
                continue
            for number in range(8 * index, 8 * index + 8):
                if room <= 0:
                    return runs
                asked = self.asked.get(number)
                if not self.lacks(number) or (asked is not None and asked[1] > now_ms):
                    continue
                if runs and sum(runs[-1]) == number:
                    runs[-1] = (runs[-1][0], runs[-1][1] + 1)
                elif len(runs) < count_max:
                    runs.append((number, 1))
                else:
                    return runs
                self.asked[number] = (link, now_ms + ASKED_MS)
                room -= 1
        return runs

    def asked_of(self, link: object, now_ms: int) -> "list[int]":
        """Return the pieces that this link is waited for."""
        return [n for n, (one, due_ms) in self.asked.items() if one is link and due_ms > now_ms]

    def forget(self, link: object) -> None:
        """Nothing more is to be expected of it."""
        self.forget_some(link, list(self.asked))

    def forget_some(self, link: object, numbers: "list[int]") -> None:
        for number in numbers:
            if number in self.asked and self.asked[number][0] is link:
                del self.asked[number]


class Attachments:
    def __init__(self, store: "Store") -> None:
        self.wants: dict[bytes, Want] = {}
        self.offers: dict[bytes, tuple[int, list[Any]]] = {}  # id -> size, the links it came by
        self.kept: dict[str, int] = {}  # own ones that the Big Peer may lack: name -> size
        self._store = store
        self._log = store.log
        self._writing = ""
        if not store.keeps_all:
            for name, body in self._log.scan(KEPT):
                self.kept[name] = Reader(body).varint()

    # Blobs

    def attach(self, source: "Any", type: str) -> Attachment:
        """Store a blob, durable on return; return its token.

        source: bytes, or what has read(n) and seek(0): it is read twice. Raises
        StoreFull if there is no room for it, ValueError if it is too large or changes.
        """
        size, id = 0, hashlib.sha256()
        for piece in _pieces_of(source):
            size += len(piece)
            id.update(piece)
        token = Attachment(id.digest()[:ATTACHMENT_ID_SIZE], size, type)
        packed_token(token)
        self._check_size(size)
        self._writing = name = name_of(token.id)
        try:
            self._write(name, source, token)
        finally:
            self._writing = ""
        if not self._store.keeps_all:
            self.kept[name] = size
        self._store.wake()
        return token

    def read(self, id: bytes, number: int) -> "bytes | None":
        """Return one piece, None if it is not here."""
        return self._log.get(PIECES, "%s%x" % (name_of(id), number))

    def whole(self, id: bytes) -> "int | None":
        """Return the size of what is known to be all here."""
        body = self._log.get(KEPT, name_of(id))
        return None if body is None else Reader(body).varint()

    def release(self, id: bytes) -> None:
        """The Big Peer has all of it."""
        name = name_of(id)
        if self.kept.pop(name, None) is not None:
            self._log.drop([(KEPT, name)])
            self._store.ask_again()

    def may_go(self, collection: str, id: str) -> bool:
        """Return whether an entry of the log may go."""
        name = id[:_NAME_SIZE]
        if collection == KEPT or name in self.kept or name == self._writing:
            return False
        return not self.wants or id_of(name) not in self.wants

    # Wants

    def want(self, token: Attachment) -> Want:
        """Ask neighbours for what is not here, until `unwant`; raises StoreFull."""
        want = self._open_want(token.id, token.size)
        want.user_count += 1
        self._miss_all(want)
        self._store.wake()
        return want

    def unwant(self, want: Want) -> None:
        want.user_count -= 1
        if want.user_count <= 0 and self.wants.get(want.id) is want:
            del self.wants[want.id]
            self._store.ask_again()

    def pass_on(self, id: bytes, size: int, numbers: "list[int]", now_ms: int) -> bool:
        """A neighbour waits for these, a while; return False if there is no room for them."""
        try:
            want = self._open_want(id, size)
        except (StoreFull, ValueError):
            return False
        want.until_ms = now_ms + PASSED_ON_MS
        for number in numbers:
            want.set(number, True)
        self._store.wake()
        return True

    def forget_wants(self, now_ms: int) -> None:
        """Ask no longer for what nobody waits for."""
        for want in list(self.wants.values()):
            if not want.user_count and want.until_ms <= now_ms:
                del self.wants[want.id]
                self.offers.pop(want.id, None)  # if the Big Peer waited: it is offered again
                self._store.ask_again()

    def wake(self) -> None:
        self._store.wake()

    def put(self, id: bytes, number: int, data: bytes, now_ms: int) -> None:
        """Take what a neighbour sent, durably: from piece `number` on, those that we lack."""
        want = self.wants.get(id)
        if want is None:
            return
        want.until_ms = max(want.until_ms, now_ms + PASSED_ON_MS)
        name = name_of(id)
        puts = []
        numbers = []
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            size = min(PIECE_BYTES, want.size - number * PIECE_BYTES)
            if len(piece) == size and want.lacks(number):
                numbers.append(number)
                puts.append((PIECES, "%s%x" % (name, number), 0, piece))
            number += 1
        try:
            self._commit(puts)
        except StoreFull as error:
            want.error = error
            del self.wants[id]
            self._tell(want)
            return
        for number in numbers:
            want.set(number, False)
            want.asked.pop(number, None)
        if not want.missing_count:
            self._have_all(want)
        self._tell(want)

    def verify(self, want: Want) -> bool:
        """Return whether all of it is here; of what is not, pieces are missing again."""
        if want.missing_count:
            return False
        digest = hashlib.sha256()
        for number in range(piece_count(want.size)):
            piece = self.read(want.id, number)
            if piece is None:
                want.set(number, True)
            elif not want.missing_count:
                digest.update(piece)
        if want.missing_count:
            return False
        if digest.digest()[:ATTACHMENT_ID_SIZE] == want.id:
            return True
        name = name_of(want.id)
        keys = [(PIECES, "%s%x" % (name, number)) for number in range(piece_count(want.size))]
        self._log.drop(keys)
        for number in range(len(keys)):
            want.set(number, True)
        return False

    # Offers: what the Big Peer should have

    def offered(self) -> "Iterator[tuple[bytes, int, list[Any]]]":
        """Yield (id, size, links not to offer it to)."""
        for name, size in list(self.kept.items()):
            id = id_of(name)
            yield id, size, self.offers[id][1] if id in self.offers else []
        for id, (size, links) in list(self.offers.items()):
            if not self._store.keeps_all and name_of(id) not in self.kept:
                yield id, size, links

    def take_offer(self, id: bytes, size: int, link: "Any", now_ms: int) -> bool:
        """A neighbour has what the Big Peer may lack; return True if this is it, and has it."""
        if self._store.keeps_all and self.whole(id) is not None:
            return True
        offer = self.offers.get(id)
        if offer is None:
            if len(self.offers) >= OFFER_COUNT_MAX:
                del self.offers[next(iter(self.offers))]  # it will be offered again
            offer = self.offers[id] = (size, [])
        if link not in offer[1] and len(offer[1]) < ASKERS_MAX:
            offer[1].append(link)
        if self._store.keeps_all:
            self._take_up(id, size, now_ms)
        self._store.wake()
        return False

    def take_have(self, id: bytes) -> None:
        """The Big Peer has all of it, says a neighbour; tell those who offered it."""
        self.release(id)
        for link in self.offers.pop(id, (0, []))[1]:
            link.tell_have(id)
        self._store.wake()

    def forget_link(self, link: "Any") -> None:
        """The link is closed."""
        for id in list(self.offers):
            links = self.offers[id][1]
            if link in links:
                links.remove(link)
                if not links:
                    del self.offers[id]
        for want in self.wants.values():
            want.forget(link)
            want.lacking.pop(link, None)

    # Private

    def _tell(self, want: Want) -> None:
        for listener in want.listeners:
            listener()
        self._store.wake()

    def _check_size(self, size: int) -> None:
        if size > ATTACHMENT_BYTES_MAX:
            raise ValueError("an attachment has at most %d bytes" % ATTACHMENT_BYTES_MAX)
        quota_bytes = self._log.limits[ATTACHMENTS][0]
        if quota_bytes is not None and size > quota_bytes:
            raise StoreFull("%d bytes; attachments have %d of the store" % (size, quota_bytes))

    def _write(self, name: str, source: "Any", token: Attachment) -> None:
        digest = hashlib.sha256()
        if hasattr(source, "seek"):
            source.seek(0)
        puts = []
        for number, piece in enumerate(_pieces_of(source)):
            digest.update(piece)
            # Also what is here already: the log may have found that it can go.
            puts.append((PIECES, "%s%x" % (name, number), 0, piece))
            if len(puts) >= min(COMMIT_PIECES_MAX, self._log.commit_bytes_max // 1024):
                self._commit(puts)
                puts = []
        if digest.digest()[:ATTACHMENT_ID_SIZE] != token.id:
            raise ValueError("the attachment changed while it was read")
        self._commit(puts)
        self._keep(name, token.size)

    def _keep(self, name: str, size: int) -> None:
        body = bytearray()
        put_varint(body, size)
        self._log.commit([(KEPT, name, 0, bytes(body))])

    def _commit(self, puts: "list[tuple[str, str, int, bytes]]") -> None:
        count = max(1, min(COMMIT_PIECES_MAX, self._log.commit_bytes_max // 1024))
        for start in range(0, len(puts), count):
            self._log.commit(puts[start : start + count])

    def _take_up(self, id: bytes, size: int, now_ms: int) -> None:
        """As the Big Peer, ask for what was offered, if not for too many blobs at once."""
        try:
            if id not in self.wants and len(self.wants) >= WANT_COUNT_MAX:
                raise StoreFull("too many attachments on their way")
            want = self._open_want(id, size)
        except (StoreFull, ValueError):
            del self.offers[id]
            return
        want.until_ms = now_ms + PASSED_ON_MS
        self._miss_all(want)
        if not want.missing_count:
            self._have_all(want)

    def _miss_all(self, want: Want) -> None:
        """Want all pieces that are not here."""
        for number in range(piece_count(want.size)):
            if self.read(want.id, number) is None:
                want.set(number, True)

    def _open_want(self, id: bytes, size: int) -> Want:
        want = self.wants.get(id)
        if want is None:
            self._check_size(size)
            if len(self.wants) >= WANT_COUNT_MAX:
                self._drop_a_want()
            want = self.wants[id] = Want(id, size)
            self._store.ask_again()
        elif want.size != size:
            raise ValueError("an attachment of another size")
        return want

    def _drop_a_want(self) -> None:
        """Make room for another; one that only neighbours wait for gives way."""
        for id in list(self.wants):
            if not self.wants[id].user_count:
                del self.wants[id]
                return
        raise StoreFull("%d attachments are on their way already" % WANT_COUNT_MAX)

    def _have_all(self, want: Want) -> None:
        """Everything that was waited for is here."""
        if self._store.keeps_all and want.id in self.offers:
            if self.verify(want):
                self._keep(name_of(want.id), want.size)
                self.take_have(want.id)
            self.offers.pop(want.id, None)
        if not want.user_count and self.wants.get(want.id) is want:
            del self.wants[want.id]  # neighbours get it from the log
            self._store.ask_again()


def piece_count(size: int) -> int:
    return (size + PIECE_BYTES - 1) // PIECE_BYTES


def name_of(id: bytes) -> str:
    return b2a_base64(id)[:_NAME_SIZE].decode()


def id_of(name: str) -> bytes:
    return a2b_base64(name + "==")


def _pieces_of(source: "Any") -> "Iterator[bytes]":
    """Yield the pieces; what reads less than asked for is asked again."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        for start in range(0, len(source), PIECE_BYTES):
            yield bytes(source[start : start + PIECE_BYTES])
        return
    piece = b""
    while True:
        data = source.read(PIECE_BYTES - len(piece))
        piece += data or b""
        if len(piece) == PIECE_BYTES or not data:
            if piece:
                yield bytes(piece)
            if not data:
                return
            piece = b""
