"""
What the store costs on a host, beside the standard library's sqlite3: `make bench-store`.

CPU time per operation, so that the disk's own speed does not count: the median of
several runs. Growth is the worst cost as the store grows, over the cost in the
smallest. The last line printed is one JSON object, for machines to compare.
"""

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
from statistics import median
from time import process_time
from typing import NamedTuple

import sides
from rich.console import Console
from rich.progress import Progress
from rich.table import Table


class Plan(NamedTuple):
    document_count: int
    run_count: int  # of which the median counts
    run_size: int  # operations in a run, where one is quick
    growth: tuple[int, ...]  # numbers of documents


FULL = Plan(10_000, 5, 400, (1_000, 10_000, 100_000))
LARGE = FULL._replace(growth=(*FULL.growth, 1_000_000))
QUICK = Plan(400, 2, 50, (200, 400))

# name: (goal, at most; decimals); of an array the cost per document
FIGURES = {
    "insert_one_cpu_us": (150, None),
    "insert_array_cpu_us": (39, 1),
    "select_by_id_cpu_us": (60, 1),
    "select_text_1_percent_cpu_ms": (30, 1),
    "select_range_1_percent_cpu_ms": (30, 1),
    "select_all_cpu_ms": (None, 1),
    "memory_mb": (45, 1),
    "disk_bytes_per_document": (250, None),
    "insert_growth": (1.5, 2),
    "select_by_id_growth": (1.5, 2),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="only try whether it works")
    parser.add_argument("--large", action="store_true", help="grow to 1,000,000 documents")
    options = parser.parse_args()
    plan = QUICK if options.quick else LARGE if options.large else FULL
    with Progress(console=Console(stderr=True), transient=True) as progress:
        found = {name: measure(name, plan, progress) for name in sides.SIDES}
    result = {name: compared(name, found["ours"], found["reference"]) for name in FIGURES}
    Console().print(table(result, plan))
    print(json.dumps(result))


def measure(name, plan, progress):
    """Return every figure of one side."""
    task = progress.add_task(name, total=3 + len(plan.growth))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "store.db")
        figures = operations(sides.SIDES[name](path), plan)
        figures["disk_bytes_per_document"] = os.path.getsize(path) / plan.document_count
    progress.advance(task, 2)
    figures["memory_mb"] = memory_mb(name, plan.document_count)
    progress.advance(task)
    with tempfile.TemporaryDirectory() as folder:
        side = sides.SIDES[name](os.path.join(folder, "store.db"))
        costs = []
        for start, end in zip((0, *plan.growth), plan.growth, strict=False):
            costs.append(costs_at(side, start, end, plan))
            progress.advance(task)
        side.close()
    inserts, selects = zip(*costs, strict=True)
    figures["insert_growth"] = max(inserts) / inserts[0]
    figures["select_by_id_growth"] = max(selects) / selects[0]
    return figures


def operations(side, plan):
    """Fill a store, mostly by arrays, and read it; close it."""
    filled = plan.document_count - plan.run_count * plan.run_size
    size = min(filled, sides.ARRAY_SIZE)
    arrays = [[documents(start, start + size)] for start in range(0, filled, size)]
    figures = {"insert_array_cpu_us": cpu_us(side.insert, arrays) / size}
    figures["insert_one_cpu_us"], figures["select_by_id_cpu_us"] = costs_at(
        side, filled, plan.document_count, plan
    )
    one_percent = plan.document_count // sides.SENSOR_COUNT
    for name, select, argument, count in (
        ("select_text_1_percent_cpu_ms", side.where, "s042", one_percent),
        ("select_range_1_percent_cpu_ms", side.below, one_percent, one_percent),
        ("select_all_cpu_ms", lambda _: side.all(), None, plan.document_count),
    ):
        assert len(select(argument)) == count
        figures[name] = cpu_us(select, [[argument]] * plan.run_count) / 1_000
    side.close()
    return figures


def costs_at(side, start, end, plan):
    """Fill a store of `start` documents up to `end`; return what one insert and one look cost."""
    filled = end - plan.run_count * plan.run_size
    sides.fill(side, start, filled)
    inserts = [documents(i, i + plan.run_size) for i in range(filled, end, plan.run_size)]
    chance = random.Random(end)
    ids = [sides.document(chance.randrange(end))["_id"] for _ in range(end - filled)]
    looks = [ids[i :: plan.run_count] for i in range(plan.run_count)]
    return cpu_us(side.insert, inserts), cpu_us(side.by_id, looks)


def documents(start, end):
    return [sides.document(i) for i in range(start, end)]


def cpu_us(action, runs):
    """Return the CPU time of action(item) in µs: the median over the runs of the mean in each."""
    costs = []
    for items in runs:
        gc.collect()
        started = process_time()
        for item in items:
            action(item)
        costs.append((process_time() - started) / len(items))
    return 1e6 * median(costs)


def memory_mb(name, document_count):
    command = [sys.executable, sides.__file__, name, str(document_count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1e6


def compared(name, ours, reference):
    goal, decimals = FIGURES[name]
    return {
        "ours": round(ours[name], decimals),
        "reference": round(reference[name], decimals),
        "goal": None if goal is None else f"<= {goal}",
        "met": None if goal is None else ours[name] <= goal,
    }


def table(result, plan):
    rows = Table(title=f"A store of {plan.document_count:,} documents")
    rows.add_column("figure", no_wrap=True)
    for column in ("edge-peer", "sqlite3", "ratio", "goal", "met"):
        rows.add_column(column, justify="right")
    for name, figure in result.items():
        ratio = f"{figure['ours'] / figure['reference']:.1f}"
        met = {True: "yes", False: "[bold red]no", None: ""}[figure["met"]]
        numbers = (f"{figure[side]:,}" for side in sides.SIDES)
        rows.add_row(name, *numbers, ratio, figure["goal"] or "", met)
    return rows


if __name__ == "__main__":
    main()
