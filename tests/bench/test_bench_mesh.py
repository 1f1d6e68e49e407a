import json
import subprocess
import sys
from pathlib import Path

import mesh
import pytest

BENCH = Path(mesh.__file__)


def counting():
    found = mesh.measure(mesh.Plan(1, 60, 5), lambda: None)
    assert found["sessions"] > 20 and found["writes"] > 10
    return found


def test_cursors_alone_send_more_records_of_the_same_writes():
    ours = counting()
    with mesh.cursors_alone():
        theirs = counting()
    assert counting() == ours  # it is taken out for the reference only
    assert ours["writes"] == theirs["writes"]
    assert ours["redundant"] < theirs["redundant"]


@pytest.mark.slow
def test_the_last_line_is_one_json_object_of_figures():
    arguments = [sys.executable, BENCH, "--steps", "100"]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    for figure in mesh.FIGURES:
        assert list(figures[figure.name]) == ["ours", "reference", "goal", "met"]
