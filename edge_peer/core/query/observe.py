"""
A live result: the rows of a SELECT, kept up to date, and what has changed in them.

A commit only notes which documents it touched. They are looked at when somebody asks
for the next change, so that a slow reader gets fewer and larger changes and nothing
queues up. What that costs grows with the change, and with the logarithm of the
result, which is in memory. The collection is read once, at the beginning.

Rows are in the order of ORDER BY, and of `_id` where that says nothing.
"""

from collections import namedtuple

from edge_peer.core.errors import QueryError
from edge_peer.core.query.evaluate import evaluate, sort_key
from edge_peer.core.query.find import check_arguments, found
from edge_peer.core.query.parser import parse
from edge_peer.core.query.select import projected, whole_number
from edge_peer.core.query.view import fields_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from edge_peer.core.query.execute import Codec
    from edge_peer.core.query.grammar_select import Select
    from edge_peer.core.store.log import Put
    from edge_peer.core.store.store import Store

    Row = dict[str, Any]

TOUCHED_COUNT_MAX = 1024  # documents noted; after more, everything is looked at again

# Places of rows: `inserted` and `updated` in the new result, `deleted` in the old one,
# moved: [(in the old one, in the new one), …]. All in rising order.
Diff = namedtuple("Diff", ("inserted", "updated", "deleted", "moved"))
_Entry = namedtuple("_Entry", ("keys", "id", "row"))


class Rows:
    """The result as it is now: len(rows), rows[i], for row in rows. `list(rows)` keeps it."""

    def __init__(self, entries: "list[_Entry]", start: int, end: "int | None") -> None:
        self._entries = entries
        self._start = start
        self._end = end

    def __len__(self) -> int:
        return len(self._places())

    def __getitem__(self, index: int) -> "Row":
        row: Row = self._entries[self._places()[index]].row
        return row

    def __iter__(self) -> "Iterator[Row]":
        for place in self._places():
            yield self._entries[place].row

    def ids(self) -> "list[str]":
        return [self._entries[place].id for place in self._places()]

    def _places(self) -> range:
        count = len(self._entries)
        return range(self._start, count if self._end is None else min(count, self._end))


class LiveResult:
    def __init__(
        self,
        store: "Store",
        codec: "Codec",
        text: "str | Select",
        arguments: "dict[str, Any]",
        changed: "Callable[[], None]",
    ) -> None:
        """changed() is called when next_diff may have something. Raises QueryError."""
        statement: Select = parse(text) if isinstance(text, str) else text
        if statement[0] != "select" or statement.is_grouped or statement.is_distinct:
            raise QueryError("observe takes SELECT without groups, aggregates and DISTINCT")
        check_arguments(statement.columns, arguments)
        start = whole_number("OFFSET", statement, arguments) or 0
        limit = whole_number("LIMIT", statement, arguments)
        self._statement = statement
        self._arguments = arguments
        self._store = store
        self._codec = codec
        self._changed = changed
        self._is_window = start > 0 or limit is not None
        self._entries: list[_Entry] = []
        self._by_id: dict[str, _Entry] = {}
        self._touched: set[str] | None = None  # None: any document
        self._is_told = False
        self.rows = Rows(self._entries, start, None if limit is None else start + limit)
        store.on_commit(self._note, with_gone=True)

    def close(self) -> None:
        self._store.off_commit(self._note)

    def next_diff(self) -> "Diff | None":
        """Bring `rows` up to date; return what has changed, None if nothing has.

        The first time it returns a Diff whatever it finds.
        """
        touched, self._touched = self._touched, set()
        if touched is not None and not touched:
            return None
        news: dict[str, _Entry | None]
        if touched is None:
            news = {id: None for id in self._by_id}
            for _, fields in self._found():
                news[fields["_id"]] = self._entry(fields)
        else:
            news = {id: self._look(id) for id in touched}
        changed = [id for id in news if not _same(self._by_id.get(id), news[id])]
        first, self._is_told = not self._is_told, True
        if not changed and not first:
            return None
        diff = self._replace({id: news[id] for id in changed})
        return diff if first or any(diff) else None

    def _note(self, puts: "list[Put]", gone: "list[tuple[str, str]]") -> None:
        collection = self._statement.collection
        touched = [put[1] for put in puts if put[0] == collection]
        touched += [id for name, id in gone if name == collection]
        if touched and self._touched is not None:
            self._touched.update(touched)
            if len(self._touched) > TOUCHED_COUNT_MAX:
                self._touched = None
        if touched:
            self._changed()

    def _found(self) -> "Iterator[tuple[bytes, Row]]":
        statement = self._statement
        return found(
            self._store, self._codec, statement.collection, statement.where, self._arguments
        )

    def _look(self, id: str) -> "_Entry | None":
        body = self._store.log.get(self._statement.collection, id)
        fields = None if body is None else fields_of(body, self._codec.unpack)
        if fields is None:
            return None
        fields["_id"] = id
        where = self._statement.where
        if where is not None and evaluate(where, fields, self._arguments) is not True:
            return None
        return self._entry(fields)

    def _entry(self, fields: "Row") -> _Entry:
        keys = [
            sort_key(evaluate(node, fields, self._arguments)) for node, _ in self._statement.order
        ]
        row = fields
        if self._statement.fields:
            row = list(projected([fields], self._statement, self._arguments))[0]
        return _Entry(keys, fields["_id"], row)

    def _replace(self, news: "dict[str, _Entry | None]") -> Diff:
        """Put these in the place of what was there under their ids."""
        before = self.rows.ids() if self._is_window else []
        came, went = [], []  # (place, id)
        for id in news:
            if id in self._by_id:
                went.append((self._place(self._by_id[id]), id))
        went.sort()
        for place, id in reversed(went):
            del self._entries[place]
            del self._by_id[id]
        for id, entry in news.items():
            if entry is not None:
                self._entries.insert(self._place(entry), entry)
                self._by_id[id] = entry
        if self._is_window:
            return _diff_of_windows(before, self.rows.ids(), news)
        for id, entry in news.items():
            if entry is not None:
                came.append((self._place(entry), id))
        came.sort()
        return _diff(went, came)

    def _place(self, entry: _Entry) -> int:
        """Return where it stands, or would stand."""
        low, high = 0, len(self._entries)
        while low < high:
            middle = (low + high) // 2
            if self._is_before(self._entries[middle], entry):
                low = middle + 1
            else:
                high = middle
        return low

    def _is_before(self, one: _Entry, other: _Entry) -> bool:
        keys, others = one.keys + [one.id], other.keys + [other.id]
        for i in range(len(keys)):
            if keys[i] != others[i]:
                is_below: bool = keys[i] < others[i]
                order = self._statement.order
                return is_below != (i < len(order) and order[i][1])
        return False


def _same(one: "_Entry | None", other: "_Entry | None") -> bool:
    if one is None or other is None:
        return one is other
    # 1, 1.0 and True are equal, and to the application different.
    return one.keys == other.keys and repr(one.row) == repr(other.row)


def _diff(went: "list[tuple[int, str]]", came: "list[tuple[int, str]]") -> Diff:
    """went, came: (place, id) of what was taken out and put in, in the order of places."""
    old = {id: place for place, id in went}
    new = {id: place for place, id in came}
    deleted = [place for place, id in went if id not in new]
    inserted = [place for place, id in came if id not in old]
    stayed = [(place, id) for place, id in came if id in old]
    moved = []
    for place, id in stayed:
        if old[id] - _count_below(old[id], deleted) != place - _count_below(place, inserted):
            moved.append((old[id], place))
    return Diff(inserted, [place for place, _ in stayed], deleted, sorted(moved))


def _diff_of_windows(before: "list[str]", after: "list[str]", touched: "dict[str, Any]") -> Diff:
    old = {before[i]: i for i in range(len(before))}
    new = {after[i]: i for i in range(len(after))}
    went = [
        (i, before[i]) for i in range(len(before)) if before[i] in touched or before[i] not in new
    ]
    came = [(i, after[i]) for i in range(len(after)) if after[i] in touched or after[i] not in old]
    return _diff(went, came)


def _count_below(limit: int, places: "list[int]") -> int:
    """Return how many of these rising numbers are below the limit."""
    low, high = 0, len(places)
    while low < high:
        middle = (low + high) // 2
        if places[middle] < limit:
            low = middle + 1
        else:
            high = middle
    return low
