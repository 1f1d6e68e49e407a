"""
MicroPython, mosquitto, and what looks at units and user-data, from Debian trixie, unpacked here.

Works as any user on Debian 12 and 13 and leaves the system alone: apt-get runs
with lists, caches and package database of its own and only downloads, dpkg-deb
only unpacks, no maintainer script runs and no service starts. Since that database
is empty, apt-get resolves every library down to libc, so the programs run on an
older system too. The mirror, the proxy and the keys are the machine's own.

    .cache/debian/          the unpacked packages
    .cache/bin/PROGRAM      a launcher that runs PROGRAM with the unpacked libraries
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = ROOT / ".cache/debian"
BIN = ROOT / ".cache/bin"
WORK = ROOT / ".cache/apt"  # removed at the end

SUITE = "trixie"

PACKAGES = ["micropython", "mosquitto", "systemd", "cloud-init"]
# Program: where its package puts it, arguments that prove that it starts, what it then says.
PROGRAMS = {
    "micropython": ("usr/bin/micropython", ["-c", "print('micropython', 1 + 1)"], "micropython 2"),
    "mosquitto": ("usr/sbin/mosquitto", ["-h"], "mosquitto version 2"),
    "systemd-analyze": ("usr/bin/systemd-analyze", ["--version"], "systemd 25"),
}

# Claimed to be there already: only mosquitto's service account needs it, and it
# brings PAM and the password tools along.
INSTALLED = """\
Package: adduser
Status: install ok installed
Version: 999
Architecture: all
Multi-Arch: foreign
"""

NO_DEBIAN = "MicroPython and mosquitto come from Debian 12 or 13, but this machine lacks %s."

LAUNCHER = """\
#!/bin/sh
exec "{loader}" --library-path "{libraries}" "{program}" "$@"
"""


def main() -> None:
    for folder in (DEBIAN, BIN, WORK):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for package in download(PACKAGES, SUITE, WORK):
        run("dpkg-deb", "-x", str(package), str(DEBIAN))
    for name, (path, arguments, answer) in PROGRAMS.items():
        write_launcher(name, path)
        check_launcher(name, arguments, answer)
    shutil.rmtree(WORK)


def download(names: list[str], suite: str, work: Path) -> list[Path]:
    """Download the packages and all they depend on; return the .deb files.

    work: a folder for apt-get, which is there.
    """
    prepare(suite, work)
    install = ("install", "--yes", "--download-only", "--no-install-recommends")
    apt_get(suite, work, *install, *names)
    return sorted(work.glob("cache/archives/*.deb"))


def prepare(suite: str, work: Path, kinds: Sequence[str] = ("deb",)) -> None:
    """Fetch the lists of a suite into a folder for apt-get; those of sources are "deb-src"."""
    if not shutil.which("apt-get"):
        sys.exit(NO_DEBIAN % "apt-get")
    (work / "status").write_text(INSTALLED)
    targets = {"deb": "Packages", "deb-src": "Sources"}
    lines = (
        f"{kind} [{keyring()} target={targets[kind]}] {mirror()} {suite} main" for kind in kinds
    )
    (work / "sources.list").write_text("\n".join(lines) + "\n")
    apt_get(suite, work, "update")


def apt_get(suite: str, work: Path, *arguments: str) -> None:
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    options = {
        "APT::Default-Release": suite,
        "APT::Sandbox::User": "root",  # the sandbox's user could not write here
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Dir::Cache": work / "cache",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
    }
    flags = [f"-o{name}={value}" for name, value in options.items()]
    run("apt-get", "-q", *flags, *arguments, folder=work)


def run(*command: str, folder: Path | None = None) -> None:
    if subprocess.call(command, cwd=folder):
        sys.exit(f"{command[0]} failed.")


def keyring() -> str:
    for suffix in ("pgp", "gpg"):
        path = Path(f"/usr/share/keyrings/debian-archive-keyring.{suffix}")
        if path.exists():
            return f"signed-by={path}"
    sys.exit(NO_DEBIAN % "the package debian-archive-keyring")


def mirror() -> str:
    """Return the Debian mirror that this machine's own apt sources name."""
    etc = Path("/etc/apt")
    extra = sorted(etc.glob("sources.list.d/*"))
    debian_first = sorted(extra, key=lambda path: path.stem != "debian")
    for path in [etc / "sources.list", *debian_first]:
        for uri, suite, components in archives(path):
            if suite in ("bookworm", "trixie", "oldstable", "stable") and "main" in components:
                return uri
    sys.exit(NO_DEBIAN % "Debian's archive in its apt sources")


def archives(path: Path) -> list[tuple[str, str, list[str]]]:
    """Return what an apt source file names, as (URI, suite, components).

    One line `deb [options] URI suite component…` each in a .list file; paragraphs
    of `Key: values` in a .sources file.
    """
    if not path.is_file():
        return []
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    if path.suffix == ".list":
        lines = re.findall(r"^deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)\s+(.*)", text, re.MULTILINE)
        return [(uri, suite, components.split()) for uri, suite, components in lines]
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(\S+):\s*(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE))
        uris, suites, components = (
            fields.get(key, "").split() for key in ("URIs", "Suites", "Components")
        )
        if fields.get("Enabled") != "no":
            found += [(uri, suite, components) for uri in uris for suite in suites]
    return found


def write_launcher(name: str, path: str) -> None:
    [loader] = DEBIAN.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")
    libraries = f"{loader.parent}:{loader.parent}/systemd"
    launcher = BIN / name
    launcher.write_text(LAUNCHER.format(loader=loader, libraries=libraries, program=DEBIAN / path))
    launcher.chmod(0o755)


def check_launcher(name: str, arguments: list[str], answer: str) -> None:
    result = subprocess.run([BIN / name, *arguments], capture_output=True, text=True)
    if not result.stdout.startswith(answer):
        sys.exit(f"{BIN / name} does not run here: {result.stdout}{result.stderr}")


if __name__ == "__main__":
    main()
