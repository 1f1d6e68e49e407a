"""flash/boot.py on MicroPython: which slot starts, and whether with its application."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MICROPYTHON = ROOT / ".cache/bin/micropython"
PROGRAM = f"exec(open({str(ROOT / 'flash/boot.py')!r}).read()); print('=', slot, with_app)"


@pytest.fixture
def start(tmp_path):
    """Start the board whose file system is tmp_path; return (slot, with_app)."""

    def run():
        done = subprocess.run(
            [MICROPYTHON, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 0, done.stderr
        _, slot, with_app = done.stdout.splitlines()[-1].split()
        return slot, with_app == "True"

    return run


def test_a_new_board_starts_its_first_slot(start):
    assert start() == ("a", True)


def test_code_on_trial_gets_its_starts_and_then_what_worked_comes_back(start, tmp_path):
    (tmp_path / "slot").write_text("a")
    (tmp_path / "trial").write_text("b2")
    assert [start()[0] for _ in range(4)] == ["b", "b", "a", "a"]
    assert (tmp_path / "rolled_back").read_text() == "b"
    assert not (tmp_path / "trial").exists()


def test_code_that_proved_itself_stays(start, tmp_path):
    (tmp_path / "slot").write_text("b")
    assert start()[0] == "b"


def test_an_application_that_stops_every_start_is_left_out(start, tmp_path):
    assert [start()[1] for _ in range(7)] == [True] * 5 + [False] * 2
    (tmp_path / "starts").unlink()  # as running.py does when a start has gone well
    assert start()[1]


def test_code_on_trial_starts_with_its_application_whatever_was_before(start, tmp_path):
    (tmp_path / "starts").write_text(".....")
    (tmp_path / "trial").write_text("b2")
    assert [start() for _ in range(3)] == [("b", True), ("b", True), ("a", False)]


@pytest.mark.parametrize("content", ["", "b", "bx", "b\n", "zzz"])
def test_a_damaged_trial_ends_with_what_worked(start, tmp_path, content):
    (tmp_path / "slot").write_text("a")
    (tmp_path / "trial").write_text(content)
    assert start()[0] == "a"
    assert start() == ("a", True)


def test_a_file_system_without_room_still_starts(start, tmp_path):
    (tmp_path / "starts.new").mkdir()  # cannot be replaced
    (tmp_path / "trial").write_text("b1")
    (tmp_path / "trial.new").mkdir()
    assert start() == ("b", True)
