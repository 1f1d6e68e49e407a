"""
Every benchmark that the Makefile has, one after the other, and one table of all figures.

Each is run as a person runs it, `make bench-…`, and ends with one JSON object; what else
it says goes to build/bench/. A figure that is a number alone has no goal and is not shown.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build/bench"
FURTHER = ("size", "sim")  # targets whose last line is of the same kind
WITHOUT_PEERS = {"bench-sync": ["BENCH_ARGS=--only-ours"]}
TABLE_WIDTH = 110


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("names", nargs="*", help="of them, without bench-: store flash … (all)")
    parser.add_argument("--peers", action="store_true", help="beside others that can be installed")
    options = parser.parse_args()
    found, failed = {}, []
    for target in chosen(parser, options.names):
        with Progress(
            SpinnerColumn(), TextColumn(target), TimeElapsedColumn(), console=Console(stderr=True)
        ) as progress:
            progress.add_task(target, total=None)
            figures = run(target, [] if options.peers else WITHOUT_PEERS.get(target, []))
        if figures is None:
            failed.append(target)
        else:
            found[target] = figures
    console = Console(width=max(Console().width, TABLE_WIDTH))
    console.print(table(found))
    for target in failed:
        console.print(f"{target} failed: {log_of(target).relative_to(ROOT)} says why")
    print(json.dumps({name: one for figures in found.values() for name, one in figures.items()}))
    sys.exit(1 if failed else 0)


def chosen(parser, names):
    """Return the targets of those names, in the Makefile's order."""
    targets = re.findall(r"^(bench-[a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    by_name = {target.removeprefix("bench-"): target for target in [*targets, *FURTHER]}
    for name in names:
        if name not in by_name:
            parser.error(f"there is no {name}, there are {', '.join(by_name)}")
    return [target for name, target in by_name.items() if not names or name in names]


def run(target, arguments):
    """Run it. Return {figure: {"ours": …, "goal": …, …}}, or None where it failed."""
    KEPT.mkdir(parents=True, exist_ok=True)
    started = monotonic()
    with log_of(target).open("w") as log:
        command = ["make", "--no-print-directory", target, *arguments]
        done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    lines = log_of(target).read_text().splitlines()
    try:
        figures = json.loads(lines[-1]) if done.returncode == 0 else None
    except (IndexError, ValueError):
        figures = None
    if figures is None:
        return None
    print(f"{target}: {monotonic() - started:.0f} s", file=sys.stderr)
    return {name: one for name, one in figures.items() if isinstance(one, dict) and "ours" in one}


def log_of(target):
    return KEPT / f"{target}.log"


def table(found):
    drawn = Table(title="Ours, what it is compared with, and the goal")
    for column in ("", "figure"):
        drawn.add_column(column, no_wrap=True)
    for column in ("ours", "reference", "ratio", "goal", "met"):
        drawn.add_column(column, justify="right")
    for target, figures in found.items():
        for name, one in figures.items():
            drawn.add_row(target, name, *map(shown, row(one)))
            target = ""
        drawn.add_section()
    return drawn


def row(figure):
    """Return what stands in the last five columns; None where there is nothing."""
    ours, reference = figure["ours"], figure.get("reference")
    ratio = round(ours / reference, 2) if are_numbers(ours, reference) and reference else None
    met = {True: "yes", False: "no", None: None}[figure.get("met")]
    return ours, reference, ratio, figure.get("goal"), met


def are_numbers(*values):
    return all(isinstance(value, int | float) for value in values)


def shown(value):
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
