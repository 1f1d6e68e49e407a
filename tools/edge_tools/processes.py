"""
Programs that we start: each with a log file, and none outlives us.

A program gets a session of its own, so that Ctrl-C in our terminal reaches only us
and we stop it in order. Should we be killed outright, the kernel tells it to end:
setpriv, which every Debian has, arranges that and becomes the program.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_tools.errors import ProcessFailed

STOP_LIMIT_S = 5.0  # a program that has not ended by then is killed
LOG_LINES_SHOWN = 12
TAIL_BYTES = 8192  # holds more than that many lines, and a status line or two


class Process:
    """One program, running from the moment it is made."""

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`log` takes what it prints, behind what is there."""
        self.name = name
        self.log = log
        setpriv = shutil.which("setpriv")
        prefix = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        with open(log, "ab") as output:
            self._popen = subprocess.Popen(
                [*prefix, *map(str, command)],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def check(self) -> None:
        """Raise ProcessFailed if it has ended."""
        if not self.is_running():
            raise ProcessFailed(
                f"{self.name} ended with code {self._popen.returncode}; it said last:\n"
                + "\n".join(f"  | {line}" for line in self.tail().splitlines()[-LOG_LINES_SHOWN:])
            )

    def tail(self) -> str:
        """Return the end of what it has printed."""
        with open(self.log, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return log.read().decode(errors="replace")

    def ask_to_stop(self) -> None:
        if self.is_running():
            self._popen.terminate()

    def stop(self) -> None:
        """Ask it to end, wait, insist."""
        stop_all([self])

    def kill(self) -> None:
        """End it as a power cut would."""
        self._popen.kill()
        self._popen.wait()


def stop_all(processes: Sequence[Process]) -> None:
    """Ask all to end, the last one first; kill what does not."""
    for process in reversed(processes):
        process.ask_to_stop()
    deadline_s = time.monotonic() + STOP_LIMIT_S
    for process in processes:
        try:
            process._popen.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
