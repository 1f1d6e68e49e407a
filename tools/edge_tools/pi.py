"""
A Raspberry Pi: files that its first boot makes a peer of, or `deploy` for one that runs.

    NAME.bundle/            mode 0700; copied onto the boot partition as it is
        edge-peer/          edge.json, identity.json, the service, setup.sh, wheels if given
        user-data meta-data Trixie: cloud-init has edge-peer/setup.sh run
        firstrun.sh         Bookworm: the same, by one line in cmdline.txt

Both leave setup.sh to a service, which waits for a network and tries again until it is done.
It puts the package into a virtual environment of its own, as Debian asks (PEP 668), and
the identity where only the service's own user can read it; then it removes what it was given
from the boot partition, which everybody who has the card can read.
"""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from edge_peer.core.errors import ConfigError
from edge_peer.security.identity import Identity, to_text
from edge_tools.errors import ToolError

FOLDER = "edge-peer"
SERVICE = "edge-peer.service"
SETUP_SERVICE = "edge-peer-setup.service"
ON_BOOT = f"/boot/firmware/{FOLDER}"
VENV = "/opt/edge-peer"
STATE = "/var/lib/private/edge-peer"
BOOT_FOLDERS = "/boot/firmware /boot"
CMDLINE = (
    "systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot "
    "systemd.unit=kernel-command-line.target"
)

UNIT = f"""\
[Unit]
Description=edge-peer, a local-first database
Wants=network-online.target
After=network-online.target bluetooth.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={VENV}/bin/edge-peer run %S/edge-peer/edge.json
WatchdogSec=60
Restart=always
RestartSec=5
DynamicUser=yes
StateDirectory=edge-peer
StateDirectoryMode=0700
UMask=0077
SupplementaryGroups=dialout bluetooth
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateUsers=yes
DevicePolicy=closed
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-ttyAMA rw
DeviceAllow=char-ttyS rw
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_BLUETOOTH
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

SETUP = f"""\
#!/bin/sh
# Makes this computer an edge-peer: run as root, as often as you like.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
umask 077
if ! python3 -m venv --help >/dev/null 2>&1 || ! python3 -c 'import ensurepip' 2>/dev/null; then
    apt-get update && apt-get install -y --no-install-recommends python3-venv
fi
if ! {VENV}/bin/edge-peer --version >/dev/null 2>&1; then  # perhaps the power failed
    (umask 022; python3 -m venv --clear {VENV})
fi
own=$(find "$here" -name 'edge_peer-*.whl' | sort | tail -n 1)
offline=
[ "$(find "$here" -name '*.whl' | wc -l)" -le 1 ] || offline="--no-index --find-links=$here"
if [ -n "$own" ] || [ ! -x {VENV}/bin/edge-peer ]; then
    (umask 022; {VENV}/bin/pip install --upgrade $offline "${{own:-edge-peer}}[ble]")
fi
for group in dialout bluetooth; do getent group $group >/dev/null || groupadd -r $group; done
mkdir -p {STATE}
chmod 700 /var/lib/private {STATE}
install -m 600 "$here/edge.json" "$here/identity.json" {STATE}/
chown root:root {STATE}    # then systemd gives all of it to the service's user
install -m 644 "$here/{SERVICE}" /etc/systemd/system/{SERVICE}
systemctl daemon-reload
systemctl enable {SERVICE}
systemctl restart {SERVICE} || [ "${{1:-}}" = first-boot ]
case "$here" in
/boot*) rm -rf "$here" ;;
esac
echo "edge-peer is set up; systemctl status {SERVICE}"
"""

SETUP_UNIT = f"""\
[Unit]
Description=Set edge-peer up
Wants=network-online.target
After=network-online.target
ConditionPathExists={ON_BOOT}/setup.sh
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/bin/sh {ON_BOOT}/setup.sh first-boot
Restart=on-failure
RestartSec=30

[Install]
WantedBy=multi-user.target
"""

FIRSTRUN = f"""\
#!/bin/bash
# Raspberry Pi OS Bookworm runs this once, before it starts as usual.
set +e
install -m 644 {ON_BOOT}/{SETUP_SERVICE} /etc/systemd/system/    # FAT says executable
systemctl enable {SETUP_SERVICE}
rm -f /boot/firmware/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/firmware/cmdline.txt
exit 0
"""

# Raspberry Pi OS Trixie and later.
RUN = (
    f"- [install, -m, '644', {ON_BOOT}/{SETUP_SERVICE}, /etc/systemd/system/]",
    f"- [systemctl, enable, --now, --no-block, {SETUP_SERVICE}]",
)
CLOUD_CONFIG = "#cloud-config"
USER_DATA, META_DATA = "user-data", "meta-data"


def make(
    folder: Path, identity: Identity, config: dict[str, Any], hostname: str, wheel: Path | None
) -> None:
    """Write the files of one Raspberry Pi, in place of those that are there.

    wheel: edge-peer's, or a folder with it and all that it needs: then no internet is needed.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    inner = part / FOLDER
    part.mkdir(mode=0o700, parents=True)
    inner.mkdir(mode=0o700)
    meta = f"instance-id: edge-peer-{identity.certificate.serial}\nlocal-hostname: {hostname}\n"
    contents = {
        part / USER_DATA: with_run(""),
        part / META_DATA: meta,
        part / "firstrun.sh": FIRSTRUN,
        inner / "setup.sh": SETUP,
        inner / SERVICE: UNIT,
        inner / SETUP_SERVICE: SETUP_UNIT,
        inner / "edge.json": json.dumps(config, indent=1) + "\n",
        inner / "identity.json": to_text(identity),
    }
    for path, text in contents.items():
        path.touch(mode=0o600)
        path.write_text(text)
    if wheel is not None:
        for one in sorted(wheel.glob("*.whl")) if wheel.is_dir() else [wheel]:
            shutil.copy(one, inner)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)


def with_run(user_data: str) -> str:
    """Return cloud-init's user-data that also has edge-peer set up, whatever else it does.

    Raises ConfigError where it runs commands in a way that is not understood here.
    """
    if RUN[0] in user_data:
        return user_data
    if not user_data.startswith(CLOUD_CONFIG):
        if any(line.strip() and not line.startswith("#") for line in user_data.splitlines()):
            raise ConfigError(f"{USER_DATA} does not begin with {CLOUD_CONFIG}")
        user_data = f"{CLOUD_CONFIG}\n"
    lines = user_data.rstrip("\n").splitlines()
    places = [at for at, line in enumerate(lines) if line.startswith("runcmd:")]
    if not places:
        return "\n".join([*lines, "runcmd:", *(f"  {one}" for one in RUN)]) + "\n"
    after = places[0] + 1
    first = lines[after] if after < len(lines) else ""
    if lines[places[0]].strip() != "runcmd:" or not first.lstrip().startswith("- "):
        raise ConfigError(f"{USER_DATA} has a runcmd; add to it by hand: {' '.join(RUN)}")
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join([*lines[:after], *(indent + one for one in RUN), *lines[after:]]) + "\n"


def to_boot_partition(folder: Path, partition: Path) -> None:
    """Copy them onto the boot partition of a card that was just written. Raises ConfigError.

    What Raspberry Pi Imager has put there for cloud-init, users and networks, stays.
    """
    cmdline = partition / "cmdline.txt"
    if not cmdline.exists():
        raise ConfigError(f"{partition} is no boot partition of Raspberry Pi OS: no cmdline.txt")
    there = {
        name: (partition / name).read_text()
        for name in (USER_DATA, META_DATA)
        if (partition / name).exists()
    }
    there[USER_DATA] = with_run(there.get(USER_DATA, ""))
    shutil.copytree(folder, partition, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for name, text in there.items():
        (partition / name).write_text(text)
    line = cmdline.read_text().rstrip("\n")
    if not (partition / "network-config").exists() and "systemd.run=" not in line:  # Bookworm
        cmdline.write_text(f"{line} {CMDLINE}\n")


def deploy(folder: Path, target: str, ssh: tuple[str, ...] = ("ssh",)) -> None:
    """Set a Raspberry Pi up that runs, over ssh. Raises ConfigError, ToolError."""
    inner = folder / FOLDER
    if not (inner / "setup.sh").exists():
        raise ConfigError(f"{folder} is none of a Raspberry Pi: provision --board RASPBERRY_PI")
    if target.startswith("-"):
        raise ConfigError(f"{target!r} is not user@host")
    script = (
        'set -e; d=$(mktemp -d); trap "rm -rf $d" EXIT; chmod 700 "$d"; tar -x -C "$d"; '
        f'sudo sh "$d"/{shlex.quote(FOLDER)}/setup.sh'
    )
    packing = subprocess.Popen(["tar", "-c", "-C", str(folder), FOLDER], stdout=subprocess.PIPE)
    done = subprocess.run([*ssh, target, script], stdin=packing.stdout)
    packing.wait()
    if done.returncode:
        raise ToolError(
            f"{target} refused or failed ({done.returncode}); does `ssh {target} sudo true` "
            "work? It is safe to run the same again"
        )
