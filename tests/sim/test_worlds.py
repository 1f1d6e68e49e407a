"""Worlds that must hold, whatever happens in them; `make sim SEEDS=…` runs more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sim.plans import make
from sim.world import World

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / ".cache/bin/micropython"
QUICK_SEEDS = range(1, 5)
SEEDS = range(5, 41)

ON_MICROPYTHON = """
import sys
sys.path[:0] = [".", "tests"]
from sim.plans import make
from sim.world import World
for shape in ("star", "chain", "gateways", "mesh"):
    world = World(make("today", 3, shape, 4, 1, 30)).run()
    print("%08x" % world.trace, world.failures)
"""


def check(plan):
    world = World(plan).run()
    assert not world.failures, f"make sim SEED0={plan['seed']} SEEDS=1: {world.failures[:3]}"
    return world


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_a_small_world_holds(seed):
    check(make("today", seed))
    check(make("order", seed))
    check(make("move", seed))
    check(make("signed", seed))
    check(make("repair", seed))
    check(make("strangers", seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_world_holds(seed):
    check(make("today", seed))
    check(make("order", seed))
    check(make("move", seed))
    check(make("signed", seed))
    if seed % 3 == 0:
        check(make("repair", seed))


@pytest.mark.slow
def test_a_mesh_of_16_holds():
    check(make("today", 1, "mesh", 16, 5, 20))


def test_the_same_plan_is_the_same_world():
    plan = make("today", 3)
    first = check(plan)
    second = check(json.loads(json.dumps(plan)))
    assert first.figures() == second.figures()
    assert check(make("today", 4)).trace != first.trace


@pytest.mark.slow
def test_both_pythons_run_the_same_world():
    command = [MICROPYTHON, "-X", "heapsize=32m", "-c", ON_MICROPYTHON]
    board = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = [sys.executable, "-c", ON_MICROPYTHON]
    host = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert board == host
    assert host.count("[]") == 4
