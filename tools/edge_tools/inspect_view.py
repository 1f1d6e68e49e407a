"""What `edge-peer inspect` prints: tables for people, JSON for machines."""

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_peer.core.clock import EPOCH_S, unix_ms_of

if TYPE_CHECKING:
    pass
from edge_tools.inspect_source import Flash
from edge_tools.inspect_survey import Report, Span

CLOCKLESS_MS = (EPOCH_S + 86_400) * 1000  # stamps before are of peers that never knew the time
BIN_COUNT = 8
BAR_WIDTH = 30


# For machines


def as_json(path: Path, report: Report) -> dict[str, Any]:
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
        "relayed": report.relayed and {"documents": report.relayed[0], "bytes": report.relayed[1]},
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


def plain(value: Any) -> Any:
    """Bytes as base64, as the HTTP API has them, and null for what JSON lacks."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


# For people


def print_tables(path: Path, report: Report) -> None:
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
    if report.relayed is not None:
        documents, size = report.relayed
        table.add_row("carried for others", f"{documents:,} documents, {size:,} bytes")
    if total:
        table.add_row("oldest write, UTC", _time(report.span.oldest))
        table.add_row("newest write, UTC", _time(report.span.newest))
    if report.flash is not None:
        flash = report.flash
        table.add_row("blocks", f"{flash.used} used, {flash.clean} free, {flash.dirty} to erase")
        table.add_row("erases left", f"{flash.erases_left:,}, {_share_left(flash):.1%}")
    table.add_row("damage", "; ".join(report.damage) or "none")
    return table


def _share_left(flash: Flash) -> float:
    return flash.erases_left / max(1, flash.erases_left + sum(flash.erases))


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
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0))
    table.add_column("collection", min_width=12, overflow="fold")
    for column in ("documents", "bytes", "not durable", "oldest write, UTC", "newest"):
        table.add_column(column, justify="right", min_width=9)
    for name, found in sorted(report.collections.items()):
        counts = (found.documents, found.bytes, found.waiting)
        times = (_time(found.span.oldest), _time(found.span.newest))
        table.add_row(_safe(name), *map("{:,}".format, counts), *times)
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
    return escape(printable(text))


def printable(text: str) -> str:
    """Names come from anywhere; none may move the cursor."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
