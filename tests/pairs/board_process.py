"""
A board with boot.py and main.py as it lies on a flash, run by MicroPython as a process.

    board = BoardProcess(folder, identity_text, uart, application)
    board.run("edge-peer: synced")      what it printed until it said that, or ended by itself

What resets a board ends its process.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edge_tools.mpy import compile_mpy

ROOT = Path(__file__).parents[2]
MICROPYTHON = ROOT / ".cache/bin/micropython"
START = "exec(open('boot.py').read())\nexec(open('main.py').read())"


class BoardProcess:
    def __init__(
        self, folder: Path, identity: str, uart: str, application: str, **config: object
    ) -> None:
        """config: more of its edge.json."""
        folder.mkdir()
        self.folder = folder
        (folder / "a").mkdir()
        for name in ("boot.py", "main.py"):
            (folder / name).write_text((ROOT / "flash" / name).read_text())
        (folder / "a/app.mpy").write_bytes(compile_mpy(application, "app.py"))
        (folder / "board.json").write_text('{"name": "UNIX", "updates": true}')
        (folder / "identity.json").write_text(identity)
        storage = {"path": "flash.img", "blocks": 32, "attachments": {"quota_bytes": 20_000}}
        links = [{"kind": "serial", "uart": uart}]
        whole = {"identity": "identity.json", "storage": storage, "links": links} | config
        (folder / "edge.json").write_text(json.dumps(whole))

    @contextlib.contextmanager
    def running(self) -> Iterator[IO[str]]:
        """Yield what it prints, line by line; it is killed at the end."""
        process = subprocess.Popen(
            [MICROPYTHON, "-X", "heapsize=2m", "-c", START],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"MICROPYPATH": f"{ROOT / 'flash'}:{ROOT / 'boards/UNIX'}:{ROOT}:.frozen"},
        )
        assert process.stdout
        try:
            yield process.stdout
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def run(self, until: str = "") -> str:
        with self.running() as lines:
            return printed_until(lines, until)

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


def printed_until(lines: IO[str], until: str) -> str:
    """Return all lines up to the one that has `until` in it, or all there are."""
    printed = []
    for line in lines:
        printed.append(line)
        if until and until in line:
            break
    return "".join(printed)
