"""
Make a checkout ready to run, test and flash: `python3 tools/bootstrap.py`.

make calls this before every target, so it has to be quick when nothing is due and
safe to interrupt. It writes only .venv/ and .cache/; the one thing it may ask of the
system is Debian's package python3-venv.

The set-up is a table: lanes that run side by side, each a list of steps in order. A
step is one command. It is done when its stamp holds the digest of that command and
of the files it reads; the stamp lies inside the folder that the step makes, so that
removing the folder undoes the step. A step that was interrupted has no stamp and
starts over.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple, TextIO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
CONSTRAINTS = ROOT / "tools/constraints.txt"
DEBIAN_PACKAGES = ROOT / "tools/debian_packages.py"

PYTHON_MIN = (3, 11)
LOG_LINES_SHOWN = 15
REPAINT_S = 0.1
BAR_WIDTH = 32
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Step(NamedTuple):
    title: str
    command: list[str]
    reads: list[Path]  # the step is due again when one of these changes
    stamp: Path
    typical_s: int  # how much of the bar it gets
    advice: str


LANES = [
    [
        Step(
            "Python environment",
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            [],
            VENV / "stamp-environment",
            5,
            "Check that this Python can make virtual environments.",
        ),
        Step(
            "Python packages",
            [f"{VENV}/bin/python", "-m", "pip", "install", "--no-input", "--progress-bar=off"]
            + [f"--constraint={CONSTRAINTS}", f"--editable={ROOT}[ble,bigpeer,tools,dev]"],
            [ROOT / "pyproject.toml", CONSTRAINTS],
            VENV / "stamp-packages",
            40,
            "Check the network and pip's configuration, then run the same again.",
        ),
    ],
    [
        Step(
            "MicroPython, mosquitto, systemd",
            [sys.executable, str(DEBIAN_PACKAGES)],
            [DEBIAN_PACKAGES],
            CACHE / "debian/stamp",
            8,
            "Check the network and this machine's apt sources, then run the same again. "
            "On an old Debian 12, bring the package debian-archive-keyring up to date.",
        )
    ],
]


class StepFailed(Exception):
    def __init__(self, step: Step) -> None:
        self.step = step


def main() -> None:
    if sys.version_info < PYTHON_MIN:
        sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0])
    make(LANES)


def make(lanes: list[list[Step]]) -> None:
    """Run what is due, one set-up at a time; on a failure exit with what to do."""
    if not any(due(lane) for lane in lanes):
        return
    CACHE.mkdir(exist_ok=True)
    try:
        with open(CACHE / "lock", "w") as lock:
            take_turn(lock)
            run([due(lane) for lane in lanes])
    except StepFailed as failure:
        sys.exit(explain(failure.step))
    except KeyboardInterrupt:
        sys.exit("Interrupted: run the same again to go on.")


def due(lane: list[Step]) -> list[Step]:
    """Return the first step that is not done, and all after it."""
    return list(dropwhile(is_done, lane))


def is_done(step: Step) -> bool:
    return step.stamp.is_file() and step.stamp.read_text() == digest(step)


def digest(step: Step) -> str:
    """Sum up what the step's result depends on, the checkout's place and Python included."""
    state = hashlib.sha256(repr((ROOT, sys.version_info[:2], step.command[1:])).encode())
    for path in step.reads:
        state.update(path.read_bytes())
    return state.hexdigest()


def take_turn(lock: TextIO) -> None:
    """Hold the lock until it is closed: one set-up at a time."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another set-up is at work here: waiting for it.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def run(lanes: list[list[Step]]) -> None:
    """Run all lanes side by side; the first failure stops the others."""
    if not any(lanes):
        return  # somebody else's turn has done it
    if any(step.title == "Python environment" for lane in lanes for step in lane):
        ensure_venv_module()
    progress = Progress([step for lane in lanes for step in lane])
    workers = [work(lane, progress) for lane in lanes]
    try:
        while workers:
            workers = [worker for worker in workers if next(worker, "done") != "done"]
            progress.paint()
            time.sleep(REPAINT_S)
    finally:
        for worker in workers:
            worker.close()


def work(lane: list[Step], progress: Progress) -> Generator[None, None, None]:
    """Run the steps in order, yielding again and again while a command is at work."""
    for step in lane:
        expected = digest(step)  # of the inputs as they are now, should they change meanwhile
        step.stamp.unlink(missing_ok=True)
        progress.begin(step)
        child = start(step)
        try:
            while child.poll() is None:
                yield
        finally:
            stop(child)
        if child.returncode:
            raise StepFailed(step)
        step.stamp.write_text(expected)
        progress.end(step)


def start(step: Step) -> subprocess.Popen[bytes]:
    log_path(step).parent.mkdir(exist_ok=True)
    with open(log_path(step), "wb") as log:
        return subprocess.Popen(
            step.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that stop() takes the children along
        )


def stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait()


def log_path(step: Step) -> Path:
    return CACHE / "log" / (step.title.lower().replace(" ", "-") + ".log")


def explain(step: Step) -> str:
    last = log_path(step).read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n".join(
        [
            f"\nset-up failed: {step.title}",
            f"command: {shlex.join(step.command)}",
            *(f"  | {line}" for line in last),
            f"the whole output: {log_path(step)}",
            f"what to do: {step.advice}",
        ]
    )


def ensure_venv_module() -> None:
    """Install Debian's python3-venv where it is missing; sudo may ask for a password."""
    if importlib.util.find_spec("ensurepip"):
        return
    print("This Python lacks ensurepip: installing Debian's python3-venv.", flush=True)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    for arguments in ("update", "install --yes --no-install-recommends python3-venv"):
        command = [*as_root, "apt-get", "-qq", *arguments.split()]
        if not shutil.which(command[0]) or subprocess.call(command, stdout=subprocess.DEVNULL):
            sys.exit(
                f"set-up failed: could not run `{shlex.join(command)}`.\n"
                "what to do: as root, `apt-get install python3-venv`, then the same again."
            )


class Progress:
    """What the user sees: a line per step and a bar; without a terminal, a line per step."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps
        self._begun_s: dict[str, float] = {}
        self._took_s: dict[str, float] = {}
        self._live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._height = 0

    def begin(self, step: Step) -> None:
        self._begun_s[step.title] = time.monotonic()

    def end(self, step: Step) -> None:
        self._took_s[step.title] = self._elapsed_s(step)
        if not self._live:
            print(f"set-up: {step.title}, {self._took_s[step.title]:.0f} s", flush=True)

    def paint(self) -> None:
        if not self._live:
            return
        lines = [*map(self._line, self._steps), self._bar()]
        back = f"\x1b[{self._height}A" if self._height else ""
        print(back + "".join(f"{line}\x1b[K\n" for line in lines), end="", flush=True)
        self._height = len(lines)

    def _line(self, step: Step) -> str:
        if step.title in self._took_s:
            mark = "✓"
        elif step.title in self._begun_s:
            mark = SPINNER[int(time.monotonic() / REPAINT_S) % len(SPINNER)]
        else:
            return f"  {step.title}"
        return f"{mark} {step.title:<30}{self._elapsed_s(step):4.0f} s"

    def _bar(self) -> str:
        done = sum(map(self._share, self._steps)) / sum(step.typical_s for step in self._steps)
        filled = int(done * BAR_WIDTH)
        return "█" * filled + "░" * (BAR_WIDTH - filled) + f" {done:4.0%}"

    def _share(self, step: Step) -> float:
        """Return how much of the step's typical time is behind us; never all while it runs."""
        if step.title in self._took_s:
            return step.typical_s
        return min(self._elapsed_s(step), 0.95 * step.typical_s)

    def _elapsed_s(self, step: Step) -> float:
        if step.title in self._took_s:
            return self._took_s[step.title]
        return time.monotonic() - self._begun_s.get(step.title, time.monotonic())


if __name__ == "__main__":
    main()
