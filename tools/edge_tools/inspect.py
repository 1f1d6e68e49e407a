"""
What is in a store: `edge-peer inspect`.

Takes the image of a board's flash log or a host's SQLite store, and never writes to
either. An image is read into memory. SQLite would write beside a store that has a
write-ahead log, because a peer has it open or died with it; so that is copied first, and
the copy opened. Any other is opened in place, immutable.

Damage ends nothing: what is whole is shown, then comes one ToolError.
"""

import json
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.box import HORIZONTALS
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_peer.core import document as documents
from edge_peer.core.clock import EPOCH_S, unix_ms_of
from edge_peer.core.errors import FormatError, StorageError
from edge_peer.core.log import META, FlashLog
from edge_peer.core.segment import BLOCK_COUNT_MAX, BLOCK_SIZE, Ring
from edge_peer.core.store import Store
from edge_peer.host import codec, storage
from edge_peer.peer import INFO_COLLECTION
from edge_tools.errors import ToolError

if TYPE_CHECKING:
    from edge_peer.core.document import Document
    from edge_peer.core.log import Put

SQLITE_MAGIC = b"SQLite format 3\0"
SEGMENT_MAGICS = ((0, b"FLc"), (20, b"FLs"), (40, b"FLs"))  # SPEC.md, "Flash log"
# What reading a damaged file raises; the second where a message quotes what it found.
SQLITE_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
HEAD_SIZE = 20  # "FLc1" and what belongs to it: all that a block ready for use has
PUT_COUNT = 512  # documents in memory at a time
CLOCKLESS_MS = (EPOCH_S + 86_400) * 1000  # stamps before are of peers that never knew the time

COPY_TRIES = 20
QUIET_S = 0.05  # longer than the grain of a file's times

BIN_COUNT = 8
BAR_WIDTH = 30


def show(path: Path, as_json: bool) -> None:
    """Print what is in a store. Raises ToolError, StorageError; for damage, at the end."""
    with _opened(path) as source:
        report = survey(source)
    if as_json:
        print(json.dumps(_as_json(path, report)))
    else:
        _print_tables(path, report)
    _complain(path, report.damage)


def list_documents(path: Path, collection: str, limit: int | None) -> None:
    """Print the documents of a collection as JSON lines, in the order of arrival."""
    try:
        with _opened(path) as source:
            damage = _print_documents(source, collection, limit)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    _complain(path, damage)


def _print_documents(source: "Source", collection: str, limit: int | None) -> list[str]:
    """Return what is wrong with the store."""
    names = set()
    count = unreadable_count = 0
    for name, id, _, body in source.puts():
        names.add(name)
        if name != collection:
            continue
        if count == limit:
            break
        try:
            fields = documents.view(documents.decode(body), codec.unpack)
        except FormatError:
            unreadable_count += 1
            continue
        print(json.dumps(_plain({"_id": id, **fields})))
        count += 1
    sys.stdout.flush()
    if collection not in names:
        found = ", ".join(sorted(names)) or "none"
        raise ToolError(_printable(f"no document in collection {collection}; there are: {found}"))
    return source.damage() + _unreadable(unreadable_count)


# The two kinds of stores


class Source(Protocol):
    kind: str
    version: int
    is_in_use: bool  # or was not closed; an image never is
    is_big_peer: bool  # what is here is durable by definition
    quota_bytes: int | None

    def state(self) -> bytes | None: ...
    def puts(self) -> "Iterator[Put]": ...
    def used_bytes(self) -> int | None: ...
    def flash(self) -> "Flash | None": ...
    def damage(self) -> list[str]:
        """Return a phrase for each kind of damage met so far."""


@dataclass
class Flash:
    used: int  # blocks
    clean: int  # free, and ready for use
    dirty: int  # free, and erased before use
    erases: list[int]


class FlashImage:
    kind = "flash log"
    is_in_use = is_big_peer = False

    def __init__(self, data: bytes) -> None:
        """Raises StorageError for the image of a newer version, or of too few blocks."""
        self._cut_bytes = len(data) % BLOCK_SIZE
        self._data = data + b"\xff" * (-len(data) % BLOCK_SIZE)
        starts = range(0, len(self._data), BLOCK_SIZE)
        versions = [
            self._data[start + offset + 3]
            for start in starts
            for offset, magic in SEGMENT_MAGICS
            if self._data.startswith(magic, start + offset)
        ]
        if not versions and self._data.strip(b"\xff"):
            raise ToolError("neither the image of a flash log nor an SQLite store")
        self.version = max(versions, key=versions.count) - ord("0") if versions else 1
        self._ring = Ring(self, 1)
        room = len(starts) * BLOCK_SIZE // 32  # more documents than fit
        self._log = FlashLog(self, room, lambda body: False, list)
        self.quota_bytes: int | None = self._log.quota_bytes

    # The block protocol

    def readblocks(self, block: int, buffer: bytearray, offset: int) -> None:
        start = block * BLOCK_SIZE + offset
        buffer[:] = self._data[start : start + len(buffer)]

    def writeblocks(self, block: int, buffer: bytes | bytearray, offset: int) -> None:
        raise AssertionError("read-only")

    def ioctl(self, operation: int, argument: int) -> int:
        assert operation == 4
        return len(self._data) // BLOCK_SIZE

    # Source

    def state(self) -> bytes | None:
        return self._log.get(META, "state")

    def puts(self) -> "Iterator[Put]":
        arrival = 0
        while puts := self._log.since(arrival, PUT_COUNT):
            yield from puts
            arrival = puts[-1][2]

    def used_bytes(self) -> int:
        return self._log.status()["used_bytes"]

    def flash(self) -> Flash:
        used = self._ring.used()
        free = [block for block in range(self._ring.block_count) if block not in used]
        clean = sum(not self._block(block)[HEAD_SIZE:].strip(b"\xff") for block in free)
        return Flash(len(used), clean, len(free) - clean, list(self._ring.erases))

    def damage(self) -> list[str]:
        found = []
        count = self._log.status()["damaged"] - self._ring.is_torn
        if count > 0:
            found.append(_counted(count, "damaged stretch", "damaged stretches"))
        if self._ring.is_torn:
            found.append("the newest write was cut short or went bad")
        numbers = sorted(number for number in self._ring.numbers if number)
        missing = numbers[-1] - numbers[0] + 1 - len(numbers) if numbers else 0
        if missing:  # the oldest goes first, so there are no gaps
            found.append(_counted(missing, "segment is missing", "segments are missing"))
        if self._cut_bytes:
            found.append(f"the image is cut short: its size is no multiple of {BLOCK_SIZE}")
        return found

    def _block(self, block: int) -> bytes:
        return self._data[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE]


class SqliteStore:
    kind = "SQLite"
    quota_bytes: int | None = None  # only edge.json has it

    def __init__(self, db: sqlite3.Connection, is_in_use: bool, is_big_peer: bool) -> None:
        self.is_in_use = is_in_use
        self.is_big_peer = is_big_peer
        self._db = db
        self._is_damaged = False
        application, self.version = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        if application != storage.APPLICATION_ID:
            raise ToolError("an SQLite file, but no store of edge-peer")
        if self.version > storage.VERSION:
            raise StorageError("the store was written by a newer version")

    def state(self) -> bytes | None:
        state = self._value("SELECT body FROM entry WHERE id = 'state'")
        return state if isinstance(state, bytes) else None

    def puts(self) -> "Iterator[Put]":
        """From both ends to the damage, if there is any."""
        last = 0
        select = "SELECT collection, id, arrival, body FROM doc"
        try:
            for put in self._whole(self._db.execute(f"{select} ORDER BY arrival")):
                last = put[2]
                yield put
        except SQLITE_DAMAGE:
            self._is_damaged = True
            try:
                yield from self._whole(
                    self._db.execute(f"{select} WHERE arrival > ? ORDER BY arrival DESC", (last,))
                )
            except SQLITE_DAMAGE:
                return

    def used_bytes(self) -> int | None:
        used = self._value("SELECT bytes FROM total")
        return used if isinstance(used, int) else None

    def _whole(self, rows: "Iterator[Put]") -> "Iterator[Put]":
        for row in rows:
            if tuple(map(type, row)) == (str, str, int, bytes):
                yield row
            else:
                self._is_damaged = True

    def _value(self, statement: str) -> object:
        """Return the first column of the first row; None without one, or where it is damaged."""
        try:
            row = self._db.execute(statement).fetchone()
        except SQLITE_DAMAGE:
            self._is_damaged = True
            return None
        return None if row is None else row[0]

    def flash(self) -> None:
        return None

    def damage(self) -> list[str]:
        return ["the file is damaged"] if self._is_damaged else []


@contextmanager
def _opened(path: Path) -> Iterator[Source]:
    """Open a store of either kind; every error names the file."""
    try:
        with _source(path) as source:
            yield source
    except (StorageError, ToolError) as error:
        raise ToolError(f"{path}: {error}") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        known = [text for start, text in storage.SENTENCES.items() if name.startswith(start)]
        raise ToolError(f"{path}: {known[0] if known else error}") from error
    except UnicodeDecodeError as error:
        raise ToolError(f"{path}: {storage.SENTENCES['SQLITE_CORRUPT']}") from error


@contextmanager
def _source(path: Path) -> Iterator[Source]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise ToolError("there is no such file") from error
    if stat.S_ISDIR(status.st_mode):
        raise ToolError("this is a folder; name the store in it")
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        raise ToolError("this file is empty" if not status.st_size else "this is no ordinary file")
    with path.open("rb") as file:
        is_sqlite = file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    if is_sqlite:
        with _sqlite(path) as source:
            yield source
    elif status.st_size > BLOCK_COUNT_MAX * BLOCK_SIZE:
        raise ToolError("neither the image of a flash log nor an SQLite store")
    else:
        yield FlashImage(path.read_bytes())


@contextmanager
def _sqlite(path: Path) -> Iterator[SqliteStore]:
    path = path.resolve()
    wal = path.with_name(path.name + "-wal")
    is_big_peer = (path.parent / "big.json").exists()
    is_in_use = wal.exists() and wal.stat().st_size > 0
    before = _mark(path)
    with tempfile.TemporaryDirectory(prefix="edge-peer-") as folder:
        if is_in_use:
            copy = Path(folder, "store.db")
            _copy(path, wal, copy)
            uri = copy.as_uri()
        else:
            uri = path.as_uri() + "?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as db:
            yield SqliteStore(db, is_in_use, is_big_peer)
    if not is_in_use and _mark(path) != before:
        raise ToolError("a peer has begun to write to it; try again")


def _copy(path: Path, wal: Path, target: Path) -> None:
    """Copy a store that may be in use.

    While the file itself stays as it is, the write-ahead log has all that is newer,
    and checksums that show where it ends (https://www.sqlite.org/walformat.html).
    """
    target_wal = target.with_name(target.name + "-wal")
    for _ in range(COPY_TRIES):
        before = _mark(path)
        is_quiet = abs(time.time_ns() - before[1]) > QUIET_S * 1e9
        shutil.copyfile(path, target)
        target_wal.unlink(missing_ok=True)
        if wal.exists():
            shutil.copyfile(wal, target_wal)
        if is_quiet and _mark(path) == before:
            return
        time.sleep(QUIET_S)
    raise ToolError("a peer writes to it all the time; try again, or stop the peer")


def _mark(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


# The survey


@dataclass
class Span:
    """From the oldest to the newest of some writes, as stamps; 0 before the first."""

    oldest: int = 0
    newest: int = 0

    def add(self, stamp: int) -> None:
        self.oldest = min(self.oldest or stamp, stamp)
        self.newest = max(self.newest, stamp)


@dataclass
class Collection:
    documents: int = 0
    bytes: int = 0
    waiting: int = 0  # documents that the Big Peer may not have
    span: Span = field(default_factory=Span)


@dataclass
class Author:
    name: str = ""  # from its report on itself
    documents: int = 0  # with a field of this author
    waiting: int = 0  # of these, with one that the Big Peer may not have
    newest: int = 0  # sequence numbers: of the newest write here,
    known: int = 0  # K,
    evicted: int = 0  # E,
    durable: int = 0  # D
    own_like: int = 0  # writes whose number is their document's arrival


@dataclass
class Report:
    kind: str
    version: int
    is_in_use: bool
    is_big_peer: bool
    used_bytes: int | None
    quota_bytes: int | None
    flash: Flash | None
    device_author: bytes | None = None  # None: the store does not tell
    collections: dict[str, Collection] = field(default_factory=dict)
    authors: dict[bytes, Author] = field(default_factory=dict)
    span: Span = field(default_factory=Span)
    damage: list[str] = field(default_factory=list)


class _Entries:
    """A log with nothing but the store's own entry, for Store to decode; it takes no commit."""

    arrival_max = 0
    authors_max = storage.SqliteLog.authors_max

    def __init__(self, state: bytes | None) -> None:
        self._state = state

    def get(self, collection: str, id: str) -> bytes | None:
        return self._state

    def since(self, arrival: int, limit: int) -> "list[Put]":
        return []

    def scan(self, collection: str) -> Iterator[tuple[str, bytes]]:
        return iter(())

    def collections(self) -> list[str]:
        return []

    def commit(self, puts: "list[Put]") -> None:
        pass

    def evict_again(self) -> None:
        pass

    def status(self) -> dict[str, int]:
        return {}


def survey(source: Source) -> Report:
    """Read all of a store."""
    report = Report(
        source.kind,
        source.version,
        source.is_in_use,
        source.is_big_peer,
        source.used_bytes(),
        source.quota_bytes,
        source.flash(),
    )
    damage = []
    try:
        state = _state(source.state(), source.is_big_peer)
    except FormatError:
        damage.append("the store's own entry is damaged")
        state = _state(None, source.is_big_peer)
    impostors = set()  # authors who have written what this device cannot have
    unreadable_count = 0
    for put in source.puts():
        try:
            document = documents.decode(put[3])
        except FormatError:
            unreadable_count += 1
        else:
            _enter(report, state, put, document)
            impostors |= _not_ours(state, put[2], document)
    for vector in (state.knowledge, state.evicted, state.durable):
        for author in vector:
            report.authors.setdefault(author, Author())
    own = [
        author
        for author, found in report.authors.items()
        if found.own_like and author not in impostors and author not in state.knowledge
    ]
    report.device_author = own[0] if len(own) == 1 else None
    for author, found in report.authors.items():
        found.known = state.knowledge.get(author, 0)
        if author == report.device_author:
            found.known = max(found.newest, state.own_seq)
        found.evicted = state.evicted.get(author, 0)
        found.durable = state.durable_seq(author)
    report.damage = source.damage() + damage + _unreadable(unreadable_count)
    return report


def _state(data: bytes | None, is_big_peer: bool) -> Store:
    """Return a store without documents, to tell K, E and D. Raises FormatError, StorageError."""
    return Store(lambda evict, before: _Entries(data), b"", lambda: None, bytes, is_big_peer)


def _enter(report: Report, state: Store, put: "Put", document: "Document") -> None:
    name, id, arrival, body = put
    collection = report.collections.setdefault(name, Collection())
    collection.documents += 1
    collection.bytes += len(body)
    newest: dict[bytes, int] = {}
    for cell in document.values():
        report.span.add(cell.stamp)
        collection.span.add(cell.stamp)
        newest[cell.author] = max(newest.get(cell.author, 0), cell.seq)
    is_waiting = False
    for number, seq in newest.items():
        author = report.authors.setdefault(number, Author())
        author.documents += 1
        author.newest = max(author.newest, seq)
        author.own_like += seq == arrival
        if not report.is_big_peer and seq > state.durable_seq(number):
            author.waiting += 1
            is_waiting = True
    collection.waiting += is_waiting
    if name == INFO_COLLECTION:
        _take_name(report, id, document)


def _take_name(report: Report, id: str, document: "Document") -> None:
    """Remember what a device says it is called."""
    try:
        number = bytes.fromhex(id)
        name = codec.unpack(document["name"].value)
    except (ValueError, KeyError, FormatError):
        return
    if isinstance(name, str) and len(number) == documents.AUTHOR_SIZE:
        report.authors.setdefault(number, Author()).name = name


def _not_ours(state: Store, arrival: int, document: "Document") -> set[bytes]:
    """Return the authors of writes that are not this device's own.

    The store's entry has the incarnation and not the author. But the number of an own write
    is its arrival, which a document only raises, and none is between the newest own
    one and the arrival that the entry was written at.
    """
    return {
        cell.author
        for cell in document.values()
        if cell.seq > arrival or state.own_seq < cell.seq <= state.arrival
    }


def _unreadable(count: int) -> list[str]:
    return [_counted(count, "document", "documents") + " cannot be read"] if count else []


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _complain(path: Path, damage: list[str]) -> None:
    if damage:
        raise ToolError(f"{path}: {'; '.join(damage)}. What is whole is shown.")


# For machines


def _as_json(path: Path, report: Report) -> dict[str, Any]:
    """Numbers that end in _ms are Unix times in milliseconds, null where nobody knew it."""
    own = report.device_author
    flash = report.flash
    return {
        "file": str(path),
        "kind": report.kind,
        "version": report.version,
        "is_in_use": report.is_in_use,
        "is_big_peer": report.is_big_peer,
        "device_author": None if own is None else own.hex(),
        "documents": sum(found.documents for found in report.collections.values()),
        "waiting": sum(found.waiting for found in report.collections.values()),
        "used_bytes": report.used_bytes,
        "quota_bytes": report.quota_bytes,
        **_times(report.span),
        "collections": {
            name: {
                "documents": found.documents,
                "bytes": found.bytes,
                "waiting": found.waiting,
                **_times(found.span),
            }
            for name, found in sorted(report.collections.items())
        },
        "authors": {
            author.hex(): {
                "name": found.name,
                "documents": found.documents,
                "waiting": found.waiting,
                "newest_seq": found.newest,
                "known_seq": found.known,
                "evicted_seq": found.evicted,
                "durable_seq": found.durable,
            }
            for author, found in sorted(report.authors.items())
        },
        "damage": report.damage,
        "flash": None if flash is None else vars(flash),
    }


def _times(span: Span) -> dict[str, int | None]:
    return {"oldest_ms": _unix_ms(span.oldest), "newest_ms": _unix_ms(span.newest)}


def _unix_ms(stamp: int) -> int | None:
    at_ms = unix_ms_of(stamp)
    return at_ms if at_ms >= CLOCKLESS_MS else None


def _plain(value: Any) -> Any:
    """Bytes as base64, as the HTTP API has them, and null for what JSON lacks."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


# For people


def _print_tables(path: Path, report: Report) -> None:
    console = Console()
    console.print(_summary(path, report))
    if report.collections:
        console.print(_collections(report))
    if report.authors:
        console.print(_authors(report))
    if report.flash is not None:
        console.print(_wear(report.flash))


def _summary(path: Path, report: Report) -> Table:
    total = sum(found.documents for found in report.collections.values())
    waiting = sum(found.waiting for found in report.collections.values())
    own = report.device_author
    table = Table("what", "figure", show_header=False)
    table.add_row("store", _safe(str(path)))
    table.add_row("kind", f"{report.kind}, version {report.version}{_use(report)}")
    table.add_row("device's author", "the store does not tell" if own is None else own.hex())
    table.add_row("documents", f"{total:,}")
    table.add_row("not durable yet", f"{waiting:,}")
    table.add_row("used", _quota(report))
    if total:
        table.add_row("oldest write, UTC", _time(report.span.oldest))
        table.add_row("newest write, UTC", _time(report.span.newest))
    if report.flash is not None:
        flash = report.flash
        table.add_row("blocks", f"{flash.used} used, {flash.clean} free, {flash.dirty} to erase")
    table.add_row("damage", "; ".join(report.damage) or "none")
    return table


def _use(report: Report) -> str:
    role = ", a Big Peer's" if report.is_big_peer else ""
    return role + ("; a peer has it open or did not close it" if report.is_in_use else "")


def _quota(report: Report) -> str:
    if report.used_bytes is None:
        return "unknown"
    used = f"{report.used_bytes:,} bytes"
    if report.quota_bytes is None:
        return f"{used}; the peer's configuration has the quota"
    return f"{used} of {report.quota_bytes:,} ({report.used_bytes / report.quota_bytes:.0%})"


def _collections(report: Report) -> Table:
    table = Table("collection", box=HORIZONTALS)
    for column in ("documents", "bytes", "not durable", "newest write, UTC"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, found in sorted(report.collections.items()):
        counts = (found.documents, found.bytes, found.waiting)
        table.add_row(_safe(name), *map("{:,}".format, counts), _time(found.span.newest))
    return table


def _authors(report: Report) -> Table:
    table = Table(box=HORIZONTALS, padding=0)
    table.add_column("author", no_wrap=True)
    table.add_column("name", no_wrap=True, max_width=12)
    for column in ("documents", "not durable", "newest", "known", "evicted", "durable"):
        table.add_column(column, justify="right")
    for author, found in sorted(report.authors.items()):
        counts = (found.documents, found.waiting, found.newest)
        vectors = (found.known, found.evicted, found.durable)
        table.add_row(author.hex(), _safe(found.name), *map("{:,}".format, counts + vectors))
    table.caption = "newest … durable: the number of the last such write of the author"
    return table


def _wear(flash: Flash) -> Table:
    low, high = min(flash.erases), max(flash.erases)
    mean = sum(flash.erases) / len(flash.erases)
    table = Table(box=HORIZONTALS)
    table.caption = f"erases per block: {low} to {high}, on average {mean:.1f}"
    table.add_column("erases", justify="right")
    table.add_column("blocks", justify="right")
    table.add_column("")
    step = (high - low) // BIN_COUNT + 1
    bins = [
        (start, sum(start <= erases < start + step for erases in flash.erases))
        for start in range(low, high + 1, step)
    ]
    most = max(count for _, count in bins)
    for start, count in bins:
        label = f"{start}" if step == 1 else f"{start} … {start + step - 1}"
        table.add_row(label, f"{count}", "█" * round(count / most * BAR_WIDTH))
    return table


def _time(stamp: int) -> str:
    at_ms = _unix_ms(stamp)
    if at_ms is None:
        return "no clock was set"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _safe(text: str) -> str:
    return escape(_printable(text))


def _printable(text: str) -> str:
    """Names come from anywhere; none may move the cursor."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
