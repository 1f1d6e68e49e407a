"""
The two kinds of stores that `edge-peer inspect` reads, neither of which it writes to.

The image of a flash log is read into memory. SQLite would write beside a store that has
a write-ahead log, because a peer has it open or died with it; so that is copied first,
and the copy opened. Any other is opened in place, immutable.
"""

import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_peer.core.errors import FormatError, StorageError
from edge_peer.core.limits import RELAYED, WHOLE
from edge_peer.core.store.log import META, FlashLog
from edge_peer.core.store.segment import BLOCK_COUNT_MAX, BLOCK_SIZE, Ring
from edge_peer.host import schema
from edge_peer.host.sqlite_file import SENTENCES
from edge_tools.errors import ToolError

if TYPE_CHECKING:
    from edge_peer.core.store.log import Put

SQLITE_MAGIC = b"SQLite format 3\0"
FLASH_MAGIC = b"FLc"  # and the version; SPEC.md, "Flash log"
# What reading a damaged file raises; the second where a message quotes what it found.
SQLITE_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
HEAD_SIZE = 12  # "FLc2" and what belongs to it: all that a block ready for use has
PUT_COUNT = 512  # documents in memory at a time
COPY_TRIES = 20
QUIET_S = 0.05  # longer than the grain of a file's times


class Source(Protocol):
    kind: str
    version: int
    is_in_use: bool  # or was not closed; an image never is
    is_big_peer: bool  # what is here is durable by definition
    quota_bytes: int | None

    def state(self) -> bytes | None: ...
    def puts(self) -> "Iterator[Put]": ...
    def used_bytes(self) -> int | None: ...
    def relayed(self) -> "tuple[int, int] | None":
        """Return documents and bytes that are carried only for others; None: unknown."""

    def flash(self) -> "Flash | None": ...
    def damage(self) -> list[str]:
        """Return a phrase for each kind of damage met so far."""


@dataclass
class Flash:
    used: int  # blocks
    clean: int  # free, and ready for use
    dirty: int  # free, and erased before use
    erases: list[int]
    erases_left: int  # of all blocks together, by the data sheet


class FlashImage:
    kind = "flash log"
    is_in_use = is_big_peer = False

    def __init__(self, data: bytes) -> None:
        """Raises StorageError for the image of a newer version, or of too few blocks."""
        self._cut_bytes = len(data) % BLOCK_SIZE
        self._data = data + b"\xff" * (-len(data) % BLOCK_SIZE)
        starts = range(0, len(self._data), BLOCK_SIZE)
        versions = [
            self._data[start + 3] for start in starts if self._data.startswith(FLASH_MAGIC, start)
        ]
        if not versions and self._data.strip(b"\xff"):
            raise ToolError("neither the image of a flash log nor an SQLite store")
        self.version = max(versions, key=versions.count) - ord("0") if versions else 2
        self._ring = Ring(self, 1)
        limits = {WHOLE: (None, len(self._data) // 32)}  # more documents than fit
        self._log = FlashLog(self, limits, lambda collection, id, body, may_lose: False, list)
        self.quota_bytes: int | None = self._log.limits[WHOLE][0]

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

    def relayed(self) -> tuple[int, int]:
        return self._log.totals(RELAYED)

    def flash(self) -> Flash:
        used = self._ring.used()
        free = [block for block in range(self._ring.block_count) if block not in used]
        clean = sum(not self._block(block)[HEAD_SIZE:].strip(b"\xff") for block in free)
        erases_left = self._log.status()["erases_left"]
        return Flash(len(used), clean, len(free) - clean, list(self._ring.erases), erases_left)

    def damage(self) -> list[str]:
        found = []
        count = self._log.status()["damaged"] - self._ring.is_torn
        if count > 0:
            found.append(counted(count, "damaged stretch", "damaged stretches"))
        if self._ring.is_torn:
            found.append("the newest write was cut short or went bad")
        numbers = sorted(number for number in self._ring.numbers if number)
        missing = numbers[-1] - numbers[0] + 1 - len(numbers) if numbers else 0
        if missing:  # the oldest goes first, so there are no gaps
            found.append(counted(missing, "segment is missing", "segments are missing"))
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
        self._damaged_count = 0  # documents
        application, self.version = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        if application != schema.APPLICATION_ID:
            raise ToolError("an SQLite file, but no store of edge-peer")
        if self.version > schema.VERSION:
            raise StorageError("the store was written by a newer version")

    def state(self) -> bytes | None:
        """Raises FormatError if it is damaged."""
        state = self._value("SELECT body FROM entry WHERE id = 'state'")
        if self.version > 2 and state is not None:
            crc = self._value("SELECT crc FROM entry WHERE id = 'state'")
            if not schema.is_whole(META, "state", 0, state, crc):
                raise FormatError("damaged")
        return state if isinstance(state, bytes) else None

    def puts(self) -> "Iterator[Put]":
        """From both ends to the damage, if there is any."""
        last = 0
        crc = "crc" if self.version > 2 else "NULL"
        select = f"SELECT collection, id, arrival, body, {crc} FROM doc"
        try:
            for put in self._whole(
                self._db.execute(f"{select} WHERE arrival > 0 ORDER BY arrival")
            ):
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
        where = f" WHERE name = '{WHOLE}'" if self.version > 1 else ""
        used = self._value("SELECT max(bytes) FROM total" + where)
        return used + self._uncounted()[1] if isinstance(used, int) else None

    def relayed(self) -> tuple[int, int] | None:
        if self.version < 2:
            return None
        counted = [
            self._value(f"SELECT {name} FROM total WHERE name = '{RELAYED}'")
            for name in ("documents", "bytes")
        ]
        documents, size = (value if isinstance(value, int) else 0 for value in counted)
        more_documents, more_bytes = self._uncounted("relayed = 1")
        return documents + more_documents, size + more_bytes

    def _uncounted(self, condition: str = "1") -> tuple[int, int]:
        """Return what came after the arrival that `total` has: documents, bytes."""
        sums = [
            self._value(
                f"SELECT {sum} FROM doc"
                f" WHERE arrival > (SELECT max(arrival_max) FROM total) AND {condition}"
            )
            for sum in ("count(*)", f"sum({schema.SIZE})")
        ]
        documents, size_sum = (value if isinstance(value, int) else 0 for value in sums)
        return documents, size_sum

    def _whole(self, rows: "Iterator[tuple[str, str, int, bytes, int | None]]") -> "Iterator[Put]":
        for collection, id, arrival, body, crc in rows:
            if self.version > 2:
                is_whole = schema.is_whole(collection, id, arrival, body, crc)
            else:
                is_whole = (type(collection), type(id), type(body)) == (str, str, bytes)
            if is_whole:
                yield collection, id, arrival, body
            else:
                self._damaged_count += 1

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
        found = ["the file is damaged"] if self._is_damaged else []
        if self._damaged_count:
            found.append(
                counted(self._damaged_count, "document is damaged", "documents are damaged")
            )
        return found


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a store of either kind; every error names the file."""
    try:
        with _source(path) as source:
            yield source
    except (StorageError, ToolError) as error:
        raise ToolError(f"{path}: {error}") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        known = [text for start, text in SENTENCES.items() if name.startswith(start)]
        raise ToolError(f"{path}: {known[0] if known else error}") from error
    except UnicodeDecodeError as error:
        raise ToolError(f"{path}: {SENTENCES['SQLITE_CORRUPT']}") from error


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
    is_big_peer = (path.parent / "doors.db").exists()  # its API keys
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


def counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
