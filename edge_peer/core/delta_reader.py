"""
Read DELTA and DONE, the messages that carry documents (layout: core/messages.py).

Loaded with the first of them: a sensor that asks for no documents never is sent any.
"""

from edge_peer.core import document as documents
from edge_peer.core.document import CELL_COUNT_MAX, SEPARATOR, SEQ_MAX, Cell
from edge_peer.core.errors import FormatError
from edge_peer.core.ids import automatic_id
from edge_peer.core.messages import (
    COLLECTION_BYTES_MAX,
    DELTA,
    ID_BYTES_MAX,
    ID_IMPLIED,
    OWN,
    RECORD_COUNT_MAX,
    SHAPE_SLOTS,
    VECTOR_PART_MAX,
    Delta,
    Done,
    take_reference,
)
from edge_peer.core.unpack import value_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.messages import Decoder
    from edge_peer.core.packing import Reader


class DeltaReader:
    """The part of a Decoder that knows shapes and stamps."""

    def __init__(self, decoder: "Decoder") -> None:
        self._decoder = decoder
        self._shapes: list[tuple[str, list[tuple[str, int]]] | None] = [None] * SHAPE_SLOTS
        self._stamp = 0

    def take(self, kind: int, reader: "Reader") -> "Delta | Done":
        return self._take_delta(reader) if kind == DELTA else self._take_done(reader)

    def _take_delta(self, reader: "Reader") -> Delta:
        previous = arrival = reader.varint()
        records = []
        for _ in range(reader.count(RECORD_COUNT_MAX)):
            record = self._take_record(reader, arrival)
            arrival = record[0]
            records.append(record)
        return Delta(previous, records)

    def _take_done(self, reader: "Reader") -> Done:
        previous = reader.count(SEQ_MAX)  # we keep the cursor: a store must be able to read it
        cursor = previous + reader.count(SEQ_MAX)
        own_seq = cursor - reader.varint()
        if own_seq < 0:
            raise FormatError("own seq below zero")
        entries = []
        for _ in range(reader.count(VECTOR_PART_MAX)):
            slot = self._decoder.take_author(reader)
            entries.append((self._decoder.authors[slot], reader.varint(), reader.varint()))
        return Done(previous, cursor, own_seq, entries)

    def _take_record(self, reader: "Reader", previous: int):  # type: ignore[no-untyped-def]
        """Return (arrival, collection, id, document)."""
        flags = reader.byte()
        if flags & ~(ID_IMPLIED | OWN):
            raise FormatError("record flags 0x%02x" % flags)
        arrival = documents.check_seq(previous + reader.varint())
        if arrival <= previous:
            raise FormatError("arrival numbers must rise")
        id = "" if flags & ID_IMPLIED else reader.text(ID_BYTES_MAX)
        document: Document = {}
        run_count = 1 if flags & OWN else reader.count(CELL_COUNT_MAX)
        collection = None
        for _ in range(run_count):
            author, seq = (
                (self._decoder.their_author, arrival) if flags & OWN else self._take_dot(reader)
            )
            stamp = documents.check_stamp(self._stamp + reader.zigzag())
            self._stamp = stamp
            if flags & ID_IMPLIED and not id:
                id = automatic_id(stamp, author)
            shape = self._take_shape(reader)
            if collection is not None and collection != shape[0]:
                raise FormatError("one record in two collections")
            collection = shape[0]
            for path, cell_kind in shape[1]:
                start = reader.position
                end = value_end(reader.data, start, path.count(SEPARATOR))
                value = reader.take(end - start)
                cell = document[path] = Cell(stamp, author, seq, cell_kind, value)
                documents.check_cell(path, cell)
        if not id or not document or len(document) > CELL_COUNT_MAX:
            raise FormatError("a record without an id or fields, or with too many")
        return arrival, collection, id, document

    def _take_dot(self, reader: "Reader") -> "tuple[bytes, int]":
        slot = self._decoder.take_author(reader)
        seq = documents.check_seq(self._decoder.seqs[slot] + reader.zigzag())
        self._decoder.seqs[slot] = seq
        return self._decoder.authors[slot], seq

    def _take_shape(self, reader: "Reader") -> "tuple[str, list[tuple[str, int]]]":
        slot, new = take_reference(reader, SHAPE_SLOTS)
        if new:
            collection = reader.text(COLLECTION_BYTES_MAX)
            if not collection:
                raise FormatError("a collection without a name")
            count = reader.count(CELL_COUNT_MAX)
            heads = [documents.take_cell_head(reader) for _ in range(count)]
            self._shapes[slot] = (collection, heads)
        shape = self._shapes[slot]
        if shape is None:
            raise FormatError("shape slot %d was never defined" % slot)
        return shape
