"""The demo as a new user runs it."""

import re
import subprocess
import sys

import pytest

from edge_tools.demo import check_equal
from edge_tools.errors import DemoFailed
from edge_tools.readings import readings_of

LIMIT_S = 120


@pytest.mark.slow
def test_once_compares_every_value_and_sums_up(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "edge_tools", "demo", "--once", "--boards=2", "--rows=40"]
        + ["--rate=10", f"--keep={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = dict(re.findall(r"^│ (.*?) *│ (.*?) *│$", done.stdout, re.MULTILINE))
    assert figures["readings, every value as measured"] == "80 of 80"
    assert int(figures["readings that waited for the uplink"]) > 0
    assert float(figures["bytes on the serial lines per reading"]) < 100
    assert (tmp_path / "gateway.log").exists()


def test_a_value_that_changed_on_its_way_fails_the_demo():
    expected = readings_of(0, 3)
    items = [one._asdict() for one in expected]
    check_equal(expected, items)
    items[1]["temp"] += 0.1
    with pytest.raises(DemoFailed, match="(?s)2 mistakes.*missing.*never measured"):
        check_equal(expected, items)
