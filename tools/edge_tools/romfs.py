"""
A ROMFS image: code that a board runs in place, without a copy of it in RAM.

The format is upstream's (MicroPython, docs/reference/romfs.rst); so is the writer.
"""

from collections.abc import Mapping
from typing import Any

Tree = dict[str, "Tree | bytes"]


def image(files: Mapping[str, bytes]) -> bytes:
    """Return the image of a file system that holds these files, path -> contents."""
    from mpremote.romfs import VfsRomWriter  # type: ignore[import-untyped]  # of the extra `tools`, as mpy.py's

    root: Tree = {}
    for path, data in sorted(files.items()):
        *folders, name = path.split("/")
        folder = root
        for one in folders:
            inner = folder.setdefault(one, {})
            assert isinstance(inner, dict), f"{path}: {one} is a file"
            folder = inner
        folder[name] = data
    writer = VfsRomWriter()
    _write(writer, root)
    return bytes(writer.finalise())


def _write(writer: Any, folder: Tree) -> None:
    for name, entry in folder.items():
        if isinstance(entry, bytes):
            writer.mkfile(name, entry)
        else:
            writer.opendir(name)
            _write(writer, entry)
            writer.closedir()
