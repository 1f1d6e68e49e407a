"""
`edge-peer demo`: run the rig and show it; with --once, check it.

--once is the main job as a test: boards write every reading while the uplink is
there, then away, then back; all are read again through the HTTP API and compared with
their source, value by value.
"""

import asyncio
import shutil
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console

from edge_tools import demo_view, readings
from edge_tools.errors import DemoFailed, ToolError
from edge_tools.rig import Plan, Rig, Snapshot
from edge_tools.services import run_until_told

POLL_S = 0.25
LIVE_POLL_S = 1.0
OUTAGE_AT = 0.3  # of all readings
OUTAGE_S = 4.0
SETTLE_S = 0.5  # what was under way when the uplink went may still arrive
ARRIVE_SPARE_S = 90.0  # for all to arrive, beyond what the boards need to write it
REPORT_LIMIT_S = 10.0  # for the boards' last reports
MISTAKES_SHOWN = 10


class Uplink(StrEnum):
    BOTH = "both"
    TCP = "tcp"
    MQTT = "mqtt"


MEDIA = {Uplink.BOTH: ("lan", "mqtt"), Uplink.TCP: ("lan",), Uplink.MQTT: ("mqtt",)}


@dataclass
class Outcome:
    """What --once has measured; times in seconds."""

    start_s: float = 0.0
    total_s: float = 0.0
    piled_up: int = 0  # readings that waited while the uplink was away
    drain_s: float = 0.0


def run(plan: Plan, once: bool, keep: Path | None) -> None:
    """Raises ToolError if anything goes wrong; whatever happens, all is stopped then."""
    console = Console(highlight=False)
    folder = _new_folder(keep)
    try:
        finished = run_until_told(_run(Rig(folder, plan), once, console))
    except ToolError as error:
        raise type(error)(f"{error}\nThe logs are in {folder}") from error
    if keep is None:
        shutil.rmtree(folder)
    if once and not finished:
        raise DemoFailed("interrupted before all readings had arrived")


def _new_folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="edge-peer-demo-"))
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise ToolError(f"{keep} is not empty")
    return keep.resolve()


async def _run(rig: Rig, once: bool, console: Console) -> None:
    try:
        await (_once if once else _live)(rig, console)
    finally:
        await rig.stop()


# Until Ctrl-C


async def _live(rig: Rig, console: Console) -> None:
    console.print("Starting a broker, a Big Peer, a gateway and the boards …")
    await rig.start()
    console.print(f"The Big Peer's page: [b]{rig.page()}[/b]", soft_wrap=True)
    console.print("Ctrl-C stops everything.")
    with demo_view.LiveTable(console) as table:
        while True:
            rig.check()
            table.show(rig, await rig.snapshot())
            await asyncio.sleep(LIVE_POLL_S)


# --once


async def _once(rig: Rig, console: Console) -> None:
    outcome = Outcome()
    began_s = time.monotonic()
    expected = rig.expected()
    with demo_view.Progress(console, len(expected)) as progress:
        progress.say("starting a broker, a Big Peer, a gateway and the boards")
        if rig.plan.seed is not None:
            progress.say(f"the serial lines are noisy, by seed {rig.plan.seed}")
        await rig.start()
        outcome.start_s = time.monotonic() - began_s
        progress.say(f"up after {outcome.start_s:.1f} s; the page: {rig.page()}")
        limit_s = rig.plan.row_count / rig.plan.rows_per_s + ARRIVE_SPARE_S
        try:
            async with asyncio.timeout(limit_s):
                await _until_arrived(rig, progress, int(OUTAGE_AT * len(expected)))
                outcome.piled_up = await _outage(rig, progress)
                mended_s = time.monotonic()
                await _until_arrived(rig, progress, len(expected))
                outcome.drain_s = time.monotonic() - mended_s
        except TimeoutError as error:
            raise DemoFailed(_lateness(rig, progress.count, limit_s)) from error
        progress.say("all are there: comparing every value with its source")
        check_equal(expected, await rig.arrived())
        await rig.until(lambda: _boards_reported(rig), REPORT_LIMIT_S, "the boards have reported")
    if crash_logs := rig.crash_logs():
        raise DemoFailed(f"an error that nobody expected, see {crash_logs[0]}")
    outcome.total_s = time.monotonic() - began_s
    console.print(demo_view.summary(rig, await rig.snapshot(), outcome))


async def _until_arrived(rig: Rig, progress: demo_view.Progress, count: int) -> None:
    while (await _look(rig, progress)).arrived_count() < count:
        await asyncio.sleep(POLL_S)


async def _look(rig: Rig, progress: demo_view.Progress) -> Snapshot:
    rig.check()
    snapshot = await rig.snapshot()
    progress.show(snapshot.arrived_count())
    return snapshot


async def _outage(rig: Rig, progress: demo_view.Progress) -> int:
    """Take the uplink away for a while; return how many readings waited at its end."""
    progress.say(f"pulling the uplink away for {OUTAGE_S:.0f} s")
    await rig.cut_uplink()
    await asyncio.sleep(SETTLE_S)
    before = await _look(rig, progress)
    end_s = time.monotonic() + OUTAGE_S - SETTLE_S
    while time.monotonic() < end_s:
        await asyncio.sleep(POLL_S)
        after = await _look(rig, progress)
    if after.arrived_count() != before.arrived_count():
        raise DemoFailed("readings went on arriving while the uplink was away")
    waiting = after.inserted_count() - after.arrived_count()
    progress.say(f"{waiting} readings have piled up; mending the uplink")
    await rig.mend_uplink()
    return waiting


def check_equal(expected: list[readings.Reading], items: list[dict[str, Any]]) -> None:
    """Raise DemoFailed if what has arrived is not what was measured."""
    mistakes = readings.complaints(expected, items)
    if mistakes:
        shown = "".join(f"\n  {mistake}" for mistake in mistakes[:MISTAKES_SHOWN])
        raise DemoFailed(f"{len(mistakes)} mistakes in what has arrived:{shown}")


async def _boards_reported(rig: Rig) -> bool:
    snapshot = await rig.snapshot()
    return snapshot.inserted_count() == len(rig.expected())


def _lateness(rig: Rig, count: int, limit_s: float) -> str:
    reports = rig.reports()
    return (
        f"the limit of {limit_s:.0f} s has passed: {reports.inserted_count()} of "
        f"{len(rig.expected())} readings were written, {count} have arrived; "
        f"the gateway's uplinks: {', '.join(reports.uplinks()) or 'none'}"
    )
