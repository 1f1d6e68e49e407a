"""
What documents hold beside plain values: counters, removed fields, attachments, tombstones.

Loaded with the first of them. core/document.py says how they merge; here is what
their values are (SPEC.md, "Documents"), each a MessagePack value:

    counter     path: name NUL NUL entry; the integer that its author has added
    removed     bin: stamp 6 | author 8 of the cell that it removes; nil for a tombstone,
                unless that is told once more
    attachment  [id, a bin of 16 bytes; size; media type]

An entry of a counter is (the stamp of its first write, its author), written like an
automatic id, which sorts as they do. Its author alone writes it, and goes on with it
as long as it has the document at hand; without it, or where what it has may be an older
copy that came back after it was evicted, it begins another. So adding
needs no knowledge of the total, and nothing is added twice. A register or a
removal of the name hides the entries that began before it, and so does a delete of
the document; a number at the name is what they are added to.

Source: Shapiro et al., "A comprehensive study of convergent and commutative
replicated data types", INRIA RR-7506, 2011 (PN-counter, 3.1.3; add-wins map, 3.3.5).
"""

from collections import namedtuple

from edge_peer.core.codec import DEPTH_MAX, pack
from edge_peer.core.document import (
    ATTACHMENT,
    AUTHOR_SIZE,
    COUNTER,
    LIFE,
    NIL,
    PATH_BYTES_MAX,
    REGISTER,
    REMOVED,
    SEAL,
    SEPARATOR,
    STAMP_SIZE,
    Cell,
    is_deleted,
    order,
)
from edge_peer.core.errors import FormatError
from edge_peer.core.ids import automatic_id
from edge_peer.core.unpack import unpack as unpack_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.core.document import Document

# The token of a blob: its SHA-256, cut to 16 bytes; its size in bytes; its media type.
Attachment = namedtuple("Attachment", ("id", "size", "type"))

ATTACHMENT_ID_SIZE = 16
TYPE_BYTES_MAX = 64
ENTRY = SEPARATOR + SEPARATOR  # stands before the entry in a counter's path
_ENTRY_SIZE = 19
_TOTAL_MAX = (1 << 63) - 1


def change(
    document: "Document", path: str, what: "Any", by: Cell, old: "Document", counter_floor: int
) -> None:
    """Add the cells that one change of `documents.make` makes; `by` has stamp, author, seq."""
    kind, operand = what
    if kind == COUNTER:
        _add(document, path, operand, by, old, counter_floor)
    elif kind == ATTACHMENT:
        document[path] = _cell(by, ATTACHMENT, operand)
    elif path == LIFE:
        document[LIFE] = _cell(by, REMOVED, NIL)
    else:
        _remove(document, path, by, old)


def packed_token(attachment: Attachment) -> bytes:
    """Raises ValueError for what is no token."""
    id, size, type = attachment
    if not isinstance(id, bytes) or len(id) != ATTACHMENT_ID_SIZE:
        raise ValueError("an attachment's id has %d bytes" % ATTACHMENT_ID_SIZE)
    if not isinstance(size, int) or size is True or size is False or not 0 <= size <= _TOTAL_MAX:
        raise ValueError("an attachment's size is a number of bytes")
    if not isinstance(type, str) or len(type.encode()) > TYPE_BYTES_MAX:
        raise ValueError("an attachment's type is text of at most %d bytes" % TYPE_BYTES_MAX)
    return pack([id, size, type])


def check(path: str, cell: Cell) -> None:
    """Raise FormatError unless such a cell may be there."""
    kind, value = cell.kind, cell.value
    if path == LIFE and value == NIL:
        fits = kind == REMOVED
    elif kind == REMOVED:
        size = STAMP_SIZE + AUTHOR_SIZE
        head = bytes([0xC4, size])
        fits = len(value) == 2 + size and value[:2] == head and ENTRY not in path
        fits = fits and order(cell)[0] <= cell.stamp
    elif kind == COUNTER:
        entry = path.split(ENTRY)[-1]
        last = automatic_id(cell.stamp, cell.author)
        fits = path.count(ENTRY) == 1 and entry[-11:] == last[-11:] and entry <= last
        fits = fits and len(entry) == _ENTRY_SIZE and _is_total(value)
    else:
        fits = kind == ATTACHMENT and path != LIFE and _is_token(value)
    if not fits:
        raise FormatError("a cell of kind %d that nobody writes" % kind)


def layers_of(
    document: "Document", unpack: "Callable[[bytes], object]"
) -> "list[tuple[str, object]]":
    """Return (path, value) of what is visible, the lowest order first."""
    if is_deleted(document):
        return []
    layers: list[tuple[tuple[Any, ...], str, Any]] = []
    totals: dict[str, Any] = {}
    tops: dict[str, tuple[Any, ...]] = {}
    for path, cell in document.items():
        if cell.kind == COUNTER:
            name, entry = path.split(ENTRY)
            if _counts(entry, name, document):
                totals[name] = totals.get(name, 0) + unpack(cell.value)
                tops[name] = max(tops.get(name, ()), order(cell))
        elif path > SEAL and cell.kind != REMOVED:
            value = unpack(cell.value)
            if cell.kind == ATTACHMENT:
                value = Attachment(*value)  # type: ignore[misc]
            layers.append((order(cell), path, value))
    for name in totals:
        base = document.get(name)
        number = None if base is None or base.kind != REGISTER else unpack(base.value)
        if isinstance(number, (int, float)) and number is not True and number is not False:
            totals[name] += number
        layers.append((tops[name], name, totals[name]))
    layers.sort(key=lambda layer: layer[:2])
    return [layer[1:] for layer in layers]


def _add(
    document: "Document", path: str, amount: int, by: Cell, old: "Document", floor: int
) -> None:
    if len(path.encode()) + len(ENTRY) + _ENTRY_SIZE > PATH_BYTES_MAX:
        raise ValueError("a counter's name has at most %d bytes" % (PATH_BYTES_MAX - 21))
    if path.count(SEPARATOR) + 2 >= DEPTH_MAX:
        raise ValueError("a counter is nested at most %d deep" % (DEPTH_MAX - 2))
    prefix = path + ENTRY
    mine = [
        one
        for one in old
        if one.startswith(prefix)
        and old[one].author == by.author
        and old[one].seq > floor
        and _counts(one[len(prefix) :], path, old)
    ]
    entry = max(mine) if mine else prefix + automatic_id(by.stamp, by.author)
    total = amount + (unpack_value(old[entry].value) if mine else 0)  # type: ignore[operator]
    if not -_TOTAL_MAX <= total <= _TOTAL_MAX:
        raise ValueError("a counter has at most 64 bits")
    document[entry] = _cell(by, COUNTER, pack(total))


def _remove(document: "Document", path: str, by: Cell, old: "Document") -> None:
    """Remove the field and every field below it. A counter is set back as a whole."""
    for one in old:
        name = one.split(ENTRY)[0]
        if name != path and not name.startswith(path + SEPARATOR):
            continue
        if name != one:
            seen = by
        elif old[one].kind != REMOVED and name not in document:
            seen = old[one]
        else:
            continue
        document[name] = removal(by, seen)


def removal(by: Cell, seen: Cell) -> Cell:
    """Return a cell by this writer, ordered just above the cell that it saw."""
    stamp, author = order(seen)[:2]
    return _cell(by, REMOVED, pack(stamp.to_bytes(STAMP_SIZE, "big") + author))


def _counts(entry: str, name: str, document: "Document") -> bool:
    """Return whether an entry began after what is at its name, and after the delete."""
    base, life = document.get(name), document.get(LIFE)
    if life is not None and entry < automatic_id(*order(life)[:2]):
        return False
    return base is None or entry > automatic_id(*order(base)[:2])


def _cell(by: Cell, kind: int, value: bytes) -> Cell:
    return Cell(by.stamp, by.author, by.seq, kind, value)


def _is_total(value: bytes) -> bool:
    total = unpack_value(value)
    return (
        isinstance(total, int)
        and total is not True
        and total is not False
        and -_TOTAL_MAX <= total <= _TOTAL_MAX
    )


def _is_token(value: bytes) -> bool:
    token = unpack_value(value)
    try:
        return isinstance(token, list) and packed_token(Attachment(*token)) == value
    except (TypeError, ValueError):
        return False
