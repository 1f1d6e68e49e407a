"""The comparators that are JavaScript: one program each, run by the Node of install.py."""

import json
import shutil
import subprocess
from pathlib import Path

from workload import differing

from comparators.common import NotInstalled
from comparators.install import NODE, NODE_PACKAGES

LIMIT_S = 300


def measure(script, readings, changed, plan, folder):
    """Return {figure: bytes}. Raises NotInstalled."""
    if not NODE.exists() or not (NODE_PACKAGES / "node_modules").exists():
        raise NotInstalled("Node from PyPI and npm's packages, which `make bench-sync` installs")
    # A program finds the packages only from a folder above them.
    program = shutil.copy(Path(__file__).with_name(script), NODE_PACKAGES)
    given = {
        "readings": readings,
        "changed": changed,
        "extra": differing(plan.difference_count),
        "authorCount": plan.author_count,
    }
    done = subprocess.run(
        [NODE, program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
        cwd=folder,
    )
    return json.loads(done.stdout.splitlines()[-1])
