"""
What is known of each board: boards/README.md says what stands in a folder.

Nothing here knows a board by name. `flash` is None where there is no flash of ours to
fill: a Raspberry Pi, the UNIX board.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_peer.core.errors import ConfigError
from edge_tools.places import BOARDS

FACTS = "board.json"
MANIFEST = "manifest.py"
BLOCK_BYTES = 4096  # of littlefs and of the log, on every flash here


@dataclass(frozen=True)
class Flash:
    bytes: int
    files_start: int
    files_bytes: int
    program_bytes: int
    uf2_family: int | None = None
    firmware_start: int = 0
    log_start: int = 0  # a partition of the log's own
    log_bytes: int = 0


@dataclass(frozen=True)
class Board:
    name: str
    product: str
    vendor: str
    port: str
    transports: list[str]
    folder: Path
    usb: list[str] = field(default_factory=list)
    processor: str = ""
    machine: str = ""
    firmware_min: str = ""
    flash: Flash | None = None
    pins: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def heap_bytes(self) -> int:
        return self.limits.get("heap_bytes", 0)

    @property
    def is_flashed(self) -> bool:
        return self.flash is not None


def every(folder: Path = BOARDS) -> Iterator[Board]:
    """Yield all boards by name. Raises ConfigError for one that is not as the page says."""
    for path in sorted(folder.glob(f"*/{FACTS}")):
        yield _read(path)


def find(name: str, folder: Path = BOARDS) -> Board:
    """Return a board; raise ConfigError, which lists them, if there is none of that name."""
    path = folder / name / FACTS
    if not name or not path.exists():
        known = ", ".join(sorted(path.parent.name for path in folder.glob(f"*/{FACTS}")))
        raise ConfigError(f"there is no board {name!r}; known are {known}. {folder}/README.md")
    return _read(path)


def _read(path: Path) -> Board:
    try:
        facts = json.loads(path.read_text())
        own = dict(facts["edge_peer"])
        flash = own.pop("flash", None)
        return Board(
            name=path.parent.name,
            product=facts["product"],
            vendor=facts["vendor"],
            folder=path.parent,
            flash=Flash(**flash) if flash else None,
            **own,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: {error}; {path.parents[1]}/README.md says what it has"
        ) from error
