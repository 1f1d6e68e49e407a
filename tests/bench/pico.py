"""
What the store costs on a Raspberry Pi Pico, stock firmware, emulated: `make bench-pico`.

Times are virtual and of the processor alone: the emulated flash takes none. A real one
adds PAGE_MS and ERASE_MS, which the row "with flash" estimates. The store is in pinned
blocks of the firmware's own littlefs. Garbage is collected between the calls, untimed, as
an application does that is idle between two readings; in the rows "with collection" it
is left to the interpreter. The rows "log" are commits of prepared records of 99 bytes to
the log alone. The longest call and the flash's figures are those of a full store, where
every insert makes room for itself.
The last line printed is one JSON object, for machines to compare.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from virtual_pico import image
from virtual_pico.pico import Pico

PROGRAM = Path(__file__).with_name("pico_board.py")
PAGE_MS = 0.7  # W25Q16JV: a page of 256 bytes, an erase of 4 KiB; typical
ERASE_MS = 45


class Plan(NamedTuple):
    documents: int  # in the large store
    blocks: int  # that it gets
    calls: int  # that a figure is the mean of
    full_blocks: int  # of the small store, which is filled up
    heaps: tuple[int, int] = (500, 4_500)  # two values of documents_max


FULL = Plan(2_000, 96, 100, 16)
QUICK = Plan(200, 12, 20, 8)  # enough calls that blocks are erased

# name: (goal, at least or at most; decimals)
FIGURES = {
    "insert_single_per_s": (">=", 142, 0),
    "insert_batched_per_s": (">=", 427, 0),
    "select_by_id_ms": ("<=", 1.7, 1),
    "open_ms": ("<=", 1_400, 0),
    "longest_call_ms": ("<=", 20, 1),
    "heap_bytes_per_document": ("<=", 5, 1),
    "erases_per_insert": ("<=", 0.035, 4),
    "log_single_per_s": (">=", 142, 0),
    "log_batched_per_s": (">=", 427, 0),
    "programmed_bytes_per_insert": ("", None, 0),
    "changed_cells_per_insert": ("", None, 0),
    "insert_single_with_collection_per_s": ("", None, 0),
    "longest_call_with_collection_ms": ("", None, 1),
    "collection_ms": ("", None, 1),
    "insert_single_with_flash_per_s": ("", None, 0),
    "make_store_ms": ("", None, 0),
    "free_heap_bytes": ("", None, 0),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="only try whether it works")
    plan = QUICK if parser.parse_args().quick else FULL
    result = {}
    parts = (large_store, full_store, log, heap)
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        tempfile.TemporaryDirectory() as folder,
    ):
        flash = Path(folder, "flash.bin")
        task = progress.add_task("", total=len(parts))
        for part in parts:
            name = part.__name__.replace("_", " ")
            progress.update(task, description=f"virtual Pico: {name}")
            flash.write_bytes(image.flash(files()))
            result |= part(flash, plan)
            progress.advance(task)
    figures = {name: judged(name, result[name]) for name in FIGURES}
    Console().print(table(figures, plan))
    print(json.dumps(figures))


def files():
    return image.edge_peer() | {"bench.mpy": image.module(PROGRAM, "bench.py")}


def large_store(flash, plan):
    with Pico(flash) as pico:
        made = run(pico, "open_peer", plan.blocks, plan.documents)
        single = run(pico, "insert", plan.calls, 1, True)
        careless = run(pico, "insert", plan.calls, 1)
        batched = run(pico, "insert", plan.calls // 5, 10, True)
        rest = plan.documents - 2 * plan.calls - plan.calls // 5 * 10
        run(pico, "insert", rest // 10, 10)
        select = run(pico, "select", plan.calls)
        collection = run(pico, "collect")
    with Pico(flash) as pico:
        opened = run(pico, "open_peer", plan.blocks, plan.documents)
    assert opened["documents"] == plan.documents
    return {
        "make_store_ms": made["us"] / 1e3,
        "insert_single_per_s": 1e6 / single["mean_us"],
        "insert_single_with_collection_per_s": 1e6 / careless["mean_us"],
        "insert_batched_per_s": 1e7 / batched["mean_us"],
        "select_by_id_ms": select["mean_us"] / 1e3,
        "collection_ms": collection["us"] / 1e3,
        "open_ms": opened["us"] / 1e3,
        "free_heap_bytes": opened["free"],
    }


def full_store(flash, plan):
    """Every insert makes room for itself."""
    with Pico(flash) as pico:
        run(pico, "open_peer", plan.full_blocks, plan.documents)
        run(pico, "fill", 10)
        before = pico.counters()
        single = run(pico, "insert", 3 * plan.calls, 1, True)
        after = pico.counters()
        careless = run(pico, "insert", 3 * plan.calls, 1)
    count = single["count"]
    erases, pages, bytes, cells = (
        (after[name] - before[name]) / count for name in ("erases", "programs", "bytes", "cells")
    )
    return {
        "longest_call_ms": single["max_us"] / 1e3,
        "longest_call_with_collection_ms": careless["max_us"] / 1e3,
        "erases_per_insert": erases,
        "programmed_bytes_per_insert": bytes,
        "changed_cells_per_insert": cells,
        "insert_single_with_flash_per_s": 1e3
        / (single["mean_us"] / 1e3 + pages * PAGE_MS + erases * ERASE_MS),
    }


def log(flash, plan):
    with Pico(flash) as pico:
        run(pico, "open_peer", 2 * plan.full_blocks, plan.documents)
        single = run(pico, "commit", plan.calls, 1)
        batched = run(pico, "commit", plan.calls // 5, 10)
    return {
        "log_single_per_s": 1e6 / single["mean_us"],
        "log_batched_per_s": 1e7 / batched["mean_us"],
    }


def heap(flash, plan):
    """What one more document of documents_max takes."""
    taken = []
    for documents_max in plan.heaps:
        with Pico(flash) as pico:
            taken.append(run(pico, "open_peer", QUICK.blocks, documents_max)["heap"])
    return {"heap_bytes_per_document": (taken[1] - taken[0]) / (plan.heaps[1] - plan.heaps[0])}


def run(pico, function, *arguments):
    """Call a function of pico_board.py on the board; return what it says."""
    call = ", ".join(map(repr, arguments))
    return json.loads(pico.run(f"import bench\nbench.{function}({call})"))


def judged(name, ours):
    relation, goal, decimals = FIGURES[name]
    met = None if goal is None else ours >= goal if relation == ">=" else ours <= goal
    return {
        "ours": round(ours, decimals or None),
        "goal": None if goal is None else f"{relation} {goal}",
        "met": met,
    }


def table(figures, plan):
    rows = Table(title=f"On the virtual Pico, up to {plan.documents:,} documents")
    rows.add_column("figure", no_wrap=True)
    for column in ("edge-peer", "goal", "met"):
        rows.add_column(column, justify="right")
    for name, figure in figures.items():
        met = {True: "yes", False: "[bold red]no", None: ""}[figure["met"]]
        rows.add_row(name, f"{figure['ours']:,}", figure["goal"] or "", met)
    return rows


if __name__ == "__main__":
    main()
