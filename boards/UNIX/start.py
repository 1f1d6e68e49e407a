"""
What a board's firmware does before main.py, on the unix port: mount the ROM file system.

rom.img is a ROMFS image, mapped into memory as flash is on a board, so that the code
in it runs in place and only what it works on takes heap.
"""

import os
import sys

import ffi
import uctypes
import vfs

_PROT_READ = 1
_MAP_PRIVATE = 2


def mount_rom(path):
    size = os.stat(path)[6]
    mmap = ffi.open("libc.so.6").func("P", "mmap", "pLiiil")
    with open(path, "rb") as file:
        address = mmap(None, size, _PROT_READ, _MAP_PRIVATE, file.fileno(), 0)
    vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, size)), "/rom")
    sys.path.insert(0, "/rom")


mount_rom("rom.img")
__import__("main")
