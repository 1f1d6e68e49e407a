"""
Documents here that may be less than the whole: what is to be fetched of them, and for whom.

Who has evicted documents, or wants only some, may write to another one, or be handed one by a
neighbour that has no more than a part of it. K, which says that the rest was here or was not
wanted, keeps that from coming. So a *fragment* is what was not here, comes from elsewhere than
the Big Peer, is in a collection of which something is wanted, and

    has an id of somebody's choice, so that others may have written to it before, or
    has a write no newer than what was evicted of its author.

The whole is fetched from the Big Peer, which has all that was ever evicted, as only that goes;
through relays (core/sync/repair.py). Until then a fragment is shown and passed on as it is: it
is what its writer knew. Who wants all of a collection and has evicted nothing has no fragments.

A relay also keeps here what its neighbours fetch through it. That it has not got yet is a
fragment, too; what it *owes* does not go before it is passed on.

Own fragments are an entry of the log, so that a restart does not forget them:

    (collection text | id text)*
"""

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.ids import COLLECTION_BYTES_MAX, ID_BYTES_MAX, automatic_id
from edge_peer.core.packing import Reader, put_text
from edge_peer.core.store.state import FRAGMENTS_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.store.store import Store

    Key = tuple[str, str]  # collection, id

# The log of a board has room for 64 authors, in entries of 3 KiB: this is 256 bytes of them.
BYTES_PER_AUTHOR = 4


class Fragments:
    def __init__(self, store: "Store", entry: bytes = b"") -> None:
        self.keys: list[Key] = []  # of this store's own, the oldest first
        self.fetched: list[Key] = []  # for neighbours; each link owes at most one message of them
        self.overflowed = False  # some were forgotten: only to start over would bring them
        self._store = store
        self.owed_count = 0  # what neighbours have asked for, since the store is open
        self._owed: dict[Key, tuple[int, int]] = {}  # how many wait, the number of the last
        self._is_saved = True
        reader = Reader(entry)
        while not reader.at_end():
            self.keys.append((reader.text(COLLECTION_BYTES_MAX), reader.text(ID_BYTES_MAX)))

    def note(self, key: "Key") -> None:
        """This document may be a fragment; durable with the next `save`."""
        if key in self.keys:
            return
        self.keys.append(key)
        self._is_saved = False
        while len(self._encoded()) > BYTES_PER_AUTHOR * self._store.log.authors_max:
            self.keys.pop(0)
            self.overflowed = True

    def save(self) -> None:
        """Make them durable; where there is no room, they are until the next restart."""
        if self._is_saved:
            return
        self._is_saved = True
        try:
            self._store.keep_entry(FRAGMENTS_ID, self._encoded())
        except (StoreFull, StorageError):
            pass

    def settle(self, keys: "list[Key]", asked_at: "int | None" = None) -> None:
        """All that there is of these is here; durable with the next `save`: nothing hangs on it.

        asked_at: `owed_count` when that was asked; who has asked later still waits.
        """
        if asked_at is not None:
            keys = [key for key in keys if self._owed.get(key, (0, 0))[1] <= asked_at]
        left = [key for key in self.keys if key not in keys]
        self._is_saved = self._is_saved and len(left) == len(self.keys)
        self.keys = left
        self.fetched = [key for key in self.fetched if key not in keys]

    def waits_for(self, key: "Key") -> bool:
        return key in self.fetched or key in self.keys

    def owe(self, key: "Key") -> None:
        """A neighbour waits for this; `settle` tells when the Big Peer has sent it."""
        self.owed_count += 1
        self._owed[key] = self._owed.get(key, (0, 0))[0] + 1, self.owed_count
        if not self._store.keeps_all and key not in self.fetched:
            self.fetched.append(key)

    def pay(self, key: "Key") -> None:
        count, number = self._owed[key]
        self._owed[key] = count - 1, number
        if count == 1:
            del self._owed[key]
            if key in self.fetched:
                self.fetched.remove(key)  # nobody waits for it any more

    def is_owed(self, key: "Key") -> bool:
        return key in self._owed

    def _encoded(self) -> bytes:
        out = bytearray()
        for collection, id in self.keys:
            put_text(out, collection)
            put_text(out, id)
        return bytes(out)


def may_lack(store: "Store", id: str, document: "Document") -> bool:
    """Return whether what has come, and was not here, may be less than what was evicted."""
    evicted = store.evicted
    is_chosen = True
    for cell in document.values():
        if cell.seq <= evicted.get(cell.author, 0):
            return True
        is_chosen = is_chosen and id != automatic_id(cell.stamp, cell.author)
    return is_chosen
