"""A real PostgreSQL of this test run's own, on a Unix socket, from the system's packages."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

LIMIT_S = 60
NOBODY = 65534  # PostgreSQL does not run as root
_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _command(name):
    return str(_FOUND[-1] / name) if _FOUND else shutil.which(name) or name


class Postgres:
    """It answers from construction until `stop`; `url` names it."""

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="edge-pg-", dir="/tmp"))
        self._user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
        if self._user:
            os.chown(self._folder, NOBODY, NOBODY)
        self.data = self._folder / "data"
        self._run("initdb", "-D", self.data, "-U", "edge", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.url = f"postgresql:///postgres?host={self._folder}&user=edge"
        self.start()

    def start(self):
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder}"
        self._run(
            "pg_ctl", "-D", self.data, "-l", self._folder / "log", "-w", "-o", options, "start"
        )

    def halt(self, how="fast"):
        """Stop the server; how: fast, or immediate, which is a crash."""
        self._run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def stop(self):
        self.halt("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name, *arguments):
        command = [_command(name), *map(str, arguments)]
        subprocess.run(
            command, check=True, timeout=LIMIT_S, cwd=self._folder, **self._user,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
