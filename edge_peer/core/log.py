"""
The store of a board: documents in an append-only log on raw flash.

core/segment.py keeps records on the flash; here they become documents. Three kinds
of records (its layout, SPEC.md "Flash log"):

    document   key | the document          key: collection length u8 | collection | id
    relayed    the same, of a document that is carried only for others
    drops      location u32 ...            records that no longer count
    location   block << 10 | offset / 4

Of records with the same key the last in the log counts. Collection "" holds the
store's own entries ("meta"); they have room of their own and are never evicted.

Three bounds, each looked at before a byte is programmed:

* The limits (core/limits.py) bound the documents, the whole store's by what the device
  gives. A commit that would go above one evicts: the oldest documents of that group
  that `evict` lets go are listed in a "drops" record, together with the entries that
  `before_erase()` returns.
* META_BYTES_MAX bounds the store's own entries.
* The ring bounds the blocks: when it runs out the oldest segment's documents are
  copied on and the segment is erased. The other bounds are such that this gains
  room: at worst a record of RECORD_BYTES_MAX no longer fits at a segment's end.

What is in RAM is what reading the log again would find. After an error of the
device it is read again, as after a power cut.
"""

import struct
from array import array
from binascii import crc32

from edge_peer.core.errors import StorageError, StoreFull
from edge_peer.core.eviction import Eviction
from edge_peer.core.index import Index
from edge_peer.core.limits import RELAYED as RELAYED
from edge_peer.core.limits import WHOLE as WHOLE
from edge_peer.core.limits import Totals, groups_of
from edge_peer.core.record import COLLECTION_BYTES_MAX as COLLECTION_BYTES_MAX
from edge_peer.core.record import (
    DOCUMENT_BYTES_MAX,
    DROPS,
    FIRST,
    HEADER_SIZE,
    KIND,
    META_BYTES_MAX,
    MORE,
    RECORD_BYTES_MAX,
    RELAYED_DOCUMENT,
    aligned,
    arrival_in,
    body_in,
    entry_of,
    entry_size,
    key_in,
    key_of,
    names_in,
    pack_record,
)
from edge_peer.core.record import ID_BYTES_MAX as ID_BYTES_MAX
from edge_peer.core.record import META as META
from edge_peer.core.segment import COMMIT_BYTES_MAX, RECORDS_AT, Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_peer.core.limits import Limits
    from edge_peer.core.record import Entry
    from edge_peer.core.record import Put as Put
    from edge_peer.core.segment import BlockDevice as BlockDevice

    Evict = Callable[[str, str, bytes, bool], bool]

COLLECTION_COUNT_MAX = 64  # each is in RAM
FREE_COUNT_MIN = 2  # segments between commits: one to write to, one to copy into
DROPS_COUNT_MAX = 200  # in one record
# After damage, arrival numbers go on above any that a lost segment may have had.
ARRIVAL_LEASE = 256
DOCUMENT_SIZE = 128  # one entry of the index for each so many bytes, where nothing else is said


def device_quota_bytes(block_count: int) -> int:
    """Return how many bytes of documents a device of so many blocks takes."""
    bytes_min = COMMIT_BYTES_MAX - RECORD_BYTES_MAX  # in each segment
    return (block_count - FREE_COUNT_MIN) * bytes_min - 2 * META_BYTES_MAX


class FlashLog:
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
        Raises StorageError if the device is too small, of a newer version, or not ours.
        """
        self._device = device
        self._program_size = program_size
        self._evict = evict
        self._before_erase = before_erase
        self.limits = dict(limits)
        self.arrival_max = 0
        self.evicted_count = 0
        self._recover()

    # Reading

    def get(self, collection: str, id: str) -> "bytes | None":
        """Return the body stored under this id."""
        found = self._locate(key_of(collection, id))
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
                        found.append((number, names_in(key_in(record)) + (number, body_in(record))))
                found = sorted(found)[:limit]
        return [put for _, put in found]

    def scan(self, collection: str) -> "Iterator[tuple[str, bytes]]":
        """Yield (id, body) of every document of the collection, in no order.

        After a commit go on with a new scan: this one may miss or repeat documents.
        """
        prefix = key_of(collection, "")
        for location in self._index.locations():
            record = self._ring.record(location)
            if record is not None and key_in(record).startswith(prefix):
                yield names_in(key_in(record))[1], body_in(record)

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
        """Bytes and counts; `quota_bytes` is what documents can take before some must go."""
        documents, size = self._totals.of(WHOLE)
        quota_bytes, documents_max = self.limits[WHOLE]
        assert quota_bytes is not None and documents_max is not None
        return {
            "documents": documents,
            "documents_max": documents_max,
            "used_bytes": size,
            "quota_bytes": quota_bytes,
            "evicted": self.evicted_count,
            "damaged": self.damaged_count,
            "erases": sum(self._ring.erases),
        }

    # Writing

    def commit(self, puts: "list[Put]", relayed: "Iterable[int]" = ()) -> None:
        """Store all of these or none; durable on return. Of the same id the last counts.

        relayed: arrivals of those that are carried only for others.
        Raises StoreFull, with nothing changed, if they do not fit, and StorageError if the
        flash fails: then they are stored or not, but all or none, and the log goes on.
        """
        if not puts:
            return
        entries = [entry_of(put, put[2] in relayed) for put in puts]
        size = sum([entry_size(entry) for entry in entries])
        if size > COMMIT_BYTES_MAX:
            raise StoreFull("%d bytes in one commit, at most %d" % (size, COMMIT_BYTES_MAX))
        self._write(entries, [])

    def drop(self, keys: "list[tuple[str, str]]") -> None:
        """Let documents go, durably, with what before_erase() returns; those not here are skipped.

        Raises StorageError if the flash fails: then the first of them are gone, or none.
        """
        for i in range(0, len(keys), DROPS_COUNT_MAX):
            self._write([], [key_of(*key) for key in keys[i : i + DROPS_COUNT_MAX]])

    def evict_again(self) -> None:
        """Call when documents that had to stay may go now."""
        self._leaving = Eviction()

    def _write(self, entries: "list[Entry]", dropped: "list[bytes]") -> None:
        try:
            self._keep_ring()  # as a power cut may have left it
            found = [self._locate(key) for key in dropped]
            self._drop_all([one[0] for one in found if one is not None])
            if entries:
                self._keep_bounds(entries)
                self._append(entries, 0)
            self._keep_ring()
        except StoreFull:
            raise
        except (OSError, StorageError) as error:
            self._recover()
            raise StorageError("flash: %s" % error)

    def _append(self, entries: "list[Entry]", given_up: int) -> None:
        """Write one commit, and make it count."""
        data = b""
        for i in range(len(entries)):
            kind, arrival, key, body = entries[i]
            kind |= (FIRST if i == 0 else 0) | (MORE if i < len(entries) - 1 else 0)
            data += pack_record(kind, arrival, key, body)
        ring = self._ring
        if len(data) > ring.room():
            ring.open(self.arrival_max, given_up)
            self._firsts[ring.current] = self._lasts[ring.current] = 0
        for location, record in ring.walk(ring.current, ring.append(data)):
            assert record is not None
            self._enter(location, record)

    def _enter(self, location: int, record: bytearray) -> None:
        """Make a record count, as the last in the log."""
        arrival = arrival_in(record)
        self.arrival_max = max(self.arrival_max, arrival)
        if record[3] == 0:
            for i in range(HEADER_SIZE, len(record), 4):
                self._drop(struct.unpack_from("<I", record, i)[0])
            return
        key = key_in(record)
        old = self._locate(key)
        if old is None:
            self._index.add(crc32(key), location)
        else:
            self._index.move(crc32(key), old[0], location)
            self._count_out(old[0], old[1])
        name, is_relayed, size = _kind_of(record)
        if name == META:
            self._meta_bytes += size
            return
        self._totals.add(name, is_relayed, 1, size)
        block = location >> 10
        self._firsts[block] = min(self._firsts[block] or arrival, arrival)
        self._lasts[block] = max(self._lasts[block], arrival)

    def _drop(self, location: int) -> None:
        record = self._ring.record(location)
        if record is not None and self._is_newest(location, record):
            self._index.remove(crc32(key_in(record)), location)
            self._count_out(location, record)

    def _count_out(self, location: int, record: bytearray) -> None:
        """Discount a record that no longer counts."""
        name, is_relayed, size = _kind_of(record)
        if name == META:
            self._meta_bytes -= size
        else:
            self._totals.add(name, is_relayed, -1, -size)
            self._leaving.forget(location, name, is_relayed, size)

    def _documents(self, block: int, offset: int) -> "Iterator[tuple[int, bytearray]]":
        """Yield (location, record) of the documents of a segment, in the order of writing."""
        for location, record in self._ring.walk(block, offset):
            if record is not None and record[HEADER_SIZE] and self._is_newest(location, record):
                yield location, record

    def _is_newest(self, location: int, record: bytearray) -> bool:
        return location in self._index.candidates(crc32(key_in(record)))

    def _locate(self, key: bytes) -> "tuple[int, bytearray] | None":
        """Return (location, record) of what counts under this key."""
        for location in self._index.candidates(crc32(key)):
            record = self._ring.record(location)
            if record is not None and key_in(record) == key:
                return location, record
        return None

    # Bounds

    def _keep_bounds(self, entries: "list[Entry]") -> None:
        """Make sure that these may be added: evict, or raise StoreFull with nothing changed."""
        while True:
            added = self._added(entries)
            excess = {group: self._excess(group, added.of(group)) for group in self.limits}
            needs = {group: one for group, one in excess.items() if one is not None}
            for group in sorted(needs, reverse=True):  # the whole store last
                self._find(group, needs[group], added.of(group))
            if not needs or not self._drop_all(self._leaving.locations[:DROPS_COUNT_MAX]):
                return
            self._keep_ring()

    def _added(self, entries: "list[Entry]") -> Totals:
        """Return what these would add to each group, once the store's own entries have room."""
        added = Totals()
        meta_bytes = self._meta_bytes
        latest: dict[bytes, tuple[str, bool, int]] = {}
        for entry in entries:
            kind, _, key, _ = entry
            old = latest.get(key)
            if old is None:
                found = self._locate(key)
                old = None if found is None else _kind_of(found[1])
            new = latest[key] = (names_in(key)[0], kind == RELAYED_DOCUMENT, entry_size(entry))
            if key[0] == 0:
                meta_bytes += new[2] - (0 if old is None else old[2])
                continue
            if old is not None:
                added.add(old[0], old[1], -1, -old[2])
            added.add(new[0], new[1], 1, new[2])
        if meta_bytes > META_BYTES_MAX:
            raise StoreFull("the store's own entries take at most %d bytes" % META_BYTES_MAX)
        names = set(self._totals.collections) | set([one[0] for one in latest.values()])
        if len(names - set([META])) > COLLECTION_COUNT_MAX:
            raise StoreFull("at most %d collections" % COLLECTION_COUNT_MAX)
        return added

    def _excess(self, group: str, added: "list[int]") -> "tuple[int, int] | None":
        """Return how many documents and bytes of the group have to go, None if none have."""
        limit_bytes, limit_count = self.limits[group]
        count, size = self._totals.of(group)
        more_count = 0 if limit_count is None or added[0] <= 0 else count + added[0] - limit_count
        more_bytes = 0 if limit_bytes is None or added[1] <= 0 else size + added[1] - limit_bytes
        if more_count <= 0 and more_bytes <= 0:
            return None
        return max(0, more_count), max(0, more_bytes)

    def _find(self, group: str, needed: "tuple[int, int]", added: "list[int]") -> None:
        """Find enough documents of a group that may go, the oldest first, or raise StoreFull."""
        leaving = self._leaving
        limit_bytes, limit_count = self.limits[group]
        spare_bytes = min(COMMIT_BYTES_MAX, (limit_bytes or COMMIT_BYTES_MAX) // 8)
        spare_count = (limit_count or 0) // 8
        total = self._totals.of(group)
        if needed[0] <= total[0] and needed[1] <= total[1]:
            for may_lose in (False, True):
                self._look(group, may_lose, needed[0] + spare_count, needed[1] + spare_bytes)
                if leaving.has(group, needed[0], needed[1]):
                    return
                spare_count = spare_bytes = 0
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

    def _look(self, group: str, may_lose: bool, count: int, size: int) -> None:
        """Go on asking for the documents of a group, until so many were found."""
        leaving = self._leaving
        first, start = leaving.looked_at.get((group, may_lose), (0, 0))
        for block in self._ring.used():
            number = self._ring.numbers[block]
            if number < first:
                continue
            for location, record in self._documents(
                block, start if number == first else RECORDS_AT
            ):
                if leaving.has(group, count, size):
                    return
                end = ((location & 1023) << 2) + aligned(len(record))
                leaving.looked_at[group, may_lose] = (number, end)
                name, is_relayed, record_size = _kind_of(record)
                if (
                    group in groups_of(self.limits, name, is_relayed)
                    and location not in leaving.locations
                    and self._evict(name, names_in(key_in(record))[1], body_in(record), may_lose)
                ):
                    leaving.add(location, name, is_relayed, record_size)

    def _drop_all(self, locations: "list[int]") -> bool:
        """Let these go, in one commit; return whether there were any."""
        if not locations:
            return False
        entries = [entry_of(put, False) for put in self._before_erase()]
        entries.append((DROPS, 0, b"", struct.pack("<%dI" % len(locations), *sorted(locations))))
        self._append(entries, 0)
        self.evicted_count += len(locations)
        return True

    # The ring

    def _keep_ring(self) -> None:
        """Give up the oldest segments until enough are free."""
        for _ in range(self._ring.block_count):
            if self._ring.free_count >= FREE_COUNT_MIN:
                return
            self._give_up(self._ring.used()[0])
        raise StorageError("the log is too fragmented")  # only where damage brought documents back

    def _give_up(self, block: int) -> None:
        """Copy what counts to the end of the log, then erase."""
        number = self._ring.numbers[block]
        damaged_count = 0
        for location, record in self._ring.walk(block, RECORDS_AT):
            if record is None:
                damaged_count += 1
            elif record[3] and self._is_newest(location, record):
                kind = record[2] & KIND
                self._append([(kind, arrival_in(record), key_in(record), body_in(record))], number)
        self._ring.erase(block)
        if damaged_count:
            self._recover()  # the index may still name what went bad since the log was opened
            self.damaged_count += damaged_count

    def _recover(self) -> None:
        """Read the whole log."""
        ring = self._ring = Ring(self._device, self._program_size)
        limit_bytes, limit_count = self.limits.get(WHOLE, (None, None))
        device_bytes = device_quota_bytes(ring.block_count)
        limit_bytes = min(limit_bytes or device_bytes, device_bytes)
        limit_count = limit_count or limit_bytes // DOCUMENT_SIZE
        self.limits[WHOLE] = (limit_bytes, limit_count)
        self._index = Index(limit_count)
        self._firsts = array("I", bytes(4 * ring.block_count))  # of each block's documents the
        self._lasts = array("I", bytes(4 * ring.block_count))  # lowest and the highest arrival
        self._totals = Totals()
        self._meta_bytes = 0
        self.evict_again()
        self.damaged_count = int(ring.is_torn)
        self.arrival_max = max(self.arrival_max, ring.arrival_max)
        for block in ring.used():
            for location, record in ring.walk(block, RECORDS_AT):
                if record is None:
                    self.damaged_count += 1
                else:
                    self._enter(location, record)
        if ring.is_torn:
            self.arrival_max += ARRIVAL_LEASE


def _kind_of(record: bytearray) -> "tuple[str, bool, int]":
    """Return collection, whether it is carried only for others, and its bytes on flash."""
    is_relayed = record[2] & KIND == RELAYED_DOCUMENT
    return names_in(key_in(record))[0], is_relayed, aligned(len(record))
