"""
The command behind `make sim` (CPython only): run worlds, shrink what fails, sum up.

    python tests/sim/run.py --seeds 200 --first 1 --world today
    python tests/sim/run.py --replay build/sim/today-7.json

The last line it prints is one JSON object: figures, goals, faults by kind, failures.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from sim.mutations import without  # noqa: E402
from sim.plans import make  # noqa: E402
from sim.shrink import shrink  # noqa: E402
from sim.world import World  # noqa: E402

FOLDER = ROOT / "build" / "sim"  # where shrunk scripts go
SPEED_GOAL = 1_000  # simulated seconds a CPU second, with 16 peers
SHOWN_MAX = 3  # failures of one world
GARBAGE_OBJECTS = 100_000  # new ones before the collector looks at the youngest


def main() -> int:
    options = _options()
    gc.set_threshold(GARBAGE_OBJECTS)
    with without(options.without):  # before the pool forks
        return _replay(Path(options.replay)) if options.replay else _search(options)


def _search(options: argparse.Namespace) -> int:
    started = time.monotonic()
    jobs = [_job(options, seed) for seed in range(options.first, options.first + options.seeds)]
    with ProcessPoolExecutor(options.jobs) as pool:
        results = []
        for job, result in zip(jobs, pool.map(_run, jobs), strict=False):
            results.append(result)
            if result["failures"]:
                _report(job, result, options.without)
                if options.until_one:
                    pool.shutdown(cancel_futures=True)
                    break
    summary = _summary(options, results)
    summary["took_s"] = round(time.monotonic() - started, 1)
    print(json.dumps(summary))
    return 1 if summary["failed"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=40, help="how many worlds")
    parser.add_argument("--first", type=int, default=1, help="the first one's seed")
    parser.add_argument("--world", default="today", help="a name in plans.py")
    parser.add_argument("--shape", default="", help="star, chain, gateways or mesh")
    parser.add_argument("--peers", type=int, default=0)
    parser.add_argument("--minutes", type=int, default=0)
    parser.add_argument("--per-minute", type=int, default=0, help="operations")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--without", default="", help="a mechanism in mutations.py to take out")
    parser.add_argument("--until-one", action="store_true", help="stop at the first failure")
    parser.add_argument("--replay", help="a script that failed")
    return parser.parse_args()


def _job(options: argparse.Namespace, seed: int) -> tuple[Any, ...]:
    return (options.world, seed, options.shape, options.peers, options.minutes, options.per_minute)


def _run(job: tuple[Any, ...]) -> dict[str, Any]:
    plan = make(*job)
    started = time.process_time()
    world = World(plan).run()
    return world.figures() | {
        "cpu_s": time.process_time() - started,
        "faults": world.faults,
        "peaks": world.peaks,
        "failures": world.failures,
        "seed": plan["seed"],
        "peers": len(plan["nodes"]),
    }


def _report(job: tuple[Any, ...], result: dict[str, Any], mutation: str) -> None:
    print(f"seed {result['seed']}:")
    for name, text in result["failures"][:SHOWN_MAX]:
        print(f"  {name}: {text}")
    plan = shrink(make(*job))
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{mutation or plan['world']}-{plan['seed']}.json"
    file.write_text(dump(plan))
    count = len(plan["script"])
    print(f"  make sim REPLAY={file.relative_to(ROOT)}    ({count} operations are enough)")


def dump(plan: dict[str, Any]) -> str:
    """Return a plan as JSON that a person can read: a line for each peer, wire and operation."""
    lines = []
    for name, value in plan.items():
        if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
            items = ",\n    ".join(json.dumps(item) for item in value)
            lines.append(f'  "{name}": [\n    {items}\n  ]')
        else:
            lines.append(f'  "{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _replay(file: Path) -> int:
    plan = json.loads(file.read_text())
    world = World(plan).run()
    for number, operation in zip(plan.get("numbers", []), plan["script"], strict=False):
        print(f"{number:5} {operation[0] / 1000:10.3f} s  {operation[1:]}")
    for name, text in world.failures:
        print(f"{name}: {text}")
    if world.error is not None:
        import traceback

        traceback.print_exception(world.error)
    failed = [name for name, _ in world.failures]
    print(json.dumps(world.figures() | {"failures": failed, "faults": world.faults}))
    return 1 if failed else 0


def _summary(options: argparse.Namespace, results: list[dict[str, Any]]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    peaks: dict[str, int] = {}
    for result in results:
        faults.update(result["faults"])
        for name in ("simulated_s", "cpu_s", "writes", "frames", "wire_bytes", "message_bytes"):
            total[name] += result[name]
        for name, peak in result["peaks"].items():
            peaks[name] = max(peak, peaks.get(name, peak))
    failed = Counter(result["failures"][0][0] for result in results if result["failures"])
    speed = total["simulated_s"] / max(total["cpu_s"], 0.001)
    return {
        "world": options.world,
        "seeds": len(results),
        "first": options.first,
        "failed": sum(failed.values()),
        "failures": dict(sorted(failed.items())),
        "simulated_s": total["simulated_s"],
        "simulated_s_per_cpu_s": round(speed),
        "goal_simulated_s_per_cpu_s": SPEED_GOAL,
        "writes": total["writes"],
        "message_bytes_per_write": round(total["message_bytes"] / max(total["writes"], 1)),
        "wire_bytes_per_write": round(total["wire_bytes"] / max(total["writes"], 1)),
        "faults": dict(sorted(faults.items())),
        "peaks": dict(sorted(peaks.items())),
    }


if __name__ == "__main__":
    sys.exit(main())
