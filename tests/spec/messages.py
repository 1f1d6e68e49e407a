"""From the link messages of one direction to what they say, and to documents."""

import zlib
from collections import namedtuple

from .columns import Column, numbers
from .values import Reader

ALPHABET = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

Record = namedtuple("Record", ("collection", "id", "cells"))
Cell = namedtuple("Cell", ("kind", "path", "value", "author", "seq", "stamp"))
Shape = namedtuple("Shape", ("collection", "is_implied", "runs", "columns"))


def read_all(messages, sender):
    """Yield (kind, what it says) of everything in the messages of one direction of a link."""
    decoder = Decoder(sender)
    for message in messages:
        yield from decoder.read(message)


def documents_in(said):
    """Return {(collection, id): {field: value}} of plain documents, the last write on top."""
    cells = {}
    for _, records in said:
        for record in records if isinstance(records, list) else ():
            for cell in record.cells:
                key = record.collection, record.id, cell.path
                order = cell.stamp, cell.author
                if key not in cells or cells[key][0] < order:
                    cells[key] = order, cell
    found = {}
    for (collection, id, path), (_, cell) in cells.items():
        if cell.kind == 0 and path not in (b"", b"\0"):
            found.setdefault((collection, id), {})[path.decode()] = cell.value
    return found


class Decoder:
    """What a receiver remembers of one direction of a link."""

    def __init__(self, sender):
        self._authors = {0: sender}
        self._seqs = {0: 0}
        self._shapes = {}
        self._stamp = 0
        self._inflater = zlib.decompressobj(-13)

    def read(self, message):
        reader = Reader(message)
        while reader.at < len(message):
            kind = reader.byte()
            if kind == 0x07:
                rest = reader.take(len(message) - reader.at)
                yield from self.read(self._inflater.decompress(rest + b"\0\0\xff\xff"))
            else:
                yield kind, self._SAID[kind](self, reader)

    def _vector(self, reader):
        return [(self._author(reader), reader.varint()) for _ in range(reader.varint())]

    def _author(self, reader):
        return self._authors[self._author_slot(reader)]

    def _author_slot(self, reader):
        reference = reader.varint()
        slot = reference >> 1
        if reference & 1:
            self._authors[slot], self._seqs[slot] = reader.take(8), 0
        return slot

    def _hello(self, reader):
        flags, *_ = (reader.varint() for _ in range(3))
        reader.zigzag()
        said = [reader.varint() for _ in range(2)]
        if flags & 16:
            said.append(reader.take(4))
        if not flags & 8:
            said.append(reader.varint())
        wanted = []
        for _ in range(reader.varint()):
            statement = reader.text()
            reader.take(reader.varint())
            wanted.append((statement, reader.varint()))
        return flags, wanted

    def _delta(self, reader):
        reader.varint()
        reader.varint()
        return [record for _ in range(reader.varint()) for record in self._group(reader)]

    def _done(self, reader):
        cursor = reader.varint() + reader.varint()
        reader.varint()
        entries = range(reader.varint())
        return cursor, [(self._author(reader), reader.varint(), reader.varint()) for _ in entries]

    def _ask(self, reader):
        return tuple(self._author(reader) for _ in range(reader.varint()))

    def _long(self, reader):
        return reader.take(reader.varint())

    def _checksum(self, reader):
        return reader.take(4)

    def _again(self, reader):
        return ()

    def _presence(self, reader):
        return tuple(self._description(reader) for _ in range(reader.varint()))

    def _description(self, reader):
        author, version, name = reader.take(8), reader.varint(), reader.text()
        links = range(reader.varint())
        return author, version, name, [self._neighbour(reader) for _ in links]

    def _neighbour(self, reader):
        return reader.take(8), reader.text(), reader.text(), reader.byte()

    _SAID = {
        0x01: _vector,
        0x02: _hello,
        0x03: _vector,
        0x04: _delta,
        0x05: _done,
        0x06: _ask,
        0x0C: _long,
        0x0D: _long,
        0x0E: _long,
        0x0F: _checksum,
        0x10: _again,
        0x11: _presence,
        0x12: _delta,
    }

    def _group(self, reader):
        count = reader.varint()
        shape = self._shape(reader)
        ids = None if shape.is_implied else shape.columns[-1].take(reader, count)
        cells = [[] for _ in range(count)]
        columns = iter(shape.columns)
        for heads in shape.runs:
            writes = self._writes(reader, count)
            for kind, path in heads:
                values = next(columns).take(reader, count)
                for of_record, write, value in zip(cells, writes, values, strict=True):
                    of_record.append(Cell(kind, path, value, *write))
        if ids is None:
            ids = [automatic_id(of_record[0].stamp, of_record[0].author) for of_record in cells]
        return [Record(shape.collection, *one) for one in zip(ids, cells, strict=True)]

    def _shape(self, reader):
        reference = reader.varint()
        if reference & 1:
            collection = reader.text()
            runs = reader.varint()
            heads = [[self._head(reader) for _ in range(reader.varint())] for _ in range(runs >> 1)]
            columns = [Column() for _ in range(sum(map(len, heads)) + 1)]
            self._shapes[reference >> 1] = Shape(collection, runs & 1, heads, columns)
        return self._shapes[reference >> 1]

    def _head(self, reader):
        head = reader.varint()
        return head & 3, reader.take(head >> 2)

    def _writes(self, reader, count):
        """Return (author, seq, stamp) of each record's run."""
        flags = reader.byte()
        if flags & 1:
            slots = [self._author_slot(reader)] * count
        else:
            slots = [self._author_slot(reader) for _ in range(count)]
        seqs, last = [], 0
        for total, slot in zip(numbers(reader, count, 0, flags & 2), slots, strict=True):
            self._seqs[slot] += total - last
            seqs.append(self._seqs[slot])
            last = total
        if flags & 4:
            ticks = numbers(reader, count, self._stamp >> 8, flags & 8)
            counters = numbers(reader, count, self._stamp & 0xFF, False)
            pairs = zip(ticks, counters, strict=True)
            stamps = [tick << 8 | counter for tick, counter in pairs]
        else:
            stamps = numbers(reader, count, self._stamp, flags & 8)
        self._stamp = stamps[-1]
        return list(zip([self._authors[slot] for slot in slots], seqs, stamps, strict=True))


def automatic_id(stamp, author):
    return _digits(stamp, 8) + _digits(int.from_bytes(author, "big"), 11)


def _digits(number, count):
    return bytes(ALPHABET[number >> 6 * place & 63] for place in reversed(range(count))).decode()
