"""Numbers and columns, as SPEC.md has them."""

import struct

from .values import Reader

TABLE_MAX = 16
TEXT_MAX = 31


def numbers(reader, count, last, second):
    """Return so many numbers. last: the one before them; second: they are second differences."""
    found, step, zeros = [], 0, 0
    while len(found) < count:
        if zeros:
            zeros, difference = zeros - 1, 0
        else:
            difference = reader.zigzag()
            if difference == 0 and len(found) < count - 1:
                zeros = reader.varint()
        step = step + difference if second else difference
        last += step
        found.append(last)
    return found


class Column:
    """What goes on from one DELTA to the next, of one field in one shape."""

    def __init__(self):
        self._kind, self._last, self._prefix, self._table = None, 0, b"", []

    def take(self, reader, count):
        """Return the values of so many records."""
        head = reader.byte()
        form, scale, has_prefix = head & 7, head >> 4 & 7, head & 0x80
        if form == 0:
            return [reader.value() for _ in range(count)]
        if form == 5:
            return self._from_table(reader, count)
        if has_prefix:
            self._prefix = reader.take(reader.varint())
        kind = form, scale, self._prefix if form == 4 else b""
        found = numbers(reader, count, self._last if kind == self._kind else 0, head & 8)
        self._kind, self._last = kind, found[-1]
        return [self._value(form, scale, number) for number in found]

    def _value(self, form, scale, number):
        if form == 1:
            return number
        if form == 4:
            return Reader(self._prefix + b"%0*d" % (scale, number)).value()
        value = number / 10**scale
        return value if form == 2 else struct.unpack(">f", struct.pack(">f", value))[0]

    def _from_table(self, reader, count):
        places = numbers(reader, count, 0, False)
        found = []
        for place in places:
            if place:
                found.append(self._table[place - 1])
            else:
                start = reader.at
                found.append(reader.value())
                if reader.at - start <= TEXT_MAX:
                    self._table = [*self._table, found[-1]][-TABLE_MAX:]
        return found
