"""
Whole documents again, over one link: ask for what a fragment lacks, and answer.

    FETCH    19 | count | (collection text | id text | CRC-32 u32)*   0: it is not here
    FETCHED  20 | count    so many of them, in that order, need no more than the DELTA before

core/store/fragments.py says what a fragment is. Only the Big Peer knows that it has all of a
document. A relay that is asked asks in its turn, whatever it has, and answers when it has been
answered; several neighbours that want the same wait for one answer. It asks the Big Peer, or
else the neighbour that it has heard from last of what is durable, which comes from there; so a
question does not spread over a mesh. Where relays ask each other, the one that hears of the Big
Peer first answers the other.

A FETCH goes behind all documents that are here: whether somebody wants the whole may hang on
the part that it has. So what a neighbour asks after a relay has asked, and before that is
answered, is asked again: the Big Peer may not have had its part.

An answer is a DELTA that leaves the cursor where it is: the document as far as its receiver
may have it and wants it, if its encoding is another than the one that was asked about. A HELLO
takes back what its sender has asked, and what follows is asked again.
"""

from binascii import crc32

from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError, RemoteProtocolError
from edge_peer.core.ids import COLLECTION_BYTES_MAX, ID_BYTES_MAX
from edge_peer.core.limits import HIDDEN
from edge_peer.core.packing import put_text
from edge_peer.core.sync.messages import FETCH, FETCHED, RELAYS, WANTS_ALL, Fetch, Fetched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.packing import Reader
    from edge_peer.core.store.fragments import Fragments, Key
    from edge_peer.core.store.log import Put
    from edge_peer.core.store.store import Store
    from edge_peer.core.sync.sender import Sender

FETCH_COUNT_MAX = 16
CHECK_SIZE = 4
_FETCHED_BYTES = 2  # what FETCHED takes behind a DELTA
_FETCH_BYTES = 2  # of FETCH, before the first key
_KEY_BYTES = 2 + 2 + CHECK_SIZE  # of a key, beside the names


def take_message(kind: int, reader: "Reader") -> "Fetch | Fetched":
    """Read what follows the kind; raise FormatError."""
    count = reader.count(FETCH_COUNT_MAX)
    if kind == FETCHED:
        return Fetched(count)
    asked = []
    for _ in range(count):
        collection, id = reader.text(COLLECTION_BYTES_MAX), reader.text(ID_BYTES_MAX)
        if not collection or collection in HIDDEN:
            raise FormatError("a collection of no documents")
        asked.append(((collection, id), int.from_bytes(reader.take(CHECK_SIZE), "big")))
    return Fetch(asked)


def put_message(message: "Fetch | Fetched") -> bytes:
    if isinstance(message, Fetched):
        return bytes([FETCHED, message.count])
    out = bytearray([FETCH, len(message.asked)])
    for key, check in message.asked:
        put_text(out, key[0])
        put_text(out, key[1])
        out += check.to_bytes(CHECK_SIZE, "big")
    return bytes(out)


def _check(body: "bytes | None") -> int:
    """Of a document without its seal, which relays have and the Big Peer does not."""
    if body is None:
        return 0
    document = documents.decode(body)
    document.pop(documents.SEAL, None)
    return crc32(documents.encode(document)) & 0xFFFFFFFF


class Repair:
    def __init__(self, store: "Store", sender: "Sender", neighbour: bytes) -> None:
        self._store = store
        self._sender = sender
        self._neighbour = neighbour
        self._fragments: Fragments = store.fragments
        self._asked: list[Key] = []  # and not answered
        self._asked_at = 0  # the number of what neighbours had asked for until then
        self._owed: list[tuple[Key, int]] = []  # what they have asked, and the check of theirs

    # As the one who lacks something

    def restart(self) -> None:
        """We say HELLO."""
        self._asked = []

    def next_fetch(self, size_max: int) -> bytes:
        if self._asked or not self._asks():
            return b""
        fragments, room = self._fragments, size_max - _FETCH_BYTES
        asked: list[tuple[Key, int]] = []
        for key in fragments.keys + fragments.fetched:
            body = self._store.log.get(key[0], key[1])
            if body is None and key not in fragments.fetched:
                fragments.settle([key])  # it has gone again
                continue
            room -= len(key[0].encode()) + len(key[1].encode()) + _KEY_BYTES
            if len(asked) == FETCH_COUNT_MAX or room < 0:
                break
            check = _check(body)
            if (key, check) not in asked:
                asked.append((key, check))
        self._asked, self._asked_at = [key for key, _ in asked], fragments.owed_count
        return put_message(Fetch(asked)) if asked else b""

    def take_fetched(self, fetched: Fetched) -> None:
        if fetched.count > len(self._asked):
            raise RemoteProtocolError("an answer to what was not asked")
        answered, self._asked = self._asked[: fetched.count], self._asked[fetched.count :]
        self._fragments.settle(answered, self._asked_at)
        if not self._asked:
            self._fragments.save()
        self._store.wake()

    def _asks(self) -> bool:
        flags = self._sender.their_flags
        is_upstream = self._store.upstream in (b"", self._neighbour)
        return bool(flags & WANTS_ALL or flags & RELAYS and is_upstream)

    # As the one who has it, or gets it

    def begin(self) -> None:
        """They say HELLO, or nothing any more."""
        for key, _ in self._owed:
            self._fragments.pay(key)
        self._owed = []

    def take_fetch(self, fetch: Fetch) -> None:
        if self._owed:
            raise RemoteProtocolError("it asks for more before it is answered")
        self._owed = fetch.asked
        for key, _ in fetch.asked:
            self._fragments.owe(key)
        self._store.wake()

    def next_answer(self, size_max: int) -> bytes:
        """Return the DELTA, if there is something to send, and FETCHED."""
        count = 0
        while count < len(self._owed) and not self._fragments.waits_for(self._owed[count][0]):
            count += 1
        if not count:
            return b""
        message = self._next_delta(count, size_max - _FETCHED_BYTES)
        while message is None and count > 1:
            count //= 2
            message = self._next_delta(count, size_max - _FETCHED_BYTES)
        for key, _ in self._owed[:count]:
            self._fragments.pay(key)
        self._owed = self._owed[count:]
        return (message or b"") + put_message(Fetched(count))  # what is too large is left out

    def _next_delta(self, count: int, size_max: int) -> "bytes | None":
        """Return a DELTA of these, b"" for none; None if it does not fit."""
        puts: list[Put] = []
        bodies: list[Document] = []
        for key, check in self._owed[:count]:
            body = self._store.log.get(key[0], key[1])
            if body is not None and _check(body) != check:
                self._sender.gather_whole(key, body, puts, bodies)
        return self._sender.put_aside(puts, bodies, size_max) if puts else b""
