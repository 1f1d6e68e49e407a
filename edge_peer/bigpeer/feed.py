"""
What the portal shows, gathered from the store's log while somebody looks.

The feed reads the log from a cursor on, as a neighbour would: the newest
HISTORY_COUNT_MAX documents at first, then what has arrived since, in small steps and
never for more than half of the time. A store that nobody looks at pays nothing, and
a thousand documents that arrive between two looks are one look.

Kept in memory, all bounded: the newest numbers of each collection, the reports that
devices write on themselves (edge_peer/peer.py, _write_info), and how many documents
each author has delivered.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from edge_peer.core import document as documents
from edge_peer.core.clock import unix_ms_of
from edge_peer.core.document import SEPARATOR
from edge_peer.core.query.view import view
from edge_peer.core.store.store import Store
from edge_peer.host import system
from edge_peer.peer import INFO_COLLECTION

if TYPE_CHECKING:
    from edge_peer.core.document import Document

HISTORY_COUNT_MAX = 50_000  # some ten seconds of reading, in small steps
READ_COUNT = 128  # documents between two turns of the event loop: some milliseconds
LOOK_S = 0.4  # the rest is for the next look
COLLECTION_COUNT_MAX = 64
SAMPLE_COUNT_MAX = 5_000  # of each collection, the newest
FIELD_COUNT_MAX = 50  # numeric fields to choose from, of each collection
REPORT_COUNT_MAX = 10_000
AUTHOR_COUNT_MAX = 65_536
LINE_COUNT_MAX = 12  # more lines in one chart are not told apart
POINT_COUNT_MAX = 1_800  # of all lines together: what a browser gets at every update
RATE_WINDOW_S = 10
WATCHED_S = 5.0  # after so long without a look we can't tell when something arrived
TEXT_BYTES_MAX = 64  # of a sensor's name

LINE_FIELDS = ("device", "sensor")  # what tells the lines of a chart apart, where documents say it
TIME_FIELD = "ts"  # Unix seconds; without it the write's stamp counts
TS_S_MIN, TS_S_MAX = 978_307_200, 1e11  # from 2001 on; milliseconds are not seconds
STAMP_MS_MIN = 1_609_459_200_000  # stamps of boards that never knew the time begin with 2020

Point = tuple[float, float]  # Unix time in ms, value


class Sample(NamedTuple):
    at_ms: float
    line: str  # what LINE_FIELDS say, or ""
    author: bytes
    values: dict[str, float]  # field, nested ones with dots


@dataclass
class Device:
    author: bytes
    report: dict[str, Any]
    reported_ms: float | None  # None: unknown
    delivered_count: int
    heard_ms: float | None


class Feed:
    def __init__(self, store: Store, unpack: Callable[[bytes], Any]) -> None:
        self.version = 0  # rises with every look that found something
        self.complete = True  # False: documents older than the history are not counted
        self._store = store
        self._unpack = unpack
        self._cursor = -1
        self._reading = False
        self._looked_s = -WATCHED_S
        self._live_from = 0
        self._samples: dict[str, deque[Sample]] = {}
        self._fields: dict[str, dict[str, None]] = {}
        self._reports: dict[bytes, tuple[dict[str, Any], float | None]] = {}
        self._delivered: dict[bytes, int] = {}
        self._heard_ms: dict[bytes, float] = {}
        self._rates: deque[tuple[float, int]] = deque(maxlen=100)

    async def catch_up(self) -> None:
        """Take what has arrived since the last time; several pages share one reading."""
        if self._reading:
            return
        self._reading = True
        try:
            await self._read()
        finally:
            self._reading = False

    def rate(self) -> float:
        """Return the changes a second of the last RATE_WINDOW_S seconds."""
        if len(self._rates) < 2:
            return 0.0
        (since_s, first), (until_s, last) = self._rates[0], self._rates[-1]
        return (last - first) / max(until_s - since_s, 1.0)

    def devices(self) -> list[Device]:
        """Return everybody who reported or delivered, the one heard last first."""
        found = []
        for author in self._reports.keys() | self._delivered.keys():
            report, reported_ms = self._reports.get(author, ({}, None))
            count = self._delivered.get(author, 0)
            found.append(Device(author, report, reported_ms, count, self._heard_ms.get(author)))
        return sorted(found, key=lambda one: (-(one.heard_ms or 0), one.author))

    def name_of(self, author: bytes) -> str:
        """Return what a device calls itself, or the beginning of its author number."""
        name = self._reports.get(author, ({}, None))[0].get("name")
        return name if isinstance(name, str) and name else author.hex()[:8]

    def collections(self) -> list[str]:
        """Return the collections that have numbers."""
        return sorted(name for name in self._samples if self._fields[name])

    def fields(self, collection: str) -> list[str]:
        """Return the numeric fields of a collection."""
        return sorted(self._fields.get(collection, ()))

    def lines(self, collection: str, field: str) -> dict[str, list[Point]]:
        """Return the points of the lines that were continued last, in the order of time."""
        lines: dict[str, list[Point]] = {}
        for sample in reversed(self._samples.get(collection, ())):
            value = sample.values.get(field)
            if value is not None:
                name = sample.line or self.name_of(sample.author)
                if name in lines or len(lines) < LINE_COUNT_MAX:
                    lines.setdefault(name, []).append((sample.at_ms, value))
        count_max = POINT_COUNT_MAX // max(len(lines), 1)
        return {name: _drawn(thin(sorted(lines[name]), count_max)) for name in sorted(lines)}

    # Reading

    async def _read(self) -> None:
        began_s = time.monotonic()
        arrival = self._store.arrival
        if began_s - self._looked_s > WATCHED_S:
            self._live_from = arrival
        if self._cursor < arrival - HISTORY_COUNT_MAX:
            self._cursor = arrival - HISTORY_COUNT_MAX
            self.complete = False
        while self._cursor < arrival and time.monotonic() < began_s + LOOK_S:
            step_s = time.monotonic()
            puts = self._store.log.since(max(self._cursor, 0), READ_COUNT)
            for collection, id, number, body in puts:
                document = documents.decode(body)
                if not documents.is_deleted(document):
                    self._take(collection, id, document, number > self._live_from)
            self._cursor = puts[-1][2] if puts else arrival
            self.version += 1
            await asyncio.sleep(time.monotonic() - step_s)  # half of the time is everybody else's
        self._looked_s = time.monotonic()
        self._rates.append((self._looked_s, arrival))
        while self._rates[0][0] < self._looked_s - RATE_WINDOW_S:
            self._rates.popleft()

    def _take(self, collection: str, id: str, document: "Document", live: bool) -> None:
        """live: it has arrived just now, which is the time where the writer had no clock."""
        now_ms = system.wall_ms()
        newest = max(document.values(), key=lambda cell: (cell.stamp, cell.author))
        stamp_ms = unix_ms_of(newest.stamp)
        heard_ms = now_ms if live else stamp_ms if stamp_ms > STAMP_MS_MIN else None
        if heard_ms is not None:
            self._heard_ms[newest.author] = max(heard_ms, self._heard_ms.get(newest.author, 0))
        if collection == INFO_COLLECTION:
            self._take_report(id, document, heard_ms)
            return
        self._count(document, live)
        values = self._scalars(document)
        at_ms = time_of(values.pop(TIME_FIELD, None)) or heard_ms or now_ms
        numbers = {name: value for name, value in values.items() if not isinstance(value, str)}
        if numbers:
            self._take_sample(collection, Sample(at_ms, _line_of(values), newest.author, numbers))

    def _take_report(self, id: str, document: "Document", heard_ms: float | None) -> None:
        try:
            author = bytes.fromhex(id)
        except ValueError:
            return
        if author in self._reports or len(self._reports) < REPORT_COUNT_MAX:
            self._reports[author] = (view(document, self._unpack), heard_ms)

    def _count(self, document: "Document", live: bool) -> None:
        """Count a document for who wrote it first, once: an update that we see later is none.

        A later write of all its fields hides the first one, and counts again until a restart.
        """
        oldest = min(document.values(), key=lambda cell: (cell.stamp, cell.author))
        is_update = len({(cell.author, cell.seq) for cell in document.values()}) > 1
        known = oldest.author in self._delivered
        if not (live and is_update) and (known or len(self._delivered) < AUTHOR_COUNT_MAX):
            self._delivered[oldest.author] = self._delivered.get(oldest.author, 0) + 1

    def _take_sample(self, collection: str, sample: Sample) -> None:
        if collection not in self._samples:
            if len(self._samples) >= COLLECTION_COUNT_MAX:
                return
            self._samples[collection] = deque(maxlen=SAMPLE_COUNT_MAX)
            self._fields[collection] = {}
        self._samples[collection].append(sample)
        for field in sample.values:
            if len(self._fields[collection]) < FIELD_COUNT_MAX:
                self._fields[collection][field] = None

    def _scalars(self, document: "Document") -> dict[str, Any]:
        """Return the numbers, and the text of LINE_FIELDS."""
        values: dict[str, Any] = {}
        for path, cell in document.items():
            if cell.kind == documents.REGISTER and len(cell.value) <= TEXT_BYTES_MAX:
                value = self._unpack(cell.value)
                if isinstance(value, str) if path in LINE_FIELDS else is_number(value):
                    values[path.replace(SEPARATOR, ".")] = value
        return values


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a chart can show it."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def thin(points: list[Point], count_max: int) -> list[Point]:
    """Keep at most `count_max` points: the lowest and the highest of each stretch of them."""
    if len(points) <= count_max:
        return points
    stretches = max(count_max // 2, 1)
    kept: list[Point] = []
    for i in range(stretches):
        stretch = points[i * len(points) // stretches : (i + 1) * len(points) // stretches]
        low = min(stretch, key=lambda point: point[1])
        high = max(stretch, key=lambda point: point[1])
        kept += sorted({low, high})
    return kept


def _drawn(points: list[Point]) -> list[Point]:
    """Leave out digits that nobody can see; boards compute with 7."""
    return [
        (round(at_ms), value if isinstance(value, int) else float(f"{value:.7g}"))
        for at_ms, value in points
    ]


def time_of(ts: float | None) -> float | None:
    """Return Unix seconds as milliseconds, unless no clock can have said so."""
    return 1000 * ts if ts is not None and TS_S_MIN <= ts < TS_S_MAX else None


def _line_of(values: dict[str, Any]) -> str:
    return " · ".join(values.pop(name) for name in LINE_FIELDS if name in values)
