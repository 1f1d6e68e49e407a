"""
What sync costs, beside the field: `make bench-sync`.

Bytes are TCP payload of both directions, the handshake apart (sync_ours.py); of Automerge,
Loro and Yjs, which have no transport, the sync messages of both sides. The reference is
the best of the field. The last line printed is one JSON object, for machines to compare.
"""

import argparse
import asyncio
import json
import tempfile
from typing import NamedTuple

import comparators
import sync_ours
import sync_serial
import sync_speed
from comparators.common import NotInstalled
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from workload import changed, documents

TITLE = "Sync of {0.document_count:,} documents of 60 bytes of JSON, seed {0.seed}"
TABLE_WIDTH = 122
SERIAL_DOCUMENT_COUNT = 1_000  # what a board keeps


class Plan(NamedTuple):
    document_count: int = 10_000
    author_count: int = 1_000
    changed_count: int = 10
    difference_count: int = 20
    forgotten_count: int = 5  # times that two peers lose their history
    run_count: int = 3  # of the speed, of which the median counts
    seed: int = 1


class Figure(NamedTuple):
    name: str
    goal: str | None = None  # "<= number" or ">= number"


FIGURES = (
    Figure("full_copy_bytes", "<= 70000"),
    Figure("full_copy_random_order_bytes", "<= 120000"),
    Figure("full_copy_deflated_bytes", "<= 20000"),
    Figure("full_copy_to_subscriber_bytes"),
    Figure("ten_changed_bytes", "<= 200"),
    Figure("idle_reconnect_bytes", "<= 40"),
    Figure("idle_reconnect_many_authors_bytes", "<= 40"),
    Figure("evict_half_bytes", "<= 0"),
    Figure("no_shared_history_bytes", "<= 600"),
    Figure("handshake_bytes"),
    Figure("documents_per_cpu_s", ">= 5000"),
    Figure("sent_per_cpu_s"),
    Figure("received_per_cpu_s"),
    Figure("serial_handshake_ms"),
    Figure("serial_idle_reconnect_ms", "<= 1000"),
    Figure("serial_ten_changed_ms", "<= 1500"),
)


def main():
    options = parse()
    plan = Plan(options.documents, options.authors, seed=options.seed)
    readings = documents(plan.document_count, plan.seed)
    field = () if options.only_ours else comparators.ALL
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        ours = measure_ours(readings, plan, progress)
        theirs, missing = measure_field(field, readings, plan, progress)
    result = {figure.name: compared(figure, ours, theirs) for figure in FIGURES}
    width = max(Console().width, TABLE_WIDTH)
    Console(width=width).print(table(result, theirs, TITLE.format(plan)), *missing, sep="\n")
    print(json.dumps(result))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    plan = Plan()
    parser.add_argument("--documents", type=int, default=plan.document_count)
    parser.add_argument("--authors", type=int, default=plan.author_count)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--only-ours", action="store_true", help="leave out the field")
    options = parser.parse_args()
    if not 100 <= options.documents <= 100_000 or not 1 <= options.authors <= 10_000:
        parser.error("100 to 100,000 documents, 1 to 10,000 authors")
    return options


def measure_ours(readings, plan, progress):
    """Return {figure: number}."""
    task = progress.add_task("edge-peer", total=6)

    def advance():
        progress.advance(task)

    figures = sync_serial.measure(readings[:SERIAL_DOCUMENT_COUNT], plan)
    advance()
    with tempfile.TemporaryDirectory() as folder:
        figures |= asyncio.run(sync_speed.measure(folder, plan))
    advance()
    with tempfile.TemporaryDirectory() as folder:
        figures |= asyncio.run(sync_ours.measure(folder, readings, plan, advance))
    return figures


def measure_field(field, readings, plan, progress):
    """Return {title: {figure: number}}, and a line for each that is not there."""
    task = progress.add_task("the field", total=len(field))
    news = changed(readings, plan.changed_count, plan.seed)
    theirs, missing = {}, []
    for title, measure in field:
        progress.update(task, description=title)
        try:
            with tempfile.TemporaryDirectory() as folder:
                theirs[title] = measure(readings, news, plan, folder)
        except NotInstalled as error:
            missing.append(f"{title}: not installed; it needs {error}")
        except Exception as error:  # whatever a stranger's program does, our figures count
            missing.append(f"{title}: failed, {type(error).__name__}: {error}")
        progress.advance(task)
    return theirs, missing


def compared(figure, ours, theirs):
    found = [one[figure.name] for one in theirs.values() if figure.name in one]
    number = ours.get(figure.name)
    return {
        "ours": None if number is None else round(number),
        "reference": min(found, default=None),
        "goal": figure.goal,
        "met": None if figure.goal is None else is_met(figure.goal, number),
    }


def is_met(goal, number):
    """What we cannot do yet does not meet its goal."""
    sign, bound = goal.split()
    if number is None:
        return False
    return number <= int(bound) if sign == "<=" else number >= int(bound)


def table(result, theirs, title):
    rows = Table(title=title, caption="–: not possible there, or nothing to compare")
    rows.add_column("figure", no_wrap=True)
    for column in ("edge-peer", *theirs, "goal", "met"):
        rows.add_column(column, justify="right", no_wrap=True)
    for name, figure in result.items():
        numbers = [figure["ours"], *(one.get(name) for one in theirs.values())]
        met = {True: "yes", False: "[bold red]no", None: ""}[figure["met"]]
        rows.add_row(name, *map(shown, numbers), figure["goal"] or "", met)
    return rows


def shown(number):
    return "–" if number is None else f"{number:,}"


if __name__ == "__main__":
    main()
