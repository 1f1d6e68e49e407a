"""
What an application sees of a document: its fields, as a dict. Loaded with the first query.

Cells are laid over each other from the lowest order to the highest: where a value
and a map's fields claim one name, the newer write wins. Removed cells have no
value; a counter is the sum of what its authors have added.
"""

from edge_peer.core import document as documents
from edge_peer.core.document import AUTHOR_SIZE, REGISTER, SEAL, SEPARATOR, STAMP_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_peer.core.document import Document

    Fields = dict[str, object]
    Unpack = Callable[[bytes], object]

PATH_COUNT_MAX = 32
_paths: dict[bytes, str] = {}  # those read last: making a text takes a board 0.2 ms


def view(document: "Document", unpack: "Unpack") -> "Fields":
    """Return the fields; none of a deleted document."""
    layers = []
    for path, cell in document.items():
        if cell.kind != REGISTER:
            from edge_peer.core.kinds import layers_of

            return _laid(layers_of(document, unpack))
        if path > SEAL:
            layers.append((cell, path))
    return _laid([(path, unpack(cell.value)) for cell, path in sorted(layers)])


def fields_of(body: bytes, unpack: "Unpack") -> "Fields | None":
    """Return what `view` makes of an encoded document; None if it is deleted.

    `body` comes from a store, and was checked on its way into it.
    """
    fields = _fields_of_flat(body, unpack)
    if fields is None:
        document = documents.decode(body)
        if documents.is_deleted(document):
            return None
        fields = view(document, unpack)
    return fields


def _fields_of_flat(body: bytes, unpack: "Unpack") -> "Fields | None":
    """Read a document of plain fields (layout: core/document.py), or leave it to the others.

    Most documents are, and to build their cells takes several times as long as to read
    them. Their order does not matter: no path is there twice.
    """
    end = len(body)
    at = 1
    fields: Fields = {}
    if body[0] > 127:
        return None
    while at < end:
        at += AUTHOR_SIZE
        while body[at] > 127:
            at += 1
        at += 1 + STAMP_SIZE
        count = body[at]
        if count > 127:
            return None
        at += 1
        while count:
            count -= 1
            head = body[at]
            at += 1
            if head > 127:
                head, at = documents.varint_at(body, at - 1)
            path_end = at + (head >> 2)
            raw = body[at:path_end]
            path = _paths.get(raw) or _path(raw)
            size = body[path_end]
            at = path_end + 1
            if size > 127:
                size, at = documents.varint_at(body, path_end)
            if not head & 3 and SEPARATOR not in path:
                fields[path] = unpack(body[at : at + size])
            elif head & 3 or path > SEAL:
                return None
            at += size
    return fields


def _path(raw: bytes) -> str:
    if len(_paths) >= PATH_COUNT_MAX:
        _paths.clear()
    path = _paths[raw] = raw.decode()
    return path


def _laid(layers: "list[tuple[str, object]]") -> "Fields":
    """Lay (path, value) over each other, the first at the bottom."""
    fields: Fields = {}
    for path, value in layers:
        inner = fields
        if SEPARATOR in path:
            *outer, path = path.split(SEPARATOR)
            for one in outer:
                deeper = inner.get(one)
                if not isinstance(deeper, dict):
                    deeper = inner[one] = {}
                inner = deeper
        inner[path] = value
    return fields
