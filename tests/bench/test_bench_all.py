import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).with_name("all.py")


def test_one_table_has_what_the_benchmarks_found():
    done = subprocess.run([sys.executable, BENCH, "size"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "│ size" in done.stdout and "source_lines" in done.stdout and "<= 3000" in done.stdout
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["source_lines"]["ours"] > 0


def test_a_benchmark_that_does_not_exist_is_named_with_those_that_do():
    done = subprocess.run([sys.executable, BENCH, "speed"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no speed, there are store, flash," in done.stderr
