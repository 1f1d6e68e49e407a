"""`edge-peer provision`: from an app and a line of text to what a board gets."""

import json
import os
import re
import stat
import subprocess
import sys

import pytest

from edge_peer.security.identity import from_text
from edge_tools import bundle

COMMAND = [sys.executable, "-m", "edge_tools"]
APP = "async def main(peer):\n    pass\n"


@pytest.fixture
def edge_peer(tmp_path):
    """Run a command in a folder of its own, where there is an app; return (code, what it said)."""

    def run(*arguments):
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env=dict(os.environ),
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    run("app", "create", "factory")
    (tmp_path / "app.py").write_text(APP)
    return run


PUMP = ("provision", "pump", "--board", "RPI_PICO", "--serial", "0", "--code", "firmware")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_has_a_devices_identity_its_links_and_its_application(edge_peer, tmp_path):
    code, said = edge_peer(*PUMP, "--code", "files", "--application", "app.py")
    assert code == 0 and "edge-peer flash pump.bundle" in said
    made = bundle.read(tmp_path / "pump.bundle")
    config = json.loads(made.files["edge.json"])
    assert config["links"] == [{"kind": "serial", "uart": 0, "tx": 0, "rx": 1}]
    assert config["storage"]["pinned"] == "/edge_log"
    identity = from_text(made.files["identity.json"].decode())
    assert identity.certificate.name == made.about["device"] == "pump"
    assert {"boot.py", "main.py", "a/app.mpy", "a/edge_peer/board/serial.mpy"} <= set(made.files)
    assert not any("host" in path or "bigpeer" in path for path in made.files)


def test_only_its_owner_can_read_it(edge_peer, tmp_path):
    edge_peer(*PUMP)
    for path in [tmp_path / "pump.bundle", *(tmp_path / "pump.bundle").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_making_it_again_gives_the_same_bytes(edge_peer, tmp_path):
    edge_peer(*PUMP, "--application", "app.py")
    first = contents(tmp_path / "pump.bundle")
    assert edge_peer(*PUMP, "--application", "app.py")[0] == 0
    assert contents(tmp_path / "pump.bundle") == first


def test_a_key_is_made_anew_only_by_force(edge_peer, tmp_path):
    key = tmp_path / "pump.identity.json"
    edge_peer(*PUMP)
    first = key.read_bytes()
    edge_peer(*PUMP, "--permissions", '{"read": {"everything": true}}')
    assert key.read_bytes() == first
    assert edge_peer(*PUMP, "--force")[0] == 0
    assert key.read_bytes() != first
    assert "revoked" in edge_peer("device", "list")[1]


def test_with_its_code_in_firmware_a_bundle_is_small(edge_peer, tmp_path):
    edge_peer(*PUMP, "--application", "app.py")
    made = bundle.read(tmp_path / "pump.bundle")
    assert sum(map(len, made.files.values())) < 9_000  # 2,976 of them the table
    assert not any("edge_peer" in path for path in made.files)


def test_what_does_not_fit_is_shown_and_nobody_is_admitted(edge_peer, tmp_path):
    code, said = edge_peer("provision", "porch", "--board", "RPI_PICO_W", "--serial", "0")
    assert code == 1 and "heap" in said and "--code firmware" in said
    assert not (tmp_path / "porch.identity.json").exists()
    assert "porch" not in edge_peer("device", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--board", "RPI_PICO_X", "--serial", "0"], "known are"),
        (["--board", "RPI_PICO"], "it has no link"),
        (["--board", "RPI_PICO", "--serial", "zero"], "number of a UART"),
        (["--board", "RPI_PICO", "--lan", "gateway"], "has no lan"),
        (["--board", "RPI_PICO_W", "--mqtt", "b", "--wifi", "home"], "EDGE_PEER_WIFI_PASSWORD"),
        (["--board", "RPI_PICO", "--serial", "0", "--wifi", "home"], "has no Wi-Fi"),
        (["--board", "RPI_PICO_W", "--ble", "perhaps"], "ble is yes or no"),
        (["--board", "RPI_PICO", "--serial", "0", "--application", "gone.py"], "no gone.py"),
        (["--board", "RPI_PICO", "--serial", "0", "--blocks", "400"], "does not fit"),
        (["--board", "RPI_PICO", "--serial", "0", "--role", "king"], "a role is one of"),
        (["--board", "RPI_PICO", "--serial", "0", "--permissions", "{"], "ermission"),
    ],
)
def test_a_mistake_is_named_and_changes_nothing(edge_peer, tmp_path, arguments, words):
    code, said = edge_peer("provision", "pump", "--code", "firmware", *arguments)
    assert code in (1, 2) and words in said
    assert not list(tmp_path.glob("pump.*"))


def test_an_application_that_does_not_compile_is_named_with_its_line(edge_peer, tmp_path):
    (tmp_path / "app.py").write_text("def main(:\n")
    code, said = edge_peer(*PUMP, "--application", "app.py")
    assert code == 2 and "app.py" in said and "line 1" in said


# Many


def test_a_hundred_come_from_a_csv_with_a_sheet_of_labels(edge_peer, tmp_path):
    rows = [f"pump-{n},RPI_PICO,0,firmware" for n in range(20)]
    (tmp_path / "fleet.csv").write_text("\n".join(["name,board,serial,code", *rows]))
    code, said = edge_peer("provision", "--csv", "fleet.csv", "-o", "out", "--labels", "l.html")
    assert code == 0 and said.count(".bundle: ") == 20
    assert len({from_text(p.read_text()).seed for p in tmp_path.glob("out/*.json")}) == 20
    page = (tmp_path / "l.html").read_text()
    assert page.count("<svg") == 20 and "pump-19" in page
    seed = from_text((tmp_path / "out/pump-3.identity.json").read_text()).seed.hex()
    assert seed not in page


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pump-57,RPI_PICO,zero", "number of a UART"),
        ("pump-57,RPI_PICO_Z,0", "no board"),
        ("pump-3,RPI_PICO,0", "line 5 already"),
        (",RPI_PICO,0", "a name has"),
        ("pump-57,RPI_PICO,0,more", "too many columns"),
    ],
)
def test_a_bad_line_57_is_named_before_anything_is_made(edge_peer, tmp_path, line, words):
    rows = [f"pump-{n},RPI_PICO,0" for n in range(80)]
    rows[55] = line  # the first line is the names of the columns
    (tmp_path / "fleet.csv").write_text("\n".join(["name,board,serial", *rows]))
    code, said = edge_peer("provision", "--csv", "fleet.csv", "-o", "out", "--code", "firmware")
    flat = re.sub(r"\s+", " ", said)
    assert code == 2 and "line 57" in flat and words in flat
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert "pump" not in edge_peer("device", "list")[1]


def test_a_column_that_nobody_knows_is_named(edge_peer, tmp_path):
    (tmp_path / "fleet.csv").write_text("name,bord\npump,RPI_PICO\n")
    code, said = edge_peer("provision", "--csv", "fleet.csv")
    assert code == 2 and "'bord'" in said and "known are" in said


# Reading one


def test_a_file_that_was_changed_is_found(edge_peer, tmp_path):
    edge_peer(*PUMP)
    path = tmp_path / "pump.bundle/files/main.py"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(bundle.ConfigError, match="main.py was changed"):
        bundle.read(tmp_path / "pump.bundle")
