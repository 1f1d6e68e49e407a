"""
A document: a map of fields, each with the stamp of the write that it comes from.

In memory a document is a dict, path -> Cell. A path is the field's name; fields
of nested maps are cells of their own, their names joined by NUL. Arrays are
values. A cell keeps its value as the MessagePack bytes that the author wrote,
so that merging, storing and relaying never round a float.

Every write has one *dot*, (author, seq), and one stamp (clock.py), and all the
cells that it makes share them. Of two cells of one path the one of higher `order`
stays; four kinds of cells (core/kinds.py makes and reads the last three):

    register    a value; its order is (stamp, author)
    counter     what one author has added to a number
    removed     no value; its order is just above that of the cell that it removes, so
                that a write which the remover had not seen stays, if it is newer
    attachment  a register that names a blob

Three cells are about the document itself. The one at the empty path, LIFE, is its
tombstone: cells ordered below it go. The one at BIRTH says that somebody created the
document under an id of his choice, as every INSERT that names one does. A document
with a tombstone and no birth above it is invisible whatever else it holds: an update
that crosses the delete does not bring it back. An INSERT does, whether or not its writer
knew of the delete; who knew writes another tombstone with it, below which all that
was before goes. Automatic ids are never given twice and need no BIRTH. The one at SEAL
proves, to whoever has the document from a relay, what Big Peers have written in it
(security/seal.py).

Of more than CELL_COUNT_MAX cells the highest stay. Each of these rules keeps a
maximum or what is above one, which makes merging commutative, associative and
idempotent: any two peers that have seen the same writes hold the same bytes.

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
    from typing import Any

    Document = dict[str, "Cell"]
    Changes = dict[str, Any]  # path -> bytes | (kind, operand)

AUTHOR_SIZE = 8
STAMP_SIZE = 6
PATH_BYTES_MAX = 128  # a name, or a few levels of them
SEQ_MAX = (1 << 48) - 1  # one write a microsecond for nine years
# Per document, removed and hidden cells too: bounds what one can make a board build, and its runs.
CELL_COUNT_MAX = 256
FIELD_COUNT_MAX = CELL_COUNT_MAX - 2  # an application's, beside LIFE and BIRTH
VALUE_BYTES_MAX = 262_144  # 256 KiB, the largest document on Linux; boards have their own bound
SEPARATOR = "\0"  # between the names of a path; no name contains it

REGISTER, COUNTER, REMOVED, ATTACHMENT = 0, 1, 2, 3
LIFE = ""  # sorts before BIRTH, that before SEAL, and that before all that are fields
BIRTH = SEPARATOR
SEAL = SEPARATOR + "s"
NIL = b"\xc0"  # the value of these two
_SEEN_SIZE = 2 + STAMP_SIZE + AUTHOR_SIZE  # a removed field: a bin of the stamp and author removed

# Cells compare as tuples. What stands behind the author only matters for writers
# that break the rule of one write per stamp.
Cell = namedtuple("Cell", ("stamp", "author", "seq", "kind", "value"))


def make(
    changes: "Changes",
    stamp: int,
    author: bytes,
    seq: int,
    old: "Document | None" = None,
    counter_floor: int = 0,
) -> "Document":
    """Return the document that one write makes, to be merged with the `old` one.

    changes: {path: packed value, as from `flatten`, or (kind, operand)}. Operands: what
    to add to a COUNTER; the packed token of an ATTACHMENT; None for REMOVED, which
    takes the field and those below it, or, at LIFE, the document. {BIRTH: NIL} creates it.
    counter_floor: the author's own counters up to this seq are not gone on with.
    Raises ValueError for a counter that would leave 64 bits.
    """
    document: Document = {}
    for path in changes:
        value = changes[path]
        if isinstance(value, bytes):
            document[path] = Cell(stamp, author, seq, REGISTER, value)
        else:
            from edge_peer.core.kinds import change

            by = Cell(stamp, author, seq, REGISTER, NIL)
            change(document, path, value, by, old or {}, counter_floor)
    for path in changes:  # what is set wins over what a removal above it took
        value = changes[path]
        if isinstance(value, bytes):
            document[path] = Cell(stamp, author, seq, REGISTER, value)
        elif value[0] == ATTACHMENT:
            document[path] = Cell(stamp, author, seq, ATTACHMENT, value[1])
    return document


def merge(ours: "Document", theirs: "Document") -> bool:
    """Take every higher cell of `theirs` into `ours`; return whether there was one."""
    taken = []
    for path, cell in theirs.items():
        have = ours.get(path)
        if have is None or _is_above(cell, have):
            ours[path] = cell
            taken.append(path)
    is_cut = len(ours) > CELL_COUNT_MAX
    if taken and LIFE in ours:
        life = order(ours[LIFE])[:2]
        low = [path for path in ours if order(ours[path])[:2] < life]
        for path in low:
            del ours[path]
        is_cut = is_cut or bool(low)
    if len(ours) > CELL_COUNT_MAX:
        highest = sorted([(path <= SEAL, order(cell), path) for path, cell in ours.items()])
        for _, _, path in highest[:-CELL_COUNT_MAX]:
            del ours[path]
    return any([path in ours for path in taken]) if is_cut else bool(taken)


def order(cell: Cell) -> "tuple[Any, ...]":
    """Return (stamp, author, …), by which the higher of two cells of one path stays."""
    if cell.kind == REMOVED and len(cell.value) == _SEEN_SIZE:
        stamp = int.from_bytes(cell.value[2 : 2 + STAMP_SIZE], "big")
        return stamp, cell.value[2 + STAMP_SIZE :], 1, cell
    return cell.stamp, cell.author, 0, cell


def _is_above(cell: Cell, have: Cell) -> bool:
    if cell.kind != REMOVED and have.kind != REMOVED:
        return have < cell  # what `order` says, without making it
    return order(have) < order(cell)


def is_deleted(document: "Document") -> bool:
    return LIFE in document and BIRTH not in document  # a birth below the tombstone has gone


def encode(document: "Document") -> bytes:
    runs = runs_of(document)
    out = bytearray()
    put_varint(out, len(runs))
    for (stamp, author, seq), paths in runs:
        _put_dot(out, stamp, author, seq, len(paths))
        for path in paths:
            _put_cell(out, path, document[path].kind, document[path].value)
    return bytes(out)


def encode_new(changes: "Changes", stamp: int, author: bytes, seq: int) -> bytes:
    """Return what `encode` makes of what `make` makes of the first write to a document.

    Most such writes only set fields: one run, which needs no Cells.
    """
    out = bytearray(b"\1")
    _put_dot(out, stamp, author, seq, len(changes))
    for path in sorted(changes):
        value = changes[path]
        if not isinstance(value, bytes):
            return encode(make(changes, stamp, author, seq))
        _put_cell(out, path, REGISTER, value)
    return bytes(out)


def _put_dot(out: bytearray, stamp: int, author: bytes, seq: int, cell_count: int) -> None:
    out += author
    put_varint(out, seq)
    out += stamp.to_bytes(STAMP_SIZE, "big")
    put_varint(out, cell_count)


def _put_cell(out: bytearray, path: str, kind: int, value: bytes) -> None:
    raw = path.encode()
    if len(raw) < 32 and len(value) < 128:  # most often; saves two calls
        out.append(len(raw) << 2 | kind)
        out += raw
        out.append(len(value))
    else:
        put_varint(out, len(raw) << 2 | kind)
        out += raw
        put_varint(out, len(value))
    out += value


def decode(data: bytes) -> "Document":
    """Raise FormatError unless `data` is one whole document, as `encode` writes it."""
    reader = Reader(data)
    document: Document = {}
    count = 0
    last_run: tuple[int, bytes, int] = (0, b"", 0)
    for _ in range(reader.count(CELL_COUNT_MAX)):
        author = reader.take(AUTHOR_SIZE)
        seq = check_seq(reader.varint())
        stamp = check_stamp(int.from_bytes(reader.take(STAMP_SIZE), "big"))
        run_count = reader.count(CELL_COUNT_MAX)
        count += run_count
        last_path = None
        for _ in range(run_count):
            path, kind = take_cell_head(reader)
            if last_path is not None and path <= last_path:
                raise FormatError("paths not in their order")
            value = reader.take(reader.count(VALUE_BYTES_MAX))
            cell = document[path] = Cell(stamp, author, seq, kind, value)
            check_cell(path, cell)
            last_path = path
        run = (stamp, author, seq)
        if not run_count or run <= last_run:
            raise FormatError("runs not in their order")
        last_run = run
    if count > CELL_COUNT_MAX or count != len(document):
        raise FormatError("more than %d fields, or one of them twice" % CELL_COUNT_MAX)
    if not reader.at_end():
        raise FormatError("bytes behind the document")
    return document


def dots_of(body: bytes) -> "list[tuple[int, bytes, int]]":
    """Return (stamp, author, seq) of each write in an encoded document; its cells are passed over.

    Raise FormatError where these are not whole. `body` comes from a store: its cells were
    checked on their way into it.
    """
    return _skim(body)[0]


def outline(body: bytes) -> "Document":
    """Return the document, for those who ask who wrote it and whether it is deleted.

    Most documents are registers only: of these it has one cell of each write, whose path
    and value mean nothing. Raises FormatError as `dots_of` does.
    """
    dots, is_plain = _skim(body)
    if not is_plain:
        return decode(body)
    cells = [Cell(stamp, author, seq, REGISTER, NIL) for stamp, author, seq in dots]
    return dict(enumerate(cells))  # type: ignore[arg-type]


def _skim(body: bytes) -> "tuple[list[tuple[int, bytes, int]], bool]":
    """Return the dots, and whether there are only registers, and no LIFE."""
    dots = []
    is_plain = True
    try:
        run_count, at = varint_at(body, 0)
        for _ in range(run_count):
            author = body[at : at + AUTHOR_SIZE]
            seq, at = varint_at(body, at + AUTHOR_SIZE)
            stamp = int.from_bytes(body[at : at + STAMP_SIZE], "big")
            count, at = varint_at(body, at + STAMP_SIZE)
            while count:
                count -= 1
                head, at = varint_at(body, at)
                is_plain = is_plain and head > 3 and not head & 3
                at += head >> 2
                size = body[at]
                at += 1
                if size > 127:
                    size, at = varint_at(body, at - 1)
                at += size
            dots.append((check_stamp(stamp), author, check_seq(seq)))
    except IndexError:
        raise FormatError("cut short")
    if at != len(body):
        raise FormatError("not one document")
    return dots, is_plain


def varint_at(body: bytes, at: int) -> "tuple[int, int]":
    """Return the varint at this place, and where it ends."""
    if body[at] < 128:
        return body[at], at + 1
    reader = Reader(body, at)
    return reader.varint(), reader.position


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
    path = from_utf8(reader.take(head >> 2))
    if path.count(SEPARATOR) >= DEPTH_MAX:
        raise FormatError("maps nested deeper than %d" % DEPTH_MAX)
    return path, head & 3


def check_cell(path: str, cell: Cell) -> None:
    """Raise FormatError for a cell that no writer makes."""
    if path == BIRTH:
        if cell.kind != REGISTER or cell.value != NIL:
            raise FormatError("a birth with a value")
    elif path == SEAL:
        if cell.kind != REGISTER or cell.value[:1] not in (b"\xc4", b"\xc5"):
            raise FormatError("a seal that is no bytes")
    elif cell.kind != REGISTER or path == LIFE:
        from edge_peer.core.kinds import check

        check(path, cell)


def flatten(fields: "dict[str, object]", pack: "Callable[[object], bytes]") -> "Changes":
    """Turn the fields of an application's document into what `make` takes.

    Raises TypeError or ValueError, with a sentence for the person who wrote the
    document, for anything that a document cannot hold.
    """
    values: Changes = {}
    _flatten(values, "", fields, pack, 1)
    if len(values) > FIELD_COUNT_MAX:
        raise ValueError("a document has at most %d fields" % FIELD_COUNT_MAX)
    return values


def _flatten(
    values: "Changes",
    prefix: str,
    fields: "dict[str, object]",
    pack: "Callable[[object], bytes]",
    depth: int,
) -> None:
    for name in fields:
        if not isinstance(name, str) or not name or SEPARATOR in name:
            raise TypeError("a field name must be text without NUL, not %r" % (name,))
        path = prefix + name if prefix else name
        if len(to_utf8(path)) > PATH_BYTES_MAX:
            raise ValueError("a field name has at most %d bytes" % PATH_BYTES_MAX)
        value = fields[name]
        kind = type(value)
        if kind is str or kind is bool or (kind is float and value - value == 0):  # type: ignore[operator]
            packed = values[path] = pack(value)  # what most fields are, passed at once
        elif isinstance(value, dict) and value:
            if depth >= DEPTH_MAX:
                raise ValueError("maps are nested at most %d deep" % DEPTH_MAX)
            _flatten(values, path + SEPARATOR, value, pack, depth + 1)
            continue
        elif isinstance(value, tuple) and _is_attachment(value):
            from edge_peer.core.kinds import packed_token

            values[path] = (ATTACHMENT, packed_token(value))  # type: ignore[arg-type]
            continue
        else:
            _check(value, depth)
            packed = values[path] = pack(value)
        if len(packed) > VALUE_BYTES_MAX:
            raise ValueError("a value has at most %d bytes" % VALUE_BYTES_MAX)


def _check(value: object, depth: int) -> None:
    """Refuse what MessagePack would take and JSON or another peer would not."""
    if depth > DEPTH_MAX:
        raise ValueError("values are nested at most %d deep" % DEPTH_MAX)
    if isinstance(value, int):
        if value >> 63 not in (0, -1):
            raise ValueError("integers have at most 64 bits with sign")
    elif isinstance(value, float):
        if value - value != 0:
            raise ValueError("NaN and infinity are not values of a document")
    elif isinstance(value, (list, tuple)):
        if isinstance(value, tuple) and _is_attachment(value):
            raise TypeError("an attachment is the value of a field, and in no array")
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError("a map key must be text, not %r" % (key,))
            _check(value[key], depth + 1)
    elif not (value is None or isinstance(value, (bool, str, bytes))):  # a bool is no int on boards
        raise TypeError("a document cannot hold a %s" % type(value).__name__)


def _is_attachment(value: "tuple[object, ...]") -> bool:
    from edge_peer.core.kinds import Attachment

    return isinstance(value, Attachment)
