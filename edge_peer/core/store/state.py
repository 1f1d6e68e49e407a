"""
What a store remembers beside its documents, as an entry of its log (SPEC.md, "Store state").

    version u8 | incarnation 4 | epoch | arrival | own seq | last stamp | lost writes |
    counter floor | K | E | D | cursor count | (neighbour 8 | resume | base | its epoch)*
    K, E, D   count | (author 8 | seq)*

All numbers are varints unless said otherwise. Version 2 had no counter floor, version 1
no lost writes either.
"""

from collections import namedtuple

from edge_peer.core.document import AUTHOR_SIZE
from edge_peer.core.errors import FormatError, StorageError
from edge_peer.core.packing import Reader, put_varint

VERSION = 3
FRAGMENTS_ID = "fragments"  # the entry beside it of core/store/fragments.py
INCARNATION_SIZE = 4
AUTHOR_COUNT_MAX = 65_536  # in each vector: bounds what neighbours can make us keep

# vectors: (K, E, D), each {author: seq}; cursors: {neighbour: (resume, base, its epoch)}
State = namedtuple(
    "State",
    (
        "incarnation",
        "epoch",
        "arrival",
        "own_seq",
        "stamp",
        "lost_count",
        "counter_floor",
        "vectors",
        "cursors",
    ),
)
_NUMBER_COUNT = 6  # of the varints before the vectors


def encode(state: State) -> bytes:
    out = bytearray([VERSION]) + state.incarnation
    for number in state[1 : 1 + _NUMBER_COUNT]:
        put_varint(out, number)
    for vector in state.vectors:
        put_varint(out, len(vector))
        for author in sorted(vector):
            out += author
            put_varint(out, vector[author])
    put_varint(out, len(state.cursors))
    for neighbour in sorted(state.cursors):
        out += neighbour
        for number in state.cursors[neighbour]:
            put_varint(out, number)
    return bytes(out)


def decode(data: bytes) -> State:
    """Raises StorageError for a newer version, FormatError for what no store wrote."""
    reader = Reader(data)
    version = reader.byte()
    if not 1 <= version <= VERSION:
        raise StorageError("the store was written by a newer version")
    incarnation = reader.take(INCARNATION_SIZE)
    numbers = [reader.varint() for _ in range(_NUMBER_COUNT - (VERSION - version))]
    vectors = []
    for _ in range(3):
        vector = {}
        for _ in range(reader.count(AUTHOR_COUNT_MAX)):
            author = reader.take(AUTHOR_SIZE)
            vector[author] = reader.varint()
        vectors.append(vector)
    cursors = {}
    for _ in range(reader.count(AUTHOR_COUNT_MAX)):
        neighbour = reader.take(AUTHOR_SIZE)
        cursors[neighbour] = (reader.varint(), reader.varint(), reader.varint())
    if not reader.at_end():
        raise FormatError("bytes behind the state")
    if version == 1:
        numbers.append(0)
    if version < VERSION:
        numbers.append(numbers[2])  # of what was dropped then nothing is known: up to own seq
    return State(incarnation, *numbers, vectors, cursors)  # type: ignore[call-arg]
