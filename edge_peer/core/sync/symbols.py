"""
Two sets of documents told apart by their sums: rateless set reconciliation.

Of a set any number of *symbols* can be computed. Each is the sum of some of the documents,
the first of all of them, later ones of fewer and fewer. What two sets have in common falls out
of the difference of their symbols; where a single document is left of one, that is known, can
be taken out of the others, and leaves a single one elsewhere. So some 1.4 to 1.8 symbols a
difference are enough, however large the sets are, and nobody has to guess their number.

    symbol   u64   exclusive or of (key 6 | check 14 bits), and how many, modulo 4, in 2 bits
    key      SHA-256(salt | collection text | id text | encoded document), the first 6 bytes
    stream   SHA-256(salt | key), then SHA-256(stream before), and so on: numbers of 16 bits.
             check is the upper 14 bits of the first; each further one, modulo 4096, plus 1, is
             r: of the symbols behind i, which has this document, the next that has it, too, is
             the first j with (j + 1)(j + 2) r >= (i + 1)(i + 2) 4096

The salt is new with each link, and both sides have drawn it: nobody can write documents that
look like one another, or are hard to tell apart.

Source: Yang, Gilad, Alizadeh, "Practical rateless set reconciliation", SIGCOMM 2024; the rule
for j is theirs (each document is in symbol i with probability 1 / (1 + i / 2)), in integers.
"""

from array import array
from hashlib import sha256

from edge_peer.core.packing import put_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_peer.core.store.log import Put

KEY_SIZE = 6  # of d differences, d² / 2^49 is the chance that two hide each other
SYMBOL_SIZE = 8
_COUNT = 3
_SUM = (1 << 64) - 1 - _COUNT
_DRAWS = 4_096  # as much as keeps the products of a board's first 500 symbols off its heap


def key_of(salt: bytes, put: "Put") -> bytes:
    """Return what stands for this version of this document."""
    name = bytearray()
    put_text(name, put[0])
    put_text(name, put[1])
    hashed = sha256(salt)
    hashed.update(bytes(name))
    hashed.update(put[3])
    return hashed.digest()[:KEY_SIZE]


class Symbols:
    """The first `count` symbols of a set."""

    def __init__(self, salt: bytes, count: int) -> None:
        self._salt = salt
        self.rows = array("Q", bytes(SYMBOL_SIZE * count))
        self.size = 0  # of the set

    def add(self, key: bytes) -> None:
        self.size += 1
        self._count(key, 1)

    def _count(self, key: bytes, by: int) -> None:
        stream = sha256(self._salt + key).digest()
        item = int.from_bytes(key + stream[:2], "big") & _SUM
        rows = self.rows
        for i in _places(stream, len(rows)):
            row = rows[i]
            rows[i] = (row ^ item) & _SUM | (row + by) & _COUNT


class Difference(Symbols):
    """Our symbols, and what is left of them when the other side's are taken off."""

    def __init__(self, salt: bytes, count: int) -> None:
        Symbols.__init__(self, salt, count)
        self.taken_count = 0
        self.ours: list[bytes] = []  # keys of what only we have, as far as it is known
        self.theirs: list[bytes] = []

    def take(self, symbols: "list[int]") -> bool:
        """Take the next symbols; return whether the differences are known now.

        What was made up leads nowhere, and ends: no more is found than there are symbols.
        """
        for symbol in symbols:
            row = self.rows[self.taken_count]
            self.rows[self.taken_count] = (row ^ symbol) & _SUM | (row - symbol) & _COUNT
            self.taken_count += 1
        found = True
        while found:
            found = False
            for i in range(self.taken_count):
                key = self._single(self.rows[i], i)
                if key and len(self.ours) + len(self.theirs) < self.taken_count:
                    found = True
                    by = 1 if self.rows[i] & _COUNT == 1 else -1
                    (self.ours if by > 0 else self.theirs).append(key)
                    self._count(key, -by)
        return not any([self.rows[i] for i in range(self.taken_count)])

    def _single(self, row: int, place: int) -> bytes:
        """Return the key of the only document in a symbol, b"" if there are more, or none."""
        if row & _COUNT not in (1, 3):
            return b""
        raw = row.to_bytes(SYMBOL_SIZE, "big")
        key = raw[:KEY_SIZE]
        stream = sha256(self._salt + key).digest()
        check = int.from_bytes(stream[:2], "big") & _SUM
        if check != int.from_bytes(raw[KEY_SIZE:], "big") & _SUM & 0xFFFF:
            return b""
        return key if place in _places(stream, place + 1) else b""


def _places(stream: bytes, count: int) -> "Iterator[int]":
    """Yield which of the first `count` symbols have a document, in ascending order."""
    place, at = 0, 2
    while place < count:
        yield place
        if at == len(stream):
            stream, at = sha256(stream).digest(), 0
        draw = ((stream[at] << 8 | stream[at + 1]) & (_DRAWS - 1)) + 1
        at += 2
        bound = (place + 1) * (place + 2) * _DRAWS
        low, high = place + 1, count  # the first that fulfils it is among these
        while low < high:
            middle = (low + high) // 2
            if (middle + 1) * (middle + 2) * draw >= bound:
                high = middle
            else:
                low = middle + 1
        place = low
