import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.timeout(600)
def test_the_last_line_of_a_quick_run_is_one_json_object_of_figures():
    done = subprocess.run(
        [sys.executable, TESTS / "bench/pico.py", "--quick"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {"insert_single_per_s", "longest_call_ms", "erases_per_insert"} <= set(figures)
    for figure in figures.values():
        assert list(figure) == ["ours", "goal", "met"]
        assert figure["ours"] > 0
