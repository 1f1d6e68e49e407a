"""A virtual board holds what a flashed one holds, and runs its application on a small heap."""

import time

import pytest

from edge_tools import virtual_board
from edge_tools.manifest import flashed_files
from edge_tools.places import MANIFEST, ROOT

LIMIT_S = 20
CONFIG = {
    "app_id": "00" * 16,
    "device": {"id": "aabb", "name": "lonely"},
    "storage": {"path": "flash.img", "blocks": 8, "documents_max": 100},
    "links": [],
    "info_interval_s": 0,
}
APPLICATION = """
import sys
from edge_peer import core

async def main(peer):
    print("implementation", sys.implementation.name, "from", core.__file__)
    for n in range(10):
        peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"n": n}})
    print("documents", peer.status()["documents"])
"""


@pytest.fixture
def board(tmp_path):
    (tmp_path / "application.py").write_text(APPLICATION)
    board = virtual_board.make(tmp_path / "board", CONFIG, tmp_path / "application.py", {"a": "b"})
    yield board
    if board.process is not None:
        board.process.stop()


def wait_for_line(board, line):
    deadline_s = time.monotonic() + LIMIT_S
    while line not in board.process.tail().splitlines():
        board.process.check()
        assert time.monotonic() < deadline_s, board.process.tail()
        time.sleep(0.01)


def test_its_rom_holds_what_the_manifest_lists_and_no_sources(board):
    listed = {path.relative_to(ROOT).with_suffix(".mpy") for path in flashed_files(MANIFEST)}
    inside = {name for name in virtual_board.code() if "/" in name}
    assert inside == {path.as_posix() for path in listed}
    assert (board.folder / "a").read_text() == "b"
    assert [path.name for path in board.folder.rglob("*.py")] == ["start.py"]


def test_its_documents_survive_a_power_cut(board):
    board.start()
    wait_for_line(board, "implementation micropython from /rom/edge_peer/core/__init__.mpy")
    wait_for_line(board, "documents 10")
    board.process.kill()
    board.start()
    wait_for_line(board, "documents 20")
