"""
What the runtime costs a board, for `make size` (tests/bench/roles.py).

Counts every file that edge_peer/manifest.py can list, with all its options on, so
the sums are the most that a board can carry. RAM after import is about twice the
.mpy, 28 bytes per source line: that is where the goals come from.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from edge_tools.manifest import flashed_files, option_defaults
from edge_tools.mpy import CompileError, compile_mpy, without_types
from edge_tools.places import MANIFEST, ROOT

SOURCE_LINES_MAX = 3_000  # 84 kB of RAM: leaves a Pico W room for documents and radio
MPY_BYTES_MAX = 42_000  # the same limit, by 28 bytes of RAM per line and 2 per byte of .mpy

# Tokens that say nothing; a line with others is a line of code.
SILENT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Size(NamedTuple):
    source_lines: int
    code_lines: int  # without blank lines, comments, docstrings and types
    mpy_bytes: int


def survey() -> tuple[dict[str, Size], Size]:
    """Return the size of each file, by its path, and of all together."""
    every_option = dict.fromkeys(option_defaults(MANIFEST), True)
    sizes = {
        path.relative_to(ROOT).as_posix(): measure(path)
        for path in flashed_files(MANIFEST, **every_option)
    }
    return sizes, Size(*map(sum, zip(*sizes.values(), strict=True)))


def measure(path: Path) -> Size:
    source = path.read_text()
    try:
        mpy = compile_mpy(source, path.relative_to(ROOT).as_posix())
    except CompileError as error:
        sys.exit(str(error))
    return Size(len(source.splitlines()), count_code_lines(without_types(source)), len(mpy))


def count_code_lines(source: str) -> int:
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstring_lines(source))


def docstring_lines(source: str) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            text = node.body[0]
            lines.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return lines


def table(sizes: dict[str, Size], total: Size) -> Table:
    result = Table("flashed file", title="What a board carries, every option on")
    for column in ("source lines", "code lines", ".mpy bytes"):
        result.add_column(column, justify="right")
    for name, size in sizes.items():
        result.add_row(name, *map("{:,}".format, size))
    result.add_section()
    result.add_row(f"{len(sizes)} files", *map("{:,}".format, total), style="bold")
    return result


def summary(sizes: dict[str, Size], total: Size) -> dict[str, object]:
    return {
        "source_lines": against(SOURCE_LINES_MAX, total.source_lines),
        "code_lines": {"ours": total.code_lines},
        "mpy_bytes": against(MPY_BYTES_MAX, total.mpy_bytes),
        "mpy_bytes_per_file": {name: size.mpy_bytes for name, size in sizes.items()},
    }


def against(maximum: int, ours: int) -> dict[str, object]:
    return {"ours": ours, "reference": None, "goal": f"<= {maximum}", "met": ours <= maximum}
