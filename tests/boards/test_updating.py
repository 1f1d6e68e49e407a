"""New code over the mesh, as a board takes it: MicroPython runs flash/updating.py in a folder."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from edge_peer.host import authority, permissions
from edge_peer.security.certificate import DEVICE
from edge_peer.security.identity import to_text
from edge_tools import update
from edge_tools.bundle import Bundle

ROOT = Path(__file__).parents[2]
MICROPYTHON = ROOT / ".cache/bin/micropython"
LIMIT_S = 60
BOARD = "RPI_PICO"
FILES = {"a/app.mpy": b"new" * 500, "a/edge_peer/core/ids.mpy": b"fix", "main.py": b"stays"}
NUMBER = 1000
TAKE = """
import asyncio, json, updating
from edge_peer import SmallPeer
peer = SmallPeer.open("edge.json")
row = json.loads(open("row").read())
row["archive"] = peer.attach(open("archive", "rb"))
try:
    again = asyncio.run(updating.is_to_be_tried_again(peer, "a", row))
except SystemExit:  # a board resets
    again = False
told = peer.execute("SELECT * FROM edge_crashes").items
print("=" + json.dumps([again, [one.get("text") for one in told]]))
"""
WHILE_ON_TRIAL = """
import asyncio, json, os, updating
from edge_peer import SmallPeer
from running import read_file
updating.TRIAL_LOOK_S = 0
peer = SmallPeer.open("edge.json")
row = json.loads(open("row").read()) | {"_id": peer.name}
row["archive"] = peer.attach(open("archive", "rb"))
peer.execute("INSERT INTO edge_updates DOCUMENTS (:r)", {"r": row})
open("trial", "w").write("a2")
async def main():
    following = asyncio.create_task(updating.follow(peer, "a"))
    for _ in range(20_000):
        await asyncio.sleep(0)
    print("=" + json.dumps([os.listdir().count("b"), read_file("trial")]))
    os.remove("trial")
    await following
asyncio.run(main())
"""
CUT_EVERYWHERE = """
import io, updating
class Cut:
    def __init__(self, data, left):
        self._file, self._left = io.BytesIO(data), left
    def seek(self, at):
        self._file.seek(at)
    def read(self, size):
        self._left -= 1
        if self._left < 0:
            raise OSError("the power fails")
        return self._file.read(size)
data = open("archive", "rb").read()
count = 0
while True:
    try:
        updating.unpack(Cut(data, count), "b")
        break
    except OSError:
        count += 1
print("=" + str(count))
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    made = authority.create(tmp_path_factory.mktemp("app") / "factory.app")
    made.unlock()
    return made


@pytest.fixture
def board(app, tmp_path):
    """A board with an archive on it; .take(changes of its document) -> (again, what it told)."""
    return Board(app, tmp_path)


class Board:
    def __init__(self, app, folder):
        self.folder = folder
        identity = app.admit(
            f"pump-{folder.name}"[-20:],
            DEVICE,
            permissions.packed(permissions.EVERYTHING),
            0,
            1,
            True,
        )
        (folder / "identity.json").write_text(to_text(identity))
        storage = {"path": "flash.img", "blocks": 32, "attachments": {"quota_bytes": 20_000}}
        config = {"identity": "identity.json", "storage": storage, "links": []}
        (folder / "edge.json").write_text(json.dumps(config))
        (folder / "board.json").write_text(json.dumps({"name": BOARD, "updates": True}))
        about = {"board": BOARD, "app_id": app.app_id.hex(), "device": identity.certificate.name}
        self.archive = update.archive(Bundle(folder, about, FILES))
        self.app = app

    def take(self, archive=None, signature=None, number=NUMBER):
        self.write(self.archive if archive is None else archive, signature, number)
        return json.loads(self.run(TAKE))

    def write(self, data, signature=None, number=NUMBER):
        signed = self.app.sign_update(NUMBER, hashlib.sha256(data).digest()).hex()
        (self.folder / "archive").write_bytes(data)
        (self.folder / "row").write_text(
            json.dumps({"number": number, "signature": signature or signed})
        )

    def run(self, program):
        done = subprocess.run(
            [MICROPYTHON, "-X", "heapsize=2m", "-c", program],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env={"MICROPYPATH": f".:{ROOT / 'flash'}:{ROOT / 'boards/UNIX'}:{ROOT}:.frozen"},
        )
        [line] = [line for line in done.stdout.splitlines() if line.startswith("=")] or [
            pytest.fail(done.stdout + done.stderr)
        ]
        return line[1:]

    def has(self, name):
        path = self.folder / name
        return path.read_bytes() if path.exists() else None


def test_a_signed_archive_goes_into_the_other_slot_on_trial(board):
    (board.folder / "b").mkdir()
    (board.folder / "b/old.mpy").write_bytes(b"old")
    assert board.take() == [False, []]
    assert board.has("b/app.mpy") == FILES["a/app.mpy"]
    assert board.has("b/edge_peer/core/ids.mpy") == b"fix"
    assert board.has("b/old.mpy") is None and board.has("b/main.py") is None
    assert (board.has("trial"), board.has("update")) == (b"b3", b"1000")


def test_a_number_that_was_tried_is_not_tried_again(board):
    (board.folder / "update").write_text(str(NUMBER))
    assert board.take() == [False, []]
    assert board.has("trial") is None


def test_code_that_is_on_trial_takes_no_update_before_it_has_proven_itself(board):
    board.write(board.archive)
    assert json.loads(board.run(WHILE_ON_TRIAL)) == [0, "a2"]
    assert board.has("b/app.mpy") == FILES["a/app.mpy"]
    assert board.has("trial") == b"b3"


def with_head(archive, **changes):
    size = int.from_bytes(archive[4:6], "big")
    head = json.dumps(json.loads(archive[6 : 6 + size]) | changes).encode()
    return archive[:4] + len(head).to_bytes(2, "big") + head + archive[6 + size :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: with_head(data, board="RPI_PICO_W"), "it is for RPI_PICO_W"),
        (lambda data: with_head(data, files=[["../boot.py", 3]]), "paths that no slot has"),
        (lambda data: with_head(data, files=[["/boot.py", 3]]), "paths that no slot has"),
        (lambda data: data[:-1], "it ends too early"),
        (lambda data: b"nonsense" + data, "no archive"),
        (lambda data: data[:10], ""),
    ],
)
def test_an_archive_that_is_not_for_it_is_refused_and_told(board, change, words):
    again, told = board.take(change(board.archive))
    assert not again and len(told) == 1 and words in told[0]
    assert board.has("trial") is None and board.has("boot.py") is None


def test_what_the_authority_has_not_signed_is_refused(board):
    for forged in ({"signature": "00" * 64}, {"signature": "zz"}, {"number": NUMBER + 1}):
        again, told = board.take(**forged)
        assert not again and told
    assert board.has("trial") is None and board.has("b/app.mpy") is None


def test_the_power_may_fail_at_any_read_and_nothing_is_on_trial(board):
    (board.folder / "archive").write_bytes(board.archive)
    assert int(board.run(CUT_EVERYWHERE)) > 5
    assert board.has("b/app.mpy") == FILES["a/app.mpy"]
    assert board.has("trial") is None


# Whom it is for


def test_a_percentage_takes_all_that_a_smaller_one_took(tmp_path):
    folders = []
    for number in range(60):
        folder = tmp_path / f"pump-{number}.bundle"
        folder.mkdir()
        about = {"format": 1, "device": f"pump-{number}", "files": {}}
        (folder / "bundle.json").write_text(json.dumps(about))
        folders.append(folder)
    names = [
        {one.about["device"] for one in update.chosen([tmp_path], "*", percent)}
        for percent in (10, 30, 100)
    ]
    assert names[0] < names[1] < names[2] and len(names[2]) == 60
    assert {one.about["device"] for one in update.chosen(folders, "pump-1?", 100)} == {
        f"pump-{number}" for number in range(10, 20)
    }
