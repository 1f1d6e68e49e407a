import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_the_last_line_is_one_json_object_and_bytes_are_those_of_the_goals():
    done = subprocess.run(
        [sys.executable, TESTS / "bench/security.py", "--no-pico"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    for figure in figures.values():
        assert list(figure) == ["ours", "goal", "met"]
        assert figure["ours"] > 0
    for name in ("full_bytes", "resumed_bytes", "record_overhead_bytes"):
        assert figures[name]["met"], name
