import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).with_name("big.py")


@pytest.mark.slow
def test_the_last_line_of_a_quick_run_is_one_json_object_of_figures():
    environment = os.environ | {"PYTHONPATH": str(BENCH.parents[1])}
    done = subprocess.run(
        [sys.executable, BENCH, "--quick"],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {"ingested_per_s", "visible_p99_ms", "execute_by_id_per_s"} <= set(figures)
    assert {"webhooks_per_s", "idle_memory_mb", "reconnected_s"} <= set(figures)
    assert all(list(one) == ["ours", "reference", "goal", "met"] for one in figures.values())
