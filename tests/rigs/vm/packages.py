"""
What the virtual machine with a real BlueZ needs: `make bluez-vm` (once, a minute or two).

QEMU, a kernel, BlueZ, its virtual controllers and D-Bus are Debian trixie's, unpacked in a
private folder and never installed: tools/debian_packages.py says how. The machine's root is this
computer's, read-only, so nothing is built and nothing is copied but kernel modules.

    .cache/vm/root/         the unpacked packages
    .cache/vm/initrd.gz     what the kernel starts with (init.sh)
"""

import gzip
import lzma
import shutil
import subprocess
import sys
from pathlib import Path

import bootstrap
import debian_packages
from bootstrap import Step

HERE = Path(__file__).parent
FOLDER = HERE.parents[2] / ".cache/vm"
ROOT = FOLDER / "root"
INITRD = FOLDER / "initrd.gz"
TREE = FOLDER / "initrd"

NAMES = ["qemu-system-x86", "seabios", "linux-image-amd64", "bluez", "bluez-test-tools"]
NAMES += ["dbus-daemon", "busybox-static", "cpio"]

# In the order in which they must be there: what BlueZ's ECDH needs comes before it.
MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "ecb", "cmac", "aes_generic", "ccm"]
MODULES += ["ctr", "sha512_generic", "jitterentropy_rng", "drbg", "ecdh_generic", "sha256_generic"]
MODULES += ["algif_hash", "algif_skcipher", "hmac", "uhid", "bluetooth", "hci_vhci"]


def is_there() -> bool:
    return INITRD.exists()


def main() -> None:
    command = [sys.executable, __file__, "make"]
    sources = [Path(__file__), HERE / "init.sh"]
    advice = "Check the network and this machine's apt sources, then run the same again."
    step = Step("Bluetooth machine", command, sources, FOLDER / "stamp", 90, advice)
    bootstrap.make([[step]])


def make() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    work = FOLDER / "apt"
    work.mkdir(parents=True)
    for package in debian_packages.download(NAMES, debian_packages.SUITE, work):
        debian_packages.run("dpkg-deb", "-x", str(package), str(ROOT))
    shutil.rmtree(work)
    make_initrd()


def program(path: str) -> list[str]:
    """Return the beginning of a command that runs an unpacked program with its libraries."""
    [loader] = ROOT.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")
    libraries = f"{loader.parent}:{loader.parent}/pulseaudio"
    return [str(loader), "--library-path", libraries, str(ROOT / path)]


def kernel() -> Path:
    [image] = ROOT.glob("boot/vmlinuz-*")
    return image


def make_initrd() -> None:
    modules = kernel_modules()
    shutil.rmtree(TREE, ignore_errors=True)
    for folder in ("bin", "proc", "sys", "dev", "modules", "mnt"):
        (TREE / folder).mkdir(parents=True)
    shutil.copy(ROOT / "usr/bin/busybox", TREE / "bin")
    for number, path in enumerate(modules):
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
        (TREE / "modules" / f"{number:03}.ko").write_bytes(data)
    init = TREE / "init"
    shutil.copy(HERE / "init.sh", init)
    init.chmod(0o755)
    files = "\n".join(str(one.relative_to(TREE)) for one in sorted(TREE.rglob("*")))
    archive = subprocess.run(
        [*program("usr/bin/cpio"), "-o", "-H", "newc", "--quiet"],
        cwd=TREE,
        input=files.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    INITRD.write_bytes(gzip.compress(archive.stdout, 1))
    shutil.rmtree(TREE)


def kernel_modules() -> list[Path]:
    """Return the files of MODULES and all that they need, those first that others need."""
    [folder] = [one for one in ROOT.glob("usr/lib/modules/*") if one.is_dir()]
    found: list[Path] = []
    names = {one.name.split(".ko")[0].replace("-", "_"): one for one in folder.rglob("*.ko*")}

    def add(name: str) -> None:
        path = names.get(name)
        if path is None or path in found:
            return  # built in, or there already
        for other in dependencies(path):
            add(other)
        found.append(path)

    for name in MODULES:
        add(name)
    return found


def dependencies(path: Path) -> list[str]:
    """Return what a module's own header says that it needs."""
    data = path.read_bytes()
    data = lzma.decompress(data) if path.suffix == ".xz" else data
    start = data.index(b"depends=") + len(b"depends=")
    text = data[start : data.index(b"\0", start)].decode()
    return [name.replace("-", "_") for name in text.split(",") if name]


if __name__ == "__main__":
    make() if sys.argv[1:] == ["make"] else main()
