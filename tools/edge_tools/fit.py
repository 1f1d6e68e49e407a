"""
Does it fit? What a bundle takes of a board's flash and RAM, as rows of a table.

RAM is what `make bench-board` measures on the virtual Pico, of a sensor with a serial link
that has synced; other links are computed, by the size of their .mpy files. It is the same
on every 32-bit board.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from rich.table import Table

from edge_peer.config import LINK_KINDS
from edge_tools.boards import BLOCK_BYTES, Board
from edge_tools.manifest import flashed_files, option_defaults
from edge_tools.mpy import compile_mpy
from edge_tools.places import MANIFEST, ROOT

IN_PLACE, IN_RAM = "in firmware", "from files"
HEAP_BYTES = {IN_PLACE: 80_000, IN_RAM: 204_000}
HEAP_BYTES_PER_MPY = {IN_PLACE: 0.5, IN_RAM: 2.0}
APPLICATION_BYTES = 16_000  # for app.py, its drivers, and garbage between two collections
HANDSHAKE_BYTES = 15_000  # while a link opens
PIN_FOLDER_BLOCKS = 4  # that the names of its blocks take
INODE_BYTES = 256  # that littlefs takes in a directory for a file
BASE_LINKS = frozenset({"serial"})  # that the figures include
BASE_TRANSPORT = frozenset({"pump", "stream"})
TRANSPORT = "edge_peer.transport"
BAR_WIDTH = 24


class Need(NamedTuple):
    """One part of a memory: label, bytes."""

    label: str
    bytes: int


class Memory(NamedTuple):
    name: str
    bytes: int
    needs: list[Need]

    @property
    def free(self) -> int:
        return self.bytes - sum(need.bytes for need in self.needs)


def flash(board: Board, files: Mapping[str, bytes], log_blocks: int) -> Memory:
    """Return the file system's share of the flash, with these files and a log on it.

    log_blocks: 0 where the log has a partition of its own.
    """
    assert board.flash is not None
    needs = [Need(f"{len(files)} files", sum(map(stored_bytes, files.values())))]
    if log_blocks:
        pins = log_blocks + PIN_FOLDER_BLOCKS
        needs.append(Need(f"log, {log_blocks} blocks", pins * BLOCK_BYTES))
    return Memory("flash for files", board.flash.files_bytes, needs)


def heap(board: Board, links: Iterable[str], code: str) -> Memory:
    """code: IN_PLACE or IN_RAM."""
    needs = [Need(f"edge-peer {code}", HEAP_BYTES[code])]
    others = sorted(set(links) - BASE_LINKS)
    needs += [Need(link, int(HEAP_BYTES_PER_MPY[code] * mpy_bytes(link))) for link in others]
    needs += [Need("a handshake", HANDSHAKE_BYTES), Need("application", APPLICATION_BYTES)]
    return Memory("heap", board.heap_bytes, needs)


def stored_bytes(data: bytes) -> int:
    """Return what littlefs takes for a file: whole blocks, or its place in the directory."""
    if len(data) <= INODE_BYTES:
        return 2 * INODE_BYTES
    return INODE_BYTES + -(-len(data) // BLOCK_BYTES) * BLOCK_BYTES


def mpy_bytes(link: str) -> int:
    """Return how much code one more link loads: its files, and what they import of transport/."""
    off = {kind: kind in BASE_LINKS for kind in option_defaults(MANIFEST) if kind in LINK_KINDS}
    without = set(flashed_files(MANIFEST, **off))
    own = [one for one in flashed_files(MANIFEST, **off | {link: True}) if one not in without]
    named = {name for one in own for name in _imported(one.read_text())}
    shared = [MANIFEST.parent / "transport" / f"{name}.py" for name in named - BASE_TRANSPORT]
    paths = [*own, *(path for path in shared if path.exists())]
    return sum(len(compile_mpy(one.read_text(), one.relative_to(ROOT).as_posix())) for one in paths)


def _imported(source: str) -> Iterator[str]:
    """Yield the last names of the modules that a source imports from edge_peer.transport."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(TRANSPORT):
            yield (node.module or "").rpartition(".")[2]
            yield from (alias.name for alias in node.names)


def table(memories: list[Memory], title: str) -> Table:
    rows = Table("", "takes", "of", "left", "", title=title)
    for memory in memories:
        for need in memory.needs:
            rows.add_row(f"  {need.label}", f"{need.bytes:,}", "", "", "")
        used = memory.bytes - memory.free
        left = f"{memory.free:,}" if memory.free >= 0 else f"[bold red]{memory.free:,}"
        rows.add_row(memory.name, f"{used:,}", f"{memory.bytes:,}", left, bar(memory), style="bold")
        rows.add_section()
    return rows


def bar(memory: Memory) -> str:
    """Return a bar of a memory's needs, each in a shade of its own; `>` where it overflows."""
    shades = "█▓▒░"
    text = ""
    for index, need in enumerate(memory.needs):
        size = round(BAR_WIDTH * need.bytes / memory.bytes) if memory.bytes else 0
        text += shades[index % len(shades)] * max(1, size)
    return text.ljust(BAR_WIDTH, "·") if len(text) <= BAR_WIDTH else text[: BAR_WIDTH - 1] + ">"
