import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).with_name("store.py")


def test_the_last_line_of_a_quick_run_is_one_json_object_of_figures():
    done = subprocess.run(
        [sys.executable, BENCH, "--quick"], check=True, capture_output=True, text=True
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert "insert_one_cpu_us" in figures
    for figure in figures.values():
        assert list(figure) == ["ours", "reference", "goal", "met"]
        assert figure["ours"] > 0 < figure["reference"]
