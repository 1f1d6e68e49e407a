"""
A Raspberry Pi: files that its first boot makes a peer of, or `deploy` for one that runs.

    NAME.bundle/            mode 0700; copied onto the boot partition as it is
        edge-peer/          edge.json, identity.json, the service, setup.sh, a wheel if given
        user-data meta-data Trixie: cloud-init runs edge-peer/setup.sh
        firstrun.sh         Bookworm: the same, by one line in cmdline.txt

setup.sh puts the package into a virtual environment of its own, as Debian asks (PEP 668), and
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
[ -x {VENV}/bin/python ] || (umask 022; python3 -m venv {VENV})
wheel=$(find "$here" -name '*.whl' | head -n 1)
if [ -n "$wheel" ] || [ ! -x {VENV}/bin/edge-peer ]; then
    (umask 022; {VENV}/bin/pip install --upgrade "${{wheel:-edge-peer}}[ble]")
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

FIRSTRUN = f"""\
#!/bin/bash
# Raspberry Pi OS Bookworm runs this once, before it starts as usual. Without a network yet,
# it leaves the rest to a service that runs when there is one.
set +e
cat > /etc/systemd/system/edge-peer-setup.service <<'UNIT'
[Unit]
Description=Set edge-peer up
Wants=network-online.target
After=network-online.target
ConditionPathExists=/boot/firmware/{FOLDER}/setup.sh
[Service]
Type=oneshot
ExecStart=/bin/sh /boot/firmware/{FOLDER}/setup.sh
Restart=on-failure
RestartSec=30
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable edge-peer-setup.service
rm -f /boot/firmware/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/firmware/cmdline.txt
exit 0
"""

USER_DATA = f"""\
#cloud-config
# Raspberry Pi OS Trixie and later.
packages: [python3-venv]
runcmd:
  - [sh, /boot/firmware/{FOLDER}/setup.sh, first-boot]
"""


def make(
    folder: Path, identity: Identity, config: dict[str, Any], hostname: str, wheel: Path | None
) -> None:
    """Write the files of one Raspberry Pi, in place of those that are there."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    inner = part / FOLDER
    part.mkdir(mode=0o700, parents=True)
    inner.mkdir(mode=0o700)
    meta = f"instance-id: edge-peer-{identity.certificate.serial}\nlocal-hostname: {hostname}\n"
    contents = {
        part / "user-data": USER_DATA,
        part / "meta-data": meta,
        part / "firstrun.sh": FIRSTRUN,
        inner / "setup.sh": SETUP,
        inner / SERVICE: UNIT,
        inner / "edge.json": json.dumps(config, indent=1) + "\n",
        inner / "identity.json": to_text(identity),
    }
    for path, text in contents.items():
        path.touch(mode=0o600)
        path.write_text(text)
    if wheel is not None:
        shutil.copy(wheel, inner)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)


def to_boot_partition(folder: Path, partition: Path) -> None:
    """Copy them onto the boot partition of a card that was just written. Raises ConfigError."""
    cmdline = partition / "cmdline.txt"
    if not cmdline.exists():
        raise ConfigError(f"{partition} is no boot partition of Raspberry Pi OS: no cmdline.txt")
    shutil.copytree(folder, partition, dirs_exist_ok=True, copy_function=shutil.copyfile)
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
