"""Writing a bundle onto a board: MicroPython itself runs what is asked of it, in a folder."""

import hashlib
import os
import random
import selectors
import subprocess
from pathlib import Path

import pytest
from app import APP, EVERYTHING

from edge_peer.security import certificate
from edge_tools import boards, bundle, fit
from edge_tools.install import Found, Installer, WrongBoard
from edge_tools.provision import edge_json
from edge_tools.repl import BoardError, BoardGone
from edge_tools.request import Request

MICROPYTHON = Path(__file__).parents[2] / ".cache/bin/micropython"
LIMIT_S = 20
SEEDS = range(100)
BOARD = boards.find("RPI_PICO")
FOUND = Found("Raspberry Pi Pico with RP2040", (1, 25, 0), 6, 1 << 20, "", "")

# Reads a program a line, as a literal; says what it printed, and then how it ended.
SERVER = r"""
import sys, io
scope = {}
while True:
    line = sys.stdin.readline()
    if not line: break
    try:
        exec(eval(line), scope)
        print("\x04OK")
    except Exception as error:
        print("\x04%r" % error)
"""


class UnixRepl:
    """MicroPython as a process, of which each program is one run; the cable is cut at a byte."""

    def __init__(self, cut_bytes=None):
        self._left = cut_bytes
        self._process = subprocess.Popen(
            [MICROPYTHON, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def run(self, program):
        self._spend(len(program))
        self._process.stdin.write(repr(program).encode() + b"\n")
        said = b""
        while b"\x04" not in said or not said.endswith(b"\n"):
            assert self._selector.select(LIMIT_S), "MicroPython hangs"
            got = os.read(self._process.stdout.fileno(), 65536)
            assert got, said
            said += got
        text, _, end = said.decode().rpartition("\x04")
        self._spend(len(text))
        if end != "OK\n":
            raise BoardError(end.strip())
        return text

    def _spend(self, count):
        """Lose power at that byte: what was asked before has happened, this one may not."""
        if self._left is not None:
            self._left -= count
            if self._left < 0:
                self.close()
                raise BoardGone("cut")

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def make(folder, app="async def main(peer): pass\n", name="pump", code=fit.IN_PLACE):
    source = folder / f"{name}.py"
    source.write_text(app)
    request = Request(name=name, board="RPI_PICO", serial="0")
    plan = bundle.Plan(name, BOARD, edge_json(request, BOARD), source, code)
    identity = APP.identity(
        name, certificate.DEVICE, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S
    )
    bundle.make(plan, identity, folder / f"{name}.bundle")
    return bundle.read(folder / f"{name}.bundle")


def install(made, root, cut_bytes=None):
    """Return how many bytes were written."""
    repl = UnixRepl(cut_bytes)
    try:
        installer = Installer(repl, made, f"{root}/")
        return installer.install(installer.probe(), lambda done, total: None)
    finally:
        repl.close()


def runs(root):
    """Return the files that the board would start with, path -> SHA-256; code without its slot."""
    slot = (root / "slot").read_text() if (root / "slot").exists() else "a"
    found = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and name.partition("/")[0] not in ("slot", {"a": "b", "b": "a"}[slot]):
            data = hashlib.sha256(path.read_bytes()).hexdigest()
            found["a/" + name[2:] if name.startswith(f"{slot}/") else name] = data
    return found


def expected(made):
    files = dict(made.files) | {"bundle.json": (made.folder / "bundle.json").read_bytes()}
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "board"
    path.mkdir()
    return path


def test_an_empty_board_gets_everything_and_the_second_time_nothing(tmp_path, root):
    made = make(tmp_path)
    assert install(made, root) == sum(map(len, made.files.values())) + len(
        (made.folder / "bundle.json").read_bytes()
    )
    assert runs(root) == expected(made)
    assert install(made, root) == 0


def test_new_code_goes_into_the_other_slot_and_back(tmp_path, root):
    slots = []
    for number in range(3):
        made = make(tmp_path, f"async def main(peer): print({number})\n")
        install(made, root)
        assert runs(root) == expected(made)
        slots.append((root / "slot").read_text())
    assert slots == ["a", "b", "a"]


def test_files_that_are_nobodys_stay(tmp_path, root):
    (root / "notes.txt").write_text("mine")
    install(make(tmp_path), root)
    assert (root / "notes.txt").read_text() == "mine"


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Two bundles of one device that differ in their application."""
    first, second = (tmp_path_factory.mktemp("bundles") for _ in range(2))
    old = make(first, "async def main(peer): print('old')\n")
    return old, make(second, "async def main(peer): print('new', '%s')\n" % ("x" * 5000))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_board_that_is_unplugged_at_any_byte_starts_as_before_or_as_after(
    tmp_path, root, versions, seed
):
    old, new = versions
    install(old, root)
    code = {path: sum_ for path, sum_ in expected(old).items() if path.startswith("a/")}
    with_new = {path: sum_ for path, sum_ in expected(new).items() if path.startswith("a/")}
    cut = random.Random(seed).randrange(24_000)
    try:
        install(new, root, cut)
    except BoardGone:
        now = {path: sum_ for path, sum_ in runs(root).items() if path.startswith("a/")}
        assert now in (code, with_new)
    install(new, root)
    assert {path: runs(root)[path] for path in expected(new)} == expected(new)


# Boards that must not get it


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine": "Raspberry Pi Pico W with RP2040"}, "for RPI_PICO, this is"),
        ({"version": (1, 22, 1)}, "MicroPython 1.22.1; 1.25.0 or a later"),
        ({"mpy": 5}, "mpy version 6"),
        ({"bundle": '{"app_id": "00", "device": "fan"}'}, "this board is fan"),
    ],
)
def test_another_board_is_named_and_left_alone(tmp_path, root, changes, words):
    made = make(tmp_path, code=fit.IN_RAM)
    repl = UnixRepl()
    with pytest.raises(WrongBoard, match=words):
        Installer(repl, made, f"{root}/").check(
            FOUND.__class__(**FOUND.__dict__ | changes), BOARD, False
        )
    repl.close()
    assert not list(root.iterdir())


def test_firmware_without_edge_peer_is_named(tmp_path, root):
    repl = UnixRepl()
    with pytest.raises(WrongBoard, match="no edge-peer in it"):
        Installer(repl, make(tmp_path), f"{root}/").check(FOUND, BOARD, False)
    repl.close()


def test_a_board_that_becomes_another_device_loses_the_others_data(tmp_path, root):
    install(make(tmp_path), root)
    (root / "edge_log").mkdir()
    (root / "edge_log/000").write_bytes(b"x")
    install(make(tmp_path, name="fan"), root)
    assert not (root / "edge_log").exists()
