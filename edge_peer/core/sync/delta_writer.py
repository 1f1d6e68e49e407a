"""
Write DELTA: documents, as columns of those that have the same fields.

    DELTA    4 | previous cursor | cursor - previous | count | group*
    group    record count | shape | [ids, a column] | run*
    run      dots | a column for each cell
    dots     flags u8 | author, or one each | numbers, seqs | numbers, stamps
    shape    slot << 1, or slot << 1 | 1 | collection text | run count << 1 | ID_IMPLIED |
             (cell count | cell head*)*

Records of one shape have the same fields in the same runs (a run: the cells of one write).
They stand in the order of their authors and seqs, whatever order they arrived in. The
seqs are the sums, from 0 on, of what each is above the last of its author; stamps go on
from the last stamp; where they are SPLIT, they are two lots of numbers, of ticks and
of counters. core/sync/column_writer.py has columns and numbers.
"""

from edge_peer.core import document as documents
from edge_peer.core.codec import pack
from edge_peer.core.ids import automatic_id
from edge_peer.core.packing import put_text, put_varint
from edge_peer.core.sync.column_writer import FRESH, coded, put_column, put_numbers
from edge_peer.core.sync.messages import DELTA, SHAPE_SLOTS, Interner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.document import Document
    from edge_peer.core.store.log import Put
    from edge_peer.core.sync.column_writer import Column
    from edge_peer.core.sync.messages import Encoder

    Runs = list[tuple[tuple[int, bytes, int], list[str]]]  # as from documents.runs_of
    Record = tuple[bytes, int, str, Runs, Document]  # author and seq of the first run, id

ID_IMPLIED = 1  # the id is automatic_id(stamp of the first run, its author)

# Flags of dots
ONE_AUTHOR = 1  # of all records
SEQS_SECOND = 2
STAMPS_SPLIT = 4
STAMPS_SECOND = 8


class DeltaWriter:
    """The part of an Encoder that knows shapes and stamps."""

    def __init__(self, encoder: "Encoder") -> None:
        self._encoder = encoder
        self._shapes = Interner(SHAPE_SLOTS)
        self._columns: dict[int, list[Column]] = {}  # slot -> of ids, then of each cell
        self._stamp = 0

    def snapshot(self) -> "tuple[Any, ...]":
        columns = {slot: list(one) for slot, one in self._columns.items()}
        return self._shapes.snapshot(), columns, self._stamp

    def restore(self, snapshot: "tuple[Any, ...]") -> None:
        shapes, self._columns, self._stamp = snapshot
        self._shapes.restore(shapes)

    def write(
        self, previous: int, puts: "list[Put]", bodies: "list[Document]", kind: int = DELTA
    ) -> bytes:
        groups: dict[tuple[object, ...], list[Record]] = {}
        order = []
        for i in range(len(puts)):
            collection, id, _, _ = puts[i]
            runs = documents.runs_of(bodies[i])
            stamp, author, seq = runs[0][0]
            heads = [tuple([(path, bodies[i][path].kind) for path in run[1]]) for run in runs]
            shape = (collection, id == automatic_id(stamp, author), tuple(heads))
            if shape not in groups:
                groups[shape] = []
                order.append(shape)
            groups[shape].append((author, seq, id, runs, bodies[i]))
        out = bytearray([kind])
        put_varint(out, previous)
        put_varint(out, puts[-1][2] - previous if puts else 0)
        put_varint(out, len(order))
        for shape in order:
            records = groups[shape]
            records.sort(key=lambda record: record[:2])
            put_varint(out, len(records))
            self._put_group(out, shape, records)
        return bytes(out)

    def _put_group(self, out: bytearray, shape, records: "list[Record]") -> None:  # type: ignore[no-untyped-def]
        slot = self._put_shape(out, shape)
        columns = self._columns[slot]
        if not shape[1]:
            columns[0] = put_column(out, [pack(record[2]) for record in records], columns[0])
        place = 1
        for i in range(len(shape[2])):
            self._put_dots(out, [record[3][i][0] for record in records])
            for path, _ in shape[2][i]:
                values = [record[4][path].value for record in records]
                columns[place] = put_column(out, values, columns[place])
                place += 1

    def _put_shape(self, out: bytearray, shape) -> int:  # type: ignore[no-untyped-def]
        slot, new = self._shapes.refer(out, shape)
        if new:
            collection, implied, runs = shape
            put_text(out, collection)
            put_varint(out, len(runs) << 1 | (ID_IMPLIED if implied else 0))
            for heads in runs:
                put_varint(out, len(heads))
                for path, kind in heads:
                    documents.put_cell_head(out, path, kind)
            self._columns[slot] = [FRESH] * (1 + sum([len(heads) for heads in runs]))
        return slot

    def _put_dots(self, out: bytearray, dots: "list[tuple[int, bytes, int]]") -> None:
        authors = [dot[1] for dot in dots]
        one = all([author == authors[0] for author in authors])
        references = bytearray()
        slots = [self._encoder.put_author(references, a) for a in (authors[:1] if one else authors)]
        seqs = []
        above = 0
        for i in range(len(dots)):
            slot = slots[0 if one else i]
            above += dots[i][2] - self._encoder.seqs[slot]
            self._encoder.seqs[slot] = dots[i][2]
            seqs.append(above)
        order, data = coded(seqs, 0)
        flags, stamps = self._coded_stamps([dot[0] for dot in dots])
        out.append(flags | (ONE_AUTHOR if one else 0) | (SEQS_SECOND if order else 0))
        out += references
        out += data
        out += stamps

    def _coded_stamps(self, stamps: "list[int]") -> "tuple[int, bytearray]":
        """Return (flags, numbers)."""
        order, whole = coded(stamps, self._stamp)
        split_order, split = coded([stamp >> 8 for stamp in stamps], self._stamp >> 8)
        put_numbers(split, [stamp & 255 for stamp in stamps], self._stamp & 255, False)
        self._stamp = stamps[-1]
        if len(split) < len(whole):
            return STAMPS_SPLIT | (STAMPS_SECOND if split_order else 0), split
        return STAMPS_SECOND if order else 0, whole
