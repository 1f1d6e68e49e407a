"""The host tool imports and calls nothing that only POSIX has (like_windows.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

LIKE_WINDOWS = Path(__file__).with_name("like_windows.py")
LIMIT_S = 60


def edge_peer(folder, *arguments):
    done = subprocess.run(
        [sys.executable, LIKE_WINDOWS, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_from_an_app_to_bundles_and_labels(tmp_path):
    assert edge_peer(tmp_path, "app", "create", "factory")[0] == 0
    (tmp_path / "fleet.csv").write_text("name,board,code\npump,RPI_PICO,firmware\n")
    wanted = ["--csv", "fleet.csv", "--serial", "0", "--labels", "labels.html"]
    code, said = edge_peer(tmp_path, "provision", *wanted)
    assert code == 0, said
    assert (tmp_path / "pump.bundle/files.uf2").exists()
    code, said = edge_peer(tmp_path, "device", "list")
    assert code == 0 and "pump" in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "provision"),
        (["boards", "show", "RPI_PICO"], 0, "heap"),
        (["doctor"], 0, "package mpremote"),
        (["flash", "no.bundle"], 2, "is no bundle"),
        (["monitor", "COM99", "--seconds", "1"], 1, "COM99"),
        (["run", "no.json"], 2, "no.json"),
    ],
)
def test_every_command_gets_as_far_as_elsewhere(tmp_path, arguments, code, words):
    found, said = edge_peer(tmp_path, *arguments)
    assert (found, words in said) == (code, True), said
