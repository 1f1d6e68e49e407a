"""
Read DELTA and DONE, the messages that carry documents (layout: core/sync/delta_writer.py).

Loaded with the first of them: a sensor that asks for no documents never is sent any.

A few bytes can stand for many documents, so what is built is counted before it is
built, as what it would take in a message of its own: Decoder.room bounds it.
"""

from edge_peer.core import document as documents
from edge_peer.core.document import CELL_COUNT_MAX, REGISTER, SEAL, SEPARATOR, SEQ_MAX, Cell
from edge_peer.core.errors import FormatError
from edge_peer.core.ids import COLLECTION_BYTES_MAX, ID_BYTES_MAX, automatic_id
from edge_peer.core.limits import HIDDEN
from edge_peer.core.sync.column_reader import take_column, take_numbers
from edge_peer.core.sync.column_writer import FRESH
from edge_peer.core.sync.delta_writer import (
    ID_IMPLIED,
    ONE_AUTHOR,
    SEQS_SECOND,
    STAMPS_SECOND,
    STAMPS_SPLIT,
)
from edge_peer.core.sync.messages import (
    DELTA,
    DONE,
    RECORD_COUNT_MAX,
    SHAPE_SLOTS,
    Delta,
    Done,
    Moved,
    take_reference,
)
from edge_peer.core.unpack import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.packing import Reader
    from edge_peer.core.sync.column_writer import Column
    from edge_peer.core.sync.messages import Decoder

RUN_COST = 15  # author, stamp and the rest of a run, in the count of what is built
CELL_COST = 2


class Shape:
    def __init__(self, collection: str, is_implied: bool) -> None:
        self.collection = collection
        self.is_implied = is_implied
        self.runs: list[list[tuple[str, int]]] = []
        self.cost = 0  # of one record, without its values
        self.columns: list[Column] = [FRESH]  # of ids, then of each cell


class DeltaReader:
    """The part of a Decoder that knows shapes and stamps."""

    def __init__(self, decoder: "Decoder") -> None:
        self._decoder = decoder
        self._shapes: list[Shape | None] = [None] * SHAPE_SLOTS
        self._stamp = 0
        self._room = 0  # what this DELTA may still build

    def take(self, kind: int, reader: "Reader") -> "Delta | Moved | Done":
        if kind == DONE:
            return self._take_done(reader)
        delta = self._take_delta(reader)
        return delta if kind == DELTA else Moved(*delta)

    def _take_delta(self, reader: "Reader") -> Delta:
        previous = reader.varint()
        cursor = previous + reader.varint()
        if cursor > SEQ_MAX:
            raise FormatError("cursor out of range")
        self._room = self._decoder.room
        records: list[tuple[str, str, Document]] = []
        for _ in range(reader.count(RECORD_COUNT_MAX)):
            records += self._take_group(reader, RECORD_COUNT_MAX - len(records))
        if not records:
            raise FormatError("a DELTA of nothing")
        return Delta(previous, cursor, records)

    def _take_done(self, reader: "Reader") -> Done:
        previous = reader.count(SEQ_MAX)  # we keep the cursor: a store must be able to read it
        cursor = previous + reader.count(SEQ_MAX)
        own_seq = cursor - reader.varint()
        if own_seq < 0:
            raise FormatError("own seq below zero")
        return Done(previous, cursor, own_seq, self._decoder.take_entries(reader))

    def _take_group(  # type: ignore[no-untyped-def]
        self, reader: "Reader", count_max: int
    ):
        """Return [(collection, id, document)]."""
        count = reader.count(count_max)
        if not count:
            raise FormatError("a group of nothing")
        shape = self._take_shape(reader)
        self._spend(count * shape.cost)
        ids = [] if shape.is_implied else self._take_ids(reader, count, shape)
        found: list[Document] = [{} for _ in range(count)]
        place = 1
        for heads in shape.runs:
            dots = self._take_dots(reader, count)
            if not ids:
                ids = [automatic_id(stamp, author) for stamp, author, _ in dots]
            for path, kind in heads:
                values = self._take_values(reader, count, shape, place, path.count(SEPARATOR))
                place += 1
                for i in range(count):
                    stamp, author, seq = dots[i]
                    cell = found[i][path] = Cell(stamp, author, seq, kind, values[i])
                    if kind != REGISTER or path <= SEAL:
                        documents.check_cell(path, cell)
        return [(shape.collection, ids[i], found[i]) for i in range(count)]

    def _take_values(
        self, reader: "Reader", count: int, shape: Shape, place: int, depth: int
    ) -> "list[bytes]":
        values, shape.columns[place] = take_column(reader, count, shape.columns[place], depth)
        self._spend(sum([len(value) for value in values]))
        return values

    def _take_ids(self, reader: "Reader", count: int, shape: Shape) -> "list[str]":
        ids = []
        for value in self._take_values(reader, count, shape, 0, 0):
            id = unpack(value)
            if not isinstance(id, str) or not 0 < len(id.encode()) <= ID_BYTES_MAX:
                raise FormatError("an id that is no text, empty or too long")
            ids.append(id)
        return ids

    def _take_dots(self, reader: "Reader", count: int) -> "list[tuple[int, bytes, int]]":
        """Return [(stamp, author, seq)]."""
        flags = reader.byte()
        if flags > ONE_AUTHOR | SEQS_SECOND | STAMPS_SPLIT | STAMPS_SECOND:
            raise FormatError("flags of dots 0x%02x" % flags)
        decoder = self._decoder
        slots = []
        authors = []
        for _ in range(1 if flags & ONE_AUTHOR else count):
            slots.append(decoder.take_author(reader))
            authors.append(decoder.authors[slots[-1]])
        sums = take_numbers(reader, count, 0, bool(flags & SEQS_SECOND))
        stamps = self._take_stamps(reader, count, flags)
        dots = []
        last = 0
        for i in range(count):
            j = 0 if flags & ONE_AUTHOR else i
            seq = documents.check_seq(decoder.seqs[slots[j]] + sums[i] - last)
            last = sums[i]
            decoder.seqs[slots[j]] = seq
            dots.append((documents.check_stamp(stamps[i]), authors[j], seq))
        return dots

    def _take_stamps(self, reader: "Reader", count: int, flags: int) -> "list[int]":
        second = bool(flags & STAMPS_SECOND)
        if flags & STAMPS_SPLIT:
            ticks = take_numbers(reader, count, self._stamp >> 8, second)
            counters = take_numbers(reader, count, self._stamp & 255, False)
            if min(counters) < 0 or max(counters) > 255:
                raise FormatError("counter of a stamp out of range")
            stamps = [(ticks[i] << 8) + counters[i] for i in range(count)]
        else:
            stamps = take_numbers(reader, count, self._stamp, second)
        self._stamp = documents.check_stamp(stamps[-1])
        return stamps

    def _take_shape(self, reader: "Reader") -> Shape:
        slot, new = take_reference(reader, SHAPE_SLOTS)
        if new:
            self._shapes[slot] = _take_definition(reader)
        shape = self._shapes[slot]
        if shape is None:
            raise FormatError("shape slot %d was never defined" % slot)
        return shape

    def _spend(self, cost: int) -> None:
        self._room -= cost
        if self._room < 0:
            raise FormatError("more documents than fit this link")


def _take_definition(reader: "Reader") -> Shape:
    collection = reader.text(COLLECTION_BYTES_MAX)
    if not collection or collection in HIDDEN:
        raise FormatError("a collection that is no neighbour's")
    run_count = reader.count(CELL_COUNT_MAX << 1 | ID_IMPLIED)
    shape = Shape(collection, bool(run_count & ID_IMPLIED))
    paths = set()
    for _ in range(run_count >> 1):
        heads = [documents.take_cell_head(reader) for _ in range(reader.count(CELL_COUNT_MAX))]
        if not heads:
            raise FormatError("a run without cells")
        shape.runs.append(heads)
        shape.cost += RUN_COST + sum([CELL_COST + len(path.encode()) for path, _ in heads])
        shape.columns += [FRESH] * len(heads)
        paths.update([path for path, _ in heads])
    cell_count = len(shape.columns) - 1
    if not 0 < cell_count <= CELL_COUNT_MAX or len(paths) < cell_count:
        raise FormatError("a shape without cells, with too many, or with one twice")
    return shape
