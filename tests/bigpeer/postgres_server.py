"""Real PostgreSQL servers of this test run's own, on Unix sockets, from the system's packages."""

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg

LIMIT_S = 60
NOBODY = 65534  # PostgreSQL does not run as root
_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _command(name):
    return str(_FOUND[-1] / name) if _FOUND else shutil.which(name) or name


class Postgres:
    """It answers from construction until `stop`; `url` names it.

    primary: the one that it copies and follows; nothing is acknowledged there from then on
    that is not here, too.
    """

    def __init__(self, primary=None):
        self._folder = Path(tempfile.mkdtemp(prefix="edge-pg-", dir="/tmp"))
        self._user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
        if self._user:
            os.chown(self._folder, NOBODY, NOBODY)
        self.data = self._folder / "data"
        if primary is None:
            self._run("initdb", "-D", self.data, "-U", "edge", "-A", "trust", "-E", "UTF8", "-N")
        else:
            self._run(
                "pg_basebackup",
                "-h",
                primary.host,
                "-U",
                "edge",
                "-D",
                self.data,
                "-R",
                "-X",
                "stream",
            )
        self.host = self._folder
        self.url = f"postgresql:///postgres?host={self._folder}&user=edge"
        self.start()
        if primary is not None:
            primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.ask("SELECT pg_reload_conf()")
            while (
                primary.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
                != 1
            ):
                pass  # each look takes it some milliseconds

    def ask(self, statement):
        """Return the one value that a statement gives, if it gives any."""
        with psycopg.connect(self.url, autocommit=True) as db:
            found = db.execute(statement)
            return found.fetchone()[0] if found.description else None

    def promote(self):
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def start(self):
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder}"
        self._run(
            "pg_ctl", "-D", self.data, "-l", self._folder / "log", "-w", "-o", options, "start"
        )

    def halt(self, how="fast"):
        """Stop the server; how: fast, or immediate, which is a crash."""
        self._run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def stop(self):
        with suppress(subprocess.CalledProcessError):  # it was killed
            self.halt("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name, *arguments):
        command = [_command(name), *map(str, arguments)]
        subprocess.run(
            command, check=True, timeout=LIMIT_S, cwd=self._folder, **self._user,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
