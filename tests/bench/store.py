"""
What the store costs on a host, beside the standard library's sqlite3: `make bench-store`.

CPU time per operation, so that the disk's own speed does not count. Every cost is the
median of several runs, and the sides take turns run by run, so that what else the
machine does meets both. The first run is not counted: in it, SQLite's write-ahead log
grows to the size that it keeps. Ditto's SDK comes last and alone, as it has threads.
Growth is the worst cost as the store grows, over the cost in the smallest store.
The last line printed is one JSON object, for machines to compare.
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


FULL = Plan(10_000, 9, 400, (1_000, 10_000, 100_000))
LARGE = FULL._replace(growth=(*FULL.growth, 1_000_000))
QUICK = Plan(400, 2, 20, (200, 400))
DELAY_COUNT = 10  # runs of which each makes as many writes that an observer hears of

# name: (goal, at most; decimals); of an array the cost per document
FIGURES = {
    "insert_one_cpu_us": (150, None),
    "insert_array_cpu_us": (39, 1),
    "select_by_id_cpu_us": (60, 1),
    "select_text_1_percent_cpu_ms": (30, 1),
    "select_range_1_percent_cpu_ms": (30, 1),
    "select_text_1_percent_index_cpu_ms": (1, 2),
    "select_range_1_percent_index_cpu_ms": (1, 2),
    "select_all_cpu_ms": (None, 1),
    "update_by_id_cpu_us": (200, None),
    "write_to_callback_p50_cpu_ms": (1, 2),
    "write_to_callback_p50_ms": (None, 2),  # with the disk's time
    "memory_mb": (45, 1),
    "disk_bytes_per_document": (250, None),
    "insert_growth": (1.5, 2),
    "select_by_id_growth": (1.5, 2),
}
TABLE_WIDTH = 110
TITLES = {"ours": "edge-peer", "reference": "sqlite3", "ditto": "Ditto"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="only try whether it works")
    parser.add_argument("--large", action="store_true", help="grow to 1,000,000 documents")
    options = parser.parse_args()
    plan = QUICK if options.quick else LARGE if options.large else FULL
    with Progress(console=Console(stderr=True), transient=True) as progress:
        found = measure(("ours", "reference"), plan, progress)
        if sides.is_installed("ditto") and not options.quick:
            found |= measure(("ditto",), plan, progress)
    result = {name: compared(name, found) for name in FIGURES}
    console = Console(width=max(Console().width, TABLE_WIDTH))
    console.print(table(result, plan, list(found)))
    console.print(notes(plan), highlight=False, soft_wrap=True)
    print(json.dumps(result))


def measure(names, plan, progress):
    """Return {side: {figure: number}}."""
    task = progress.add_task(" and ".join(names), total=5 + len(plan.growth))
    found = {name: {} for name in names}
    with tempfile.TemporaryDirectory() as folder:
        stores = {name: sides.SIDES[name](os.path.join(folder, name)) for name in names}
        for step in (write, look, observe, look_by_index):
            for name, figures in step(stores, plan).items():
                found[name] |= figures
            progress.advance(task)
        for store in stores.values():
            store.close()
    for name in names:
        found[name] |= sizes(name, plan.document_count)
    progress.advance(task)
    if "ditto" not in names:  # whose growth the issue does not ask for: it takes minutes
        for name, figures in growth(names, plan, lambda: progress.advance(task)).items():
            found[name] |= figures
    return found


def write(stores, plan):
    """Fill the stores up to the plan's count, at last one by one."""
    run_count, size = plan.run_count + 1, plan.run_size
    filled = plan.document_count - run_count * size
    array = min(filled, sides.ARRAY_SIZE)
    starts = range(0, filled, array)
    arrays = [[numbered(start, min(start + array, filled))] for start in starts]
    ones = [numbered(start, start + size) for start in range(filled, plan.document_count, size)]
    array_us = cpu_us({name: (store.insert, arrays) for name, store in stores.items()})
    one_us = cpu_us({name: (store.insert, ones) for name, store in stores.items()})
    changes = [[(id, id.count("1") / 7) for id in ids] for ids in some_ids(plan)]
    update_us = cpu_us({name: (store.update, changes) for name, store in stores.items()})
    return {
        name: {
            "insert_array_cpu_us": array_us[name] / array,
            "insert_one_cpu_us": one_us[name],
            "update_by_id_cpu_us": update_us[name],
        }
        for name in stores
    }


def look(stores, plan):
    ids = some_ids(plan)
    by_id_us = cpu_us({name: (store.by_id, ids) for name, store in stores.items()})
    scans = looks_for_1_percent(stores, plan, "")
    all_us = cpu_us({name: (store.all, singly(None, plan)) for name, store in stores.items()})
    return {
        name: scans[name]
        | {"select_by_id_cpu_us": by_id_us[name], "select_all_cpu_ms": all_us[name] / 1_000}
        for name in stores
    }


def observe(stores, plan):
    """Writes that one query hears of; the stores take turns."""
    delays = {name: [] for name in stores}
    number = plan.document_count + int(sides.WATCHED[1:])
    for _ in range(DELAY_COUNT):
        step = sides.SENSOR_COUNT
        some = [sides.document(number + i * step) for i in range(DELAY_COUNT)]
        number += DELAY_COUNT * step
        for name, store in stores.items():
            delays[name] += store.delays(some)
    return {
        name: {
            "write_to_callback_p50_cpu_ms": 1_000 * median(cpu for cpu, _ in delays[name]),
            "write_to_callback_p50_ms": 1_000 * median(time for _, time in delays[name]),
        }
        for name in stores
    }


def look_by_index(stores, plan):
    for store in stores.values():
        store.create_indexes()
    return looks_for_1_percent(stores, plan, "_index")


def looks_for_1_percent(stores, plan, suffix):
    """One by a text, one by a range of numbers."""
    one_percent = plan.document_count // sides.SENSOR_COUNT
    found = {name: {} for name in stores}
    for kind, argument in (("text", "s043"), ("range", one_percent)):
        looks = {name: getattr(store, f"by_{kind}") for name, store in stores.items()}
        for select in looks.values():
            assert len(select(argument)) == one_percent
        runs = singly(argument, plan)
        for name, us in cpu_us({name: (select, runs) for name, select in looks.items()}).items():
            found[name][f"select_{kind}_1_percent{suffix}_cpu_ms"] = us / 1_000
    return found


def growth(names, plan, advance):
    """Fill stores to each size, and measure all of them in turns."""
    run_count, size = plan.run_count + 1, plan.run_size
    with tempfile.TemporaryDirectory() as folder:
        stores = {}
        for count in plan.growth:
            for name in names:
                store = stores[name, count] = sides.SIDES[name](
                    os.path.join(folder, f"{name}{count}")
                )
                sides.fill(store, 0, count)
            advance()
        inserts = cpu_us(
            {
                key: (
                    store.insert,
                    [
                        numbered(key[1] + i * size, key[1] + (i + 1) * size)
                        for i in range(run_count)
                    ],
                )
                for key, store in stores.items()
            }
        )
        looks = cpu_us(
            {
                key: (store.by_id, some_ids(plan._replace(document_count=key[1])))
                for key, store in stores.items()
            }
        )
        for store in stores.values():
            store.close()
    return {
        name: {
            "insert_growth": steepness(inserts, name),
            "select_by_id_growth": steepness(looks, name),
        }
        for name in names
    }


def steepness(costs, name):
    of_side = [costs[key] for key in costs if key[0] == name]
    return max(of_side) / of_side[0]


def numbered(start, end):
    return [sides.document(i) for i in range(start, end)]


def some_ids(plan):
    """Return one more run of ids than are counted, at random among all documents."""
    chance = random.Random(plan.document_count)
    return [
        [sides.document(chance.randrange(plan.document_count))["_id"] for _ in range(plan.run_size)]
        for _ in range(plan.run_count + 1)
    ]


def singly(argument, plan):
    return [[argument]] * (plan.run_count + 1)


def cpu_us(actions):
    """Return the CPU time in µs of each action: the median over all runs but the first.

    actions: {key: (action, runs)}; a run is a list of what action(item) takes. All run
    their first run, then all their second, and so on.
    """
    costs = {key: [] for key in actions}
    for turn in range(max(len(runs) for _, runs in actions.values())):
        for key, (action, runs) in actions.items():
            gc.collect()
            started = process_time()
            for item in runs[turn]:
                action(item)
            costs[key].append((process_time() - started) / len(runs[turn]))
    return {key: 1e6 * median(some[1:] or some) for key, some in costs.items()}


def sizes(name, document_count):
    """A process of its own fills a store and finds 1 %: its memory, and then the disk's."""
    command = [sys.executable, sides.__file__, name, str(document_count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return {
        "memory_mb": found["memory"] / 1e6,
        "disk_bytes_per_document": found["disk"] / document_count,
    }


def compared(name, found):
    goal, decimals = FIGURES[name]
    ours = found["ours"][name]
    figure = {
        "ours": round(ours, decimals),
        "reference": round(found["reference"][name], decimals),
        "goal": None if goal is None else f"<= {goal}",
        "met": None if goal is None else ours <= goal,
    }
    if name in found.get("ditto", ()):
        figure["ditto"] = round(found["ditto"][name], decimals)
    return figure


def table(result, plan, names):
    rows = Table(title=f"A store of {plan.document_count:,} documents")
    rows.add_column("figure", no_wrap=True)
    for column in (*[TITLES[name] for name in names], "ratio", "goal", "met"):
        rows.add_column(column, justify="right", no_wrap=True)
    for name, figure in result.items():
        ratio = f"{figure['ours'] / figure['reference']:.1f}"
        met = {True: "yes", False: "[bold red]no", None: ""}[figure["met"]]
        numbers = [f"{figure[side]:,}" if side in figure else "" for side in names]
        rows.add_row(name, *numbers, ratio, figure["goal"] or "", met)
    return rows


def notes(plan):
    """Say what this run did not measure."""
    lines = [f"Growth: over {', '.join(f'{count:,}' for count in plan.growth)} documents."]
    if plan is FULL:
        lines.append("BENCH_ARGS=--large grows to 1,000,000 documents (minutes more).")
    if not sides.is_installed("ditto"):
        lines.append(f"To compare Ditto, too: {sys.executable} -m pip install --pre {sides.DITTO}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
