"""What a statement loads, for the heap of a board: asked of a process that has run one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from memory import open_store
from edge_peer.core import codec
from edge_peer.core.query.execute import Executor

execute = Executor(open_store(), codec).execute
execute("INSERT INTO x DOCUMENTS (:d)", {"d": {"_id": "a", "n": 1}})
execute(sys.argv[1], {"d": {"n": 1}})
print(*[name.split(".")[-1] for name in sys.modules if name.startswith("edge_peer.core.")])
"""
LANGUAGE = {
    *("expression", "evaluate", "find", "view", "unpack", "prefilter", "kinds"),
    *("select", "group", "grammar_select", "change", "grammar_change", "plan", "grammar_index"),
}
BY_ID = {"expression", "evaluate", "find", "view", "unpack"}


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("INSERT INTO x DOCUMENTS (:d)", set()),
        ("SELECT * FROM x WHERE _id = 'a'", BY_ID | {"select", "grammar_select"}),
        ("SELECT * FROM x WHERE n = 1", BY_ID | {"select", "grammar_select", "prefilter"}),
        (
            "SELECT COUNT(*) AS c FROM x WHERE _id = 'a'",
            BY_ID | {"select", "grammar_select", "group"},
        ),
        ("UPDATE x SET n = 2 WHERE _id = 'a'", BY_ID | {"change", "grammar_change"}),
        ("DELETE FROM x WHERE _id = 'a'", BY_ID | {"change", "grammar_change", "kinds"}),
    ],
)
def test_a_statement_loads_what_it_needs_and_no_more(statement, loaded):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, statement],
        cwd=ROOT / "tests",
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) & LANGUAGE == loaded
