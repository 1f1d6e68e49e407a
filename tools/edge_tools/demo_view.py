"""What the demo shows: a live table, a progress bar, a summary; plain lines without a terminal."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import progress as bars
from rich.box import HORIZONTALS
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from edge_tools.rig import Rig, Snapshot

if TYPE_CHECKING:
    from edge_tools.demo import Outcome

PLAIN_INTERVAL_S = 5.0  # between two lines about the same thing, without a terminal
QUOTA_WIDTH = 8  # the table fits into 80 columns
MEDIUM_NAMES = {"lan": "TCP", "mqtt": "MQTT"}


class Progress:
    """How far --once has come."""

    def __init__(self, console: Console, total: int) -> None:
        self.count = 0
        self._console = console
        self._total = total
        self._began_s = self._shown_s = time.monotonic()
        self._bar = bars.Progress(
            bars.TextColumn("{task.completed}/{task.total} readings"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._shown_s = time.monotonic()
        self._console.print(
            f"{self._shown_s - self._began_s:5.1f} s  {text}", soft_wrap=True, markup=False
        )

    def show(self, count: int) -> None:
        self.count = count
        self._bar.update(self._task, completed=count)
        if not self._console.is_terminal and time.monotonic() - self._shown_s > PLAIN_INTERVAL_S:
            self.say(f"{count} of {self._total} readings have arrived")


class LiveTable:
    """The table of the running demo, repainted at every `show`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._shown_s = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, rig: Rig, snapshot: Snapshot) -> None:
        if self._console.is_terminal:
            self._live.update(Group(_table(rig, snapshot), _uplinks(rig, snapshot)), refresh=True)
        elif time.monotonic() - self._shown_s > PLAIN_INTERVAL_S:
            self._shown_s = time.monotonic()
            counts = (f"{name} {count}" for name, count in snapshot.arrived.items())
            line = f"arrived: {', '.join(counts)}. {_uplinks(rig, snapshot)}"
            self._console.print(line, soft_wrap=True)


def summary(rig: Rig, snapshot: Snapshot, outcome: "Outcome") -> Table:
    """What --once found, in figures."""
    count = snapshot.arrived_count()
    boards = list(snapshot.boards.values())
    links = [link for peer in (*boards, snapshot.gateway) for link in peer.get("links", [])]
    table = Table("what", "figure", show_header=False)
    for what, figure in (
        ("readings, every value as measured", f"{count} of {len(rig.expected())}"),
        ("seconds, start to finish", f"{outcome.total_s:.1f}"),
        ("seconds until everything was up", f"{outcome.start_s:.1f}"),
        ("readings that waited for the uplink", f"{outcome.piled_up}"),
        ("seconds from its return to the last reading", f"{outcome.drain_s:.1f}"),
        ("bytes on the serial lines per reading", f"{sum(rig.serial_bytes()) / count:.1f}"),
        ("boards' heap, high-water mark in bytes", f"{_most(boards, 'heap_bytes'):,}"),
        ("documents that boards evicted", f"{sum(board['evicted'] for board in boards)}"),
        ("frames sent again, by anybody", f"{_total(links, 'repeated_frames')}"),
        ("frames that arrived damaged", f"{_total(links, 'damaged_frames')}"),
    ):
        table.add_row(what, figure)
    return table


def _table(rig: Rig, snapshot: Snapshot) -> Table:
    table = Table("board", "serial", "flash quota", box=HORIZONTALS, padding=0)
    for column in ("written", "arrived", "unsynced", "evicted", "B each", "heap"):
        table.add_column(column, justify="right", no_wrap=True)
    serial_bytes = rig.serial_bytes()
    for number, (name, report) in enumerate(snapshot.boards.items()):
        arrived = snapshot.arrived.get(name, 0)
        if not report:
            table.add_row(name, "starting")
            continue
        table.add_row(
            name,
            _state(bool(report["links"])),
            _bar(report["used_bytes"] / report["quota_bytes"]),
            f"{report['rows']}",
            f"{arrived}",
            f"{report['unsynced']}",
            f"{report['evicted']}",
            f"{serial_bytes[number] / arrived:.1f}" if arrived else "",
            f"{report['heap_bytes'] / 1000:.0f} kB",
        )
    return table


def _uplinks(rig: Rig, snapshot: Snapshot) -> str:
    up = snapshot.uplinks()
    states = [f"{MEDIUM_NAMES[kind]} {_state(kind in up)}" for kind in rig.plan.uplinks]
    return f"Gateway to Big Peer: {', '.join(states)}"


def _bar(share: float) -> str:
    filled = round(min(share, 1) * QUOTA_WIDTH)
    return f"{'█' * filled}{'░' * (QUOTA_WIDTH - filled)}{share:5.0%}"


def _state(is_open: bool) -> str:
    return "[green]open[/]" if is_open else "[red]down[/]"


def _most(reports: list[dict[str, Any]], name: str) -> int:
    return max((report.get(name, 0) for report in reports), default=0)


def _total(reports: list[dict[str, Any]], name: str) -> int:
    return sum(report.get(name, 0) for report in reports)
