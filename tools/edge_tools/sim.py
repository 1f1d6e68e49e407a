"""
`edge-peer sim`: run one simulated world, and draw it.

The simulator is part of the tests (tests/sim/), so this works from a checkout only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_tools.errors import ToolError

TESTS = Path(__file__).resolve().parents[2] / "tests"


def run(seed: int, world_name: str, replay: Path | None, html: Path | None) -> bool:
    """Run it, say what came of it, write the picture; return whether every invariant held."""
    if not (TESTS / "sim" / "world.py").exists():
        raise ToolError("the simulator is in tests/sim/ of a checkout, which this is not")
    sys.path[:0] = [str(TESTS.parent), str(TESTS)]
    from sim.picture import draw  # type: ignore[import-not-found]
    from sim.plans import WORLDS, make  # type: ignore[import-not-found]

    if replay is not None:
        plan = json.loads(replay.read_text())
    elif world_name in WORLDS:
        plan = make(world_name, seed)
    else:
        raise ToolError(f"no world {world_name}; there are {', '.join(WORLDS)}")
    world, picture = draw(plan)
    for name, text in world.failures:
        print(f"{name}: {text}")
    if html is not None:
        html.write_text(picture)
    print(json.dumps(world.figures() | {"failures": len(world.failures), "faults": world.faults}))
    return not world.failures
