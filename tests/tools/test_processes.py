"""A program that we start is stopped, explained when it fails, and never outlives us."""

import os
import subprocess
import sys
import time

import pytest

from edge_tools.errors import ProcessFailed
from edge_tools.processes import Process, stop_all

LIMIT_S = 10


def until(condition):
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_ends_by_itself_is_named_with_its_last_words(tmp_path):
    process = Process("teapot", ["sh", "-c", "echo I am short; exit 3"], tmp_path / "log")
    until(lambda: not process.is_running())
    with pytest.raises(ProcessFailed, match="(?s)teapot ended with code 3.*I am short"):
        process.check()


def test_all_are_stopped_also_who_does_not_listen(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_tools.processes.STOP_LIMIT_S", 0.3)
    good = Process("good", ["sleep", "60"], tmp_path / "good")
    deaf = Process("deaf", ["sh", "-c", "trap '' TERM; echo ready; sleep 60"], tmp_path / "deaf")
    until(lambda: "ready" in deaf.tail())
    stop_all([good, deaf])
    assert not good.is_running() and not deaf.is_running()


def test_programs_end_when_we_are_killed_outright(tmp_path):
    source = (
        "import sys, time, pathlib; from edge_tools.processes import Process\n"
        f"process = Process('child', ['sleep', '60'], pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "print(process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    until(lambda: os.path.basename(os.readlink(f"/proc/{child}/exe")) == "sleep")
    parent.kill()
    parent.communicate()
    until(lambda: not is_alive(child))
