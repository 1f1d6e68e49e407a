"""
The store of a board: documents in an append-only log on raw flash.

core/store/records.py keeps what counts; here are the bounds, each looked at before a byte is
programmed:

* The limits (core/limits.py) bound the documents, the whole store's by what the device
  gives. A commit that would go above one evicts: the oldest documents of that group
  that `evict` lets go are listed in a "drops" record, together with the entries that
  `before_erase()` returns.
* META_BYTES_MAX bounds the store's own entries.
* The ring bounds the blocks: when it runs out the oldest segment's documents are
  copied on and the segment is erased. The other bounds are such that this gains
  room: at worst a record of RECORD_BYTES_MAX no longer fits at a segment's end.

Both evicting and giving up a segment are done ahead, a slice behind each commit (the
SLICE_ constants), so that no commit has to wait for all of it. Only where slices have
not kept up, as after many power cuts, does a commit do the rest first.
"""

import struct

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.ids import COLLECTION_BYTES_MAX, ID_BYTES_MAX
from edge_peer.core.limits import ATTACHMENTS, HIDDEN, Totals, groups_of
from edge_peer.core.limits import RELAYED as RELAYED
from edge_peer.core.limits import WHOLE as WHOLE
from edge_peer.core.store.record import (
    DOCUMENT,
    DOCUMENT_BYTES_MAX,
    DROPS,
    HEADER_SIZE,
    META_BYTES_MAX,
    RELAYED_DOCUMENT,
    aligned,
    arrival_in,
    body_in,
    id_in,
)
from edge_peer.core.store.record import META as META
from edge_peer.core.store.records import Records, size_of
from edge_peer.core.store.segment import COMMIT_BYTES_MAX, RECORDS_AT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_peer.core.limits import Limits
    from edge_peer.core.store.record import Entry
    from edge_peer.core.store.record import Put as Put
    from edge_peer.core.store.segment import BlockDevice as BlockDevice

    Evict = Callable[[str, str, bytes, bool], bool]
    Keep = Callable[[bytes], bool]

COLLECTION_COUNT_MAX = 64  # each is in RAM
DROPS_COUNT_MAX = 200  # in one record
ERASES_MAX = 100_000  # of a block: what data sheets of NOR flash give (W25Q128JV, section 1)

# Behind a commit one of these is done for each document, or for each SLICE_BYTES.
SLICE_BYTES = 256
SLICE_RECORDS = 6  # looked at in the oldest segment
SLICE_LOOKS = 8  # looked at for what may go
ASK_RECORDS = 3  # to ask for a document takes as long again as to look at so many
SLICE_DROPS = 6  # documents that go
FREE_COUNT_LOW = 3  # with fewer free segments the oldest is given up slice by slice
# Near a limit: room that slices make, and documents found ahead of that, so that the
# entries of before_erase() are written once for all of these.
ROOM_BYTES = 2048
ROOM_COUNT = 16
AHEAD_COUNT = 64
SPARE_BYTES = 1024  # and up to SLICE_DROPS go beyond what has to,
LOSE_SHARE = 64  # but of what would be lost only so small a part of the limit
ANY_EFFORT = 1 << 29


class FlashLog(Records):
    document_bytes_max = DOCUMENT_BYTES_MAX
    commit_bytes_max = COMMIT_BYTES_MAX
    authors_max = 64  # three vectors of them and some cursors fit into META_BYTES_MAX
    has_indexes = False

    def __init__(
        self,
        device: "BlockDevice",
        limits: "Limits",
        evict: "Evict",
        before_erase: "Callable[[], list[Put]]",
        program_size: int = 1,
    ) -> None:
        """Open the log of a device, or begin one on a blank device; nothing is written yet.

        limits: of the whole store (at most what the device gives) and of other groups.
        evict(collection, id, body, may_lose) says whether a document may go, even if it
        is nowhere else (may_lose). before_erase() returns the store's own entries that
        must be durable when documents go.
        program_size: 1 where the flash takes any length, 256 where it takes whole
        pages (RP2040), which are then filled up with 0xFF.
        Raises StorageError if the device is too small, of another version, or not ours.
        """
        self.on_gone: Callable[[tuple[str, str]], None] | None = None  # told (collection, id)
        self._evict = evict
        self._before_erase = before_erase
        self.evicted_count = 0
        super().__init__(device, limits, program_size)
        self._erases_at_open = sum(self._ring.erases)

    # Reading

    def get(self, collection: str, id: str) -> "bytes | None":
        """Return the body stored under this id."""
        found = self._locate(self._key(collection, id))
        return None if found is None else body_in(found[1])

    def since(self, arrival: int, limit: int) -> "list[Put]":
        """Return up to `limit` documents with a higher arrival, in the order of arrival."""
        found: list[tuple[int, Put]] = []
        for block in sorted(self._ring.used(), key=lambda block: self._firsts[block]):
            if len(found) == limit and self._firsts[block] > found[-1][0]:
                break
            if self._lasts[block] > arrival:
                for _, record in self._documents(block, RECORDS_AT):
                    number = arrival_in(record)
                    if number > arrival:
                        found.append((number, self._names_in(record) + (number, body_in(record))))
                found = sorted(found)[:limit]
        return [put for _, put in found]

    def scan(self, collection: str, keep: "Keep | None" = None) -> "Iterator[tuple[str, bytes]]":
        """Yield (id, body) of every document of the collection that keep(body) takes, in no order.

        After a commit go on with a new scan: this one may miss or repeat documents.
        """
        for location in self._index.locations():
            record = self._ring.record(location)
            if record is not None and self._names[record[HEADER_SIZE]] == collection:
                body = body_in(record)
                if keep is None or keep(body):
                    yield id_in(record), body

    def collections(self) -> "list[str]":
        """Return the names of all collections that have documents, in no order."""
        return list(self._totals.collections)

    def totals(self, group: str) -> "tuple[int, int]":
        """Return documents and bytes of a group (core/limits.py)."""
        documents, size = self._totals.of(group)
        return documents, size

    def document_count(self) -> int:
        return self._totals.of(WHOLE)[0]

    def status(self) -> "dict[str, int]":
        """Bytes and counts.

        `quota_bytes` is what documents can take before some must go, `erases_left` how
        often blocks can be erased before the first may wear out (all wear alike).
        """
        documents, size = self._totals.of(WHOLE)
        quota_bytes, documents_max = self.limits[WHOLE]
        assert quota_bytes is not None and documents_max is not None
        erases = sum(self._ring.erases)
        return {
            "documents": documents,
            "documents_max": documents_max,
            "attachment_bytes": self._totals.of(ATTACHMENTS)[1],
            "attachment_bytes_max": self.limits[ATTACHMENTS][0] or 0,
            "used_bytes": size,
            "quota_bytes": quota_bytes,
            "evicted": self.evicted_count,
            "damaged": self.damaged_count,
            "erases": erases,
            "erases_since_open": erases - self._erases_at_open,
            "erases_left": max(0, self._ring.block_count * ERASES_MAX - erases),
        }

    # Writing

    def commit(self, puts: "list[Put]", relayed: "Iterable[int]" = ()) -> None:
        """Store all of these or none; durable on return. Of the same id the last counts.

        relayed: arrivals of those that are carried only for others.
        Raises StoreFull, with nothing changed, if they do not fit, and StorageError if the
        flash fails: then they are stored or not, but all or none, and the log goes on.
        """
        if puts:
            size = 0
            for put in puts:
                size += _size_of(put)
            if size > COMMIT_BYTES_MAX:
                raise StoreFull("%d bytes in one commit, at most %d" % (size, COMMIT_BYTES_MAX))
            self._write(puts, size, relayed, [])

    def drop(self, keys: "list[tuple[str, str]]") -> None:
        """Let documents go, durably, with what before_erase() returns; those not here are skipped.

        Raises StorageError if the flash fails: then the first of them are gone, or none.
        """
        for i in range(0, len(keys), DROPS_COUNT_MAX):
            self._write([], 0, (), keys[i : i + DROPS_COUNT_MAX])

    def evict_again(self) -> None:
        """Call when documents that had to stay may go now."""
        leaving = self._leaving
        leaving.looked_at = {}
        for location in leaving.locations[leaving.covered :]:  # the others are said to go
            record = self._ring.record(location)
            if record is not None:
                leaving.forget(location, *self._kind_of(record))

    def _write(
        self,
        puts: "list[Put]",
        size: int,
        relayed: "Iterable[int]",
        dropped: "list[tuple[str, str]]",
    ) -> None:
        """size: of the puts, as records."""
        try:
            self._keep_ring()  # as a power cut may have left it
            if dropped:
                found = [self._locate(self._key(*key)) for key in set(dropped)]
                self._drop_all([one for one in found if one is not None])
            if puts:
                if not self._has_room(puts, size):
                    self._keep_bounds(puts, relayed)
                self._append([self._entry(put, put[2] in relayed) for put in puts], 0)
            self._keep_ring()
            for _ in range(max(1, len(puts), size // SLICE_BYTES)):
                if not self._tend():
                    break
        except StoreFull:
            raise
        except (OSError, StorageError) as error:
            self._recover()
            raise StorageError("flash: %s" % error)

    def _entry(self, put: "Put", is_relayed: bool) -> "Entry":
        collection, id, arrival, body = put
        key = bytes([self._number(collection)]) + id.encode()
        return RELAYED_DOCUMENT if is_relayed else DOCUMENT, arrival, key, body

    # Bounds

    def _has_room(self, puts: "list[Put]", size: int) -> bool:
        """Return whether these may be added even if they replace nothing: most often so."""
        for put in puts:
            if put[0] not in self._totals.collections:  # a new one, or META
                return False
        for group, (limit_bytes, limit_count) in self.limits.items():
            if group != ATTACHMENTS:  # documents are in all others, or might be
                total = self._totals.of(group)
                if limit_count is not None and total[0] + len(puts) > limit_count:
                    return False
                if limit_bytes is not None and total[1] + size > limit_bytes:
                    return False
        return True

    def _keep_bounds(self, puts: "list[Put]", relayed: "Iterable[int]") -> None:
        """Make sure that these may be added: evict, or raise StoreFull with nothing changed."""
        while True:
            added = self._added(puts, relayed)
            needs = {}
            for group in self.limits:
                count, size = self._excess(group, added.of(group))
                if count > 0 or size > 0:
                    needs[group] = (max(0, count), max(0, size))
            if not needs:
                return
            for group in sorted(needs):  # the whole store first
                count, size = self._find(group, needs[group], added.of(group))
            self._drop_found(group, count, size)
            self._keep_ring()

    def _added(self, puts: "list[Put]", relayed: "Iterable[int]") -> Totals:
        """Return what these would add to each group, if the store's own entries have room."""
        added = Totals()
        meta_bytes = self._meta_bytes
        latest: dict[tuple[str, str], tuple[str, bool, int]] = {}
        for put in puts:
            collection, id, arrival, _ = put
            old = latest.get((collection, id))
            if old is None:
                found = self._locate(self._key(collection, id))
                old = None if found is None else self._kind_of(found[1])
            new = latest[collection, id] = (collection, arrival in relayed, _size_of(put))
            if collection == META:
                meta_bytes += new[2] - (0 if old is None else old[2])
                continue
            if old is not None:
                added.add(old[0], old[1], -1, -old[2])
            added.add(new[0], new[1], 1, new[2])
        if meta_bytes > META_BYTES_MAX:
            raise StoreFull("the store's own entries take at most %d bytes" % META_BYTES_MAX)
        names = set(self._totals.collections) | set([put[0] for put in puts])
        if len(names - set((META,) + HIDDEN)) > COLLECTION_COUNT_MAX:
            raise StoreFull("at most %d collections" % COLLECTION_COUNT_MAX)
        return added

    def _excess(self, group: str, added: "list[int]") -> "tuple[int, int]":
        """Return how many documents and bytes are above the limits that are drawn nearer."""
        limit_bytes, limit_count = self.limits[group]
        count, size = self._totals.of(group)
        return (
            -1 if limit_count is None or added[0] <= 0 else count + added[0] - limit_count,
            -1 if limit_bytes is None or added[1] <= 0 else size + added[1] - limit_bytes,
        )

    def _find(self, group: str, needed: "tuple[int, int]", added: "list[int]") -> "tuple[int, int]":
        """Find enough documents of a group that may go, the oldest first, or raise StoreFull.

        Return how much of it should go: a little more, so that not every commit has to.
        """
        limit_bytes, limit_count = self.limits[group]
        total = self._totals.of(group)
        if needed[0] <= total[0] and needed[1] <= total[1]:
            for may_lose, share in ((False, 8), (True, LOSE_SHARE)):
                count = needed[0] and needed[0] + min(SLICE_DROPS, (limit_count or 0) // share)
                size = needed[1] and needed[1] + min(SPARE_BYTES, (limit_bytes or 0) // share)
                self._look(group, may_lose, count, size, ANY_EFFORT)
                if self._leaving.has(group, needed[0], needed[1]):
                    return count, size
        raise StoreFull(
            "%s: %d bytes in %d documents with this write, at most %s in %s; no more may go"
            % (
                "the store" if group == WHOLE else group,
                total[1] + added[1],
                total[0] + added[0],
                limit_bytes or "any",
                limit_count or "any",
            )
        )

    def _look(self, group: str, may_lose: bool, count: int, size: int, effort: int) -> bool:
        """Go on looking for what may go, until so much was found or the effort is used up."""
        ring, leaving = self._ring, self._leaving
        number, offset = leaving.looked_at.get((group, may_lose), (0, 0))
        block = ring.oldest()
        if number < ring.numbers[block]:
            offset = RECORDS_AT
        while ring.numbers[block] < number:
            block = ring.following(block)
        while True:
            for location, record in ring.walk(block, offset):
                if effort <= 0 or leaving.has(group, count, size):
                    break
                effort -= 1
                offset = ((location & 1023) << 2) + 4
                if record is not None and record[HEADER_SIZE] and self._is_newest(location, record):
                    effort -= self._ask(group, location, record, may_lose)
            else:
                if block != ring.current:
                    block, offset = ring.following(block), RECORDS_AT
                    continue
            leaving.looked_at[group, may_lose] = (ring.numbers[block], offset)
            return leaving.has(group, count, size)

    def _ask(self, group: str, location: int, record: bytearray, may_lose: bool) -> int:
        """Ask whether a document may go, if it is one of the group; return the effort."""
        collection, is_relayed, size = self._kind_of(record)
        if (
            group not in groups_of(self.limits, collection, is_relayed)
            or location in self._leaving.locations
        ):
            return 0
        if self._evict(collection, id_in(record), body_in(record), may_lose):
            self._leaving.add(location, collection, is_relayed, size)
        return ASK_RECORDS

    def _drop_found(self, group: str, count: int, size: int) -> None:
        """Let so much of a group go, of what was found."""
        chosen: list[tuple[int, bytearray]] = []
        for location in self._leaving.locations[:]:
            if count <= 0 and size <= 0:
                break
            record = self._ring.record(location)
            if record is None:
                raise StorageError("a document went bad")
            collection, is_relayed, record_size = self._kind_of(record)
            if group in groups_of(self.limits, collection, is_relayed):
                chosen.append((location, record))
                count -= 1
                size -= record_size
        self._drop_all(chosen[:DROPS_COUNT_MAX])

    def _drop_all(self, found: "list[tuple[int, bytearray]]") -> None:
        """Let these documents go, in one commit."""
        if not found:
            return
        leaving = self._leaving
        runs: list[int] = []
        end = -1
        for location, record in sorted(found):
            words = aligned(len(record)) >> 2
            if location == end:
                runs[-1] += words << 20
            else:
                runs.append(words << 20 | location)
            end = location + words
        entries = []
        if not all([leaving.is_covered(location) for location, _ in found]):
            entries = [self._entry(put, False) for put in self._before_erase()]
            leaving.covered = len(leaving.locations)
        entries.append((DROPS, 0, b"", struct.pack("<%dI" % len(runs), *runs)))
        self._append(entries, 0)
        for location, record in found:
            self._remove(location, record)
            if self._kind_of(record)[0] not in HIDDEN:
                self.evicted_count += 1
                if self.on_gone is not None:
                    self.on_gone(self._names_in(record))

    # Slices

    def _tend(self) -> bool:
        """Do a slice of what a later commit would have to wait for, if there is any."""
        if self._ring.free_count < FREE_COUNT_LOW:
            self._give_up(0, SLICE_RECORDS)
            self._keep_ring()
            return True
        leaving = self._leaving
        for group in self.limits:
            if not self._is_near(group, 2):
                continue
            drops = min(SLICE_DROPS, (self.limits[group][1] or COMMIT_BYTES_MAX) // 8)
            if self._is_near(group, 1) and leaving.has(group, drops, 0):
                self._drop_found(group, drops, 0)
                self._keep_ring()
                return True
            if not leaving.has(group, AHEAD_COUNT, 0):
                place = leaving.looked_at.get((group, False))
                self._look(group, False, AHEAD_COUNT, 0, SLICE_LOOKS)
                if leaving.looked_at[group, False] != place:
                    return True
        return False

    def _is_near(self, group: str, factor: int) -> bool:
        """Return whether a group has less room than slices should make."""
        limit_bytes, limit_count = self.limits[group]
        total = self._totals.of(group)
        count = factor * min(ROOM_COUNT, (limit_count or 0) // 8)
        if count and limit_count and total[0] + count > limit_count:
            return True
        size = factor * min(ROOM_BYTES, (limit_bytes or 0) // 8)
        return bool(size and limit_bytes and total[1] + size > limit_bytes)


def _size_of(put: "Put") -> int:
    """Return the bytes that a put takes; raise StorageError for what can never be."""
    collection, id, _, body = put
    id_size = len(id.encode())
    if id_size > ID_BYTES_MAX or len(collection.encode()) > COLLECTION_BYTES_MAX:
        raise StorageError(
            "a collection's name has at most %d bytes, an id %d"
            % (COLLECTION_BYTES_MAX, ID_BYTES_MAX)
        )
    size_max = META_BYTES_MAX if collection == META else DOCUMENT_BYTES_MAX
    if len(body) > size_max:
        raise StoreFull("a document of %d bytes, at most %d" % (len(body), size_max))
    return size_of(collection, 1 + id_size, len(body))
