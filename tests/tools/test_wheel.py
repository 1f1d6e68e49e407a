"""What `pipx install` gives: the wheel in an environment of its own, away from the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from edge_tools.places import ROOT

LIMIT_S = 120


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the command `edge-peer` of the built wheel; packages it needs are ours."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    building = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder]
    run(folder, *pip, *building, ROOT)
    [wheel] = folder.glob("edge_peer-*.whl")
    run(folder, sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv/bin/python"
    run(folder, *pip, f"--python={python}", "install", "--no-deps", "--no-index", wheel)
    packages = Path(sysconfig.get_path("purelib"))
    [target] = (folder / "venv/lib").glob("python*/site-packages")
    for path in packages.iterdir():  # all but ours, which a .pth file points to
        if not (target / path.name).exists() and "edge_peer" not in path.name:
            (target / path.name).symlink_to(path)
    return folder / "venv/bin"


def run(folder, *command):
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_board_is_provisioned_by_what_is_installed_alone(installed, tmp_path):
    where = run(tmp_path, installed / "python", "-c", "import edge_peer; print(edge_peer.__file__)")
    assert ROOT not in Path(where.strip()).parents
    run(tmp_path, installed / "edge-peer", "app", "create", "factory")
    assert "RPI_PICO_W" in run(tmp_path, installed / "edge-peer", "boards")
    wanted = ["--board", "ESP32_GENERIC", "--serial", "1", "--code", "firmware"]
    run(tmp_path, installed / "edge-peer", "provision", "pump", *wanted)
    assert (tmp_path / "pump.bundle/files/boot.py").exists()
    wanted = ["--board", "RPI_PICO", "--serial", "0", "--code", "files"]
    run(tmp_path, installed / "edge-peer", "provision", "tank", *wanted)
    assert (tmp_path / "tank.bundle/files/a/edge_peer/peer.mpy").exists()
    assert "ok" in run(tmp_path, installed / "edge-peer", "doctor")


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_its_commands(installed, tmp_path, shell):
    script = run(tmp_path, installed / "edge-peer", "--show-completion", shell)
    assert "edge-peer" in script
    if shell == "bash" and shutil.which("bash"):
        asked = f"{script}\nCOMP_WORDS=(edge-peer prov); COMP_CWORD=1\n"
        asked += '_edge_peer_completion edge-peer prov edge-peer; echo "${COMPREPLY[@]}"'
        path = {**os.environ, "PATH": f"{installed}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", asked], env=path, capture_output=True, text=True)
        assert done.stdout.strip() == "provision", done
