"""
A virtual machine with a real Linux kernel and a real BlueZ, for a program of ours.

    lines = run(Path("program.py"), timeout_s=200)      # what it printed; raises Failed

QEMU computes it (TCG), so it needs no rights and no /dev/kvm, and is slow: 20 s to boot and go
off again. Its root is this computer's, read-only; what the program writes is gone with it. Two
virtual controllers hear each other: hci0 and hci1. A fresh machine for each program.
"""

import shlex
import subprocess
import sys
from pathlib import Path

from rigs.vm import packages

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
GUEST = packages.FOLDER / "guest.sh"
BUS = packages.FOLDER / "bus.conf"
DONE = "program ended: "

BUS_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_type="method_call"/>
    <allow send_type="signal"/><allow send_requested_reply="true"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
  </policy>
</busconfig>
"""

# What is known to go wrong otherwise: more channels than one, and classic Bluetooth.
BLUEZ_CONFIG = "[General]\\nControllerMode = le\\n[GATT]\\nChannels = 1\\n"


class Failed(Exception):
    pass


def run(program: Path, timeout_s: int) -> list[str]:
    BUS.write_text(BUS_CONFIG)
    GUEST.write_text(guest(program))
    try:
        done = subprocess.run(
            command(), timeout=timeout_s, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"nothing after {timeout_s} s: {error.stdout!r}") from error
    lines = [line.strip() for line in done.stdout.splitlines()]
    if DONE + "0" not in lines:
        raise Failed(done.stdout[-8000:] + done.stderr)
    return lines[: lines.index(DONE + "0")]


def guest(program: Path) -> str:
    """Return what the machine runs: services, the program, and off."""

    def unpacked(path: str) -> str:
        return shlex.join(packages.program(path))

    busybox = packages.ROOT / "usr/bin/busybox"
    return f"""\
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PYTHONPATH={CHECKOUT}/tests
{busybox} ip link set lo up
{busybox} mkdir -p /run/dbus /var/lib/bluetooth /etc/bluetooth
{busybox} printf '{BLUEZ_CONFIG}' > /etc/bluetooth/main.conf
{unpacked("usr/bin/dbus-daemon")} --config-file={BUS} --fork
{unpacked("usr/libexec/bluetooth/bluetoothd")} -n >/dev/null 2>&1 &
{unpacked("usr/bin/btvirt")} -l2 >/dev/null 2>&1 &
{sys.executable} {program} 2>&1
echo "{DONE}$?"
{busybox} sync
echo o > /proc/sysrq-trigger
{busybox} sleep 10
"""


def command() -> list[str]:
    share = packages.ROOT / "usr/share"
    append = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check nokaslr"
    shared = "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
    return [
        *packages.program("usr/bin/qemu-system-x86_64"),
        *("-L", str(share / "qemu"), "-L", str(share / "seabios")),
        *("-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64"),
        *("-smp", "2", "-m", "2048", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-serial", "stdio", "-no-reboot"),
        *("-kernel", str(packages.kernel()), "-initrd", str(packages.INITRD)),
        *("-append", f"{append} guest={GUEST}"),
        *("-fsdev", shared, "-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
    ]
