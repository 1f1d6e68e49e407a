"""
A document: a map of fields, each with the stamp of the write that it comes from.

In memory a document is a dict, path -> Cell. A path is the field's name; fields
of nested maps are cells of their own, their names joined by NUL. Arrays are
values. A cell keeps its value as the MessagePack bytes that the author wrote,
so that merging, storing and relaying never round a float.

Every write has one *dot*, (author, seq), and one stamp (clock.py), and all the
fields that it sets share them. Field by field the larger (stamp, author) wins,
and of more than CELL_COUNT_MAX fields the newest stay. That makes merging
commutative, associative and idempotent: any two peers that have seen the same
writes hold the same bytes.

Layout (SPEC.md, "Documents"), the only encoding of a given document:

    run count varint | runs, ascending by (stamp, author, seq)
    run    author 8 | seq varint | stamp 6 | cell count varint | cells, ascending by path
    cell   path length << 2 | kind, varint | path | value length varint | value

Source: Shapiro et al., "A comprehensive study of convergent and commutative
replicated data types", INRIA RR-7506, 2011 (LWW register, 3.2.1).
"""

from collections import namedtuple

from edge_peer.core.clock import STAMP_MAX
from edge_peer.core.codec import DEPTH_MAX
from edge_peer.core.errors import FormatError
from edge_peer.core.packing import Reader, from_utf8, put_varint, to_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Document = dict[str, "Cell"]

AUTHOR_SIZE = 8
STAMP_SIZE = 6
PATH_BYTES_MAX = 128  # a name, or a few levels of them
SEQ_MAX = (1 << 48) - 1  # one write a microsecond for nine years
CELL_COUNT_MAX = 256  # per document: bounds what one can make a board build, and its runs
VALUE_BYTES_MAX = 262_144  # 256 KiB, the largest document on Linux; boards have their own bound
SEPARATOR = "\0"  # between the names of a path; no name contains it

# Kinds of cells. The numbers of what later formats add are taken already, and
# refused until then, so that an old peer never mistakes a counter for a value.
REGISTER = 0  # 1 counter, 2 removed, 3 attachment

# Cells compare as tuples. What stands behind the author only matters for writers
# that break the rule of one write per stamp.
Cell = namedtuple("Cell", ("stamp", "author", "seq", "kind", "value"))


def make(values: "dict[str, bytes]", stamp: int, author: bytes, seq: int) -> "Document":
    """Return the document that one write of these values (see `flatten`) makes."""
    return {path: Cell(stamp, author, seq, REGISTER, values[path]) for path in values}


def merge(ours: "Document", theirs: "Document") -> bool:
    """Take every newer cell of `theirs` into `ours`; return whether there was one."""
    taken = []
    for path, cell in theirs.items():
        have = ours.get(path)
        if have is None or have < cell:
            ours[path] = cell
            taken.append(path)
    if len(ours) > CELL_COUNT_MAX:
        newest = sorted([(cell, path) for path, cell in ours.items()])
        for _, path in newest[:-CELL_COUNT_MAX]:
            del ours[path]
        return any([path in ours for path in taken])
    return bool(taken)


def encode(document: "Document") -> bytes:
    runs = runs_of(document)
    out = bytearray()
    put_varint(out, len(runs))
    for (stamp, author, seq), paths in runs:
        out += author
        put_varint(out, seq)
        out += stamp.to_bytes(STAMP_SIZE, "big")
        put_varint(out, len(paths))
        for path in paths:
            cell = document[path]
            put_cell_head(out, path, cell.kind)
            put_varint(out, len(cell.value))
            out += cell.value
    return bytes(out)


def decode(data: bytes) -> "Document":
    """Raise FormatError unless `data` is one whole document."""
    reader = Reader(data)
    document: Document = {}
    for _ in range(reader.count(CELL_COUNT_MAX)):
        author = reader.take(AUTHOR_SIZE)
        seq = check_seq(reader.varint())
        stamp = check_stamp(int.from_bytes(reader.take(STAMP_SIZE), "big"))
        for _ in range(reader.count(CELL_COUNT_MAX)):
            path, kind = take_cell_head(reader)
            value = reader.take(reader.count(VALUE_BYTES_MAX))
            document[path] = Cell(stamp, author, seq, kind, value)
        if len(document) > CELL_COUNT_MAX:
            raise FormatError("more than %d fields" % CELL_COUNT_MAX)
    if not reader.at_end():
        raise FormatError("bytes behind the document")
    return document


def check_seq(seq: int) -> int:
    if not 0 < seq <= SEQ_MAX:
        raise FormatError("seq out of range")
    return seq


def check_stamp(stamp: int) -> int:
    if not 0 < stamp <= STAMP_MAX:
        raise FormatError("stamp out of range")
    return stamp


def runs_of(document: "Document") -> "list[tuple[tuple[int, bytes, int], list[str]]]":
    """Group the paths by write: [((stamp, author, seq), [path, …]), …], canonically ordered."""
    runs: dict[tuple[int, bytes, int], list[str]] = {}
    for path in sorted(document):
        runs.setdefault(document[path][:3], []).append(path)
    return sorted(runs.items())


def put_cell_head(out: bytearray, path: str, kind: int) -> None:
    raw = path.encode()
    put_varint(out, len(raw) << 2 | kind)
    out += raw


def take_cell_head(reader: Reader) -> "tuple[str, int]":
    head = reader.count(PATH_BYTES_MAX << 2 | 3)
    if head & 3 != REGISTER:
        raise FormatError("cell kind %d is from a newer version" % (head & 3))
    path = from_utf8(reader.take(head >> 2))
    if path.count(SEPARATOR) >= DEPTH_MAX:
        raise FormatError("maps nested deeper than %d" % DEPTH_MAX)
    return path, REGISTER


def flatten(fields: "dict[str, object]", pack: "Callable[[object], bytes]") -> "dict[str, bytes]":
    """Turn the fields of an application's document into {path: packed value}.

    Raises TypeError or ValueError, with a sentence for the person who wrote the
    document, for anything that a document cannot hold.
    """
    values: dict[str, bytes] = {}
    _flatten(values, "", fields, pack, 1)
    if len(values) > CELL_COUNT_MAX:
        raise ValueError("a document has at most %d fields" % CELL_COUNT_MAX)
    return values


def view(document: "Document", unpack: "Callable[[bytes], object]") -> "dict[str, object]":
    """Return the fields as the application sees them.

    Where a value and a map's fields claim one name, the newer write wins. Cells
    are laid over each other from the oldest to the newest to find out.
    """
    fields: dict[str, object] = {}
    for cell, name in sorted([(cell, path) for path, cell in document.items()]):
        inner = fields
        if SEPARATOR in name:
            *outer, name = name.split(SEPARATOR)
            for one in outer:
                deeper = inner.get(one)
                if not isinstance(deeper, dict):
                    deeper = inner[one] = {}
                inner = deeper
        inner[name] = unpack(cell.value)
    return fields


def _flatten(
    values: "dict[str, bytes]",
    prefix: str,
    fields: "dict[str, object]",
    pack: "Callable[[object], bytes]",
    depth: int,
) -> None:
    for name in fields:
        if not isinstance(name, str) or not name or SEPARATOR in name:
            raise TypeError("a field name must be text without NUL, not %r" % (name,))
        path = prefix + name
        if len(to_utf8(path)) > PATH_BYTES_MAX:
            raise ValueError("a field name has at most %d bytes" % PATH_BYTES_MAX)
        value = fields[name]
        if isinstance(value, dict) and value:
            if depth >= DEPTH_MAX:
                raise ValueError("maps are nested at most %d deep" % DEPTH_MAX)
            _flatten(values, path + SEPARATOR, value, pack, depth + 1)
        else:
            _check(value, depth)
            values[path] = pack(value)
            if len(values[path]) > VALUE_BYTES_MAX:
                raise ValueError("a value has at most %d bytes" % VALUE_BYTES_MAX)


def _check(value: object, depth: int) -> None:
    """Refuse what MessagePack would take and JSON or another peer would not."""
    if depth > DEPTH_MAX:
        raise ValueError("values are nested at most %d deep" % DEPTH_MAX)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("NaN and infinity are not values of a document")
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError("a map key must be text, not %r" % (key,))
            _check(value[key], depth + 1)
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError("integers have at most 64 bits with sign")
    elif not (value is None or isinstance(value, (bool, str, bytes))):  # a bool is no int on boards
        raise TypeError("a document cannot hold a %s" % type(value).__name__)
