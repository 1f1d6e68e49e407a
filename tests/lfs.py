"""
A littlefs on flash in RAM, mounted, on both Pythons: as rp2 and ESP32 firmware has it.

    flash = Flash(40, 256)                  nor_flash.py
    files = LittleFs(flash, is_new=True)    formats it; its files are under /lfs
    with files.open("/lfs/a", "wb") as f:   also remove, rename, mkdir
    files.forbidden.add(7)                  from now on littlefs must not touch block 7
    files.unmount()                         raises AssertionError if it did

MicroPython brings littlefs itself. On CPython it is littlefs-python, and the module
under test, which knows one board's files only, gets it as its `os` and `open`.
"""

import sys

from nor_flash import BLOCK_SIZE

from edge_peer.board import pinned

IS_CPYTHON = sys.implementation.name == "cpython"
MOUNTED_AT = "/lfs"

if IS_CPYTHON:
    import os

    from littlefs import LittleFS, LittleFSError
    from littlefs.context import UserContext
else:
    import os

    import vfs

    UserContext = object


class _Device(UserContext):
    """What littlefs has of the flash: the block protocol of either Python."""

    def __init__(self, flash):
        self.flash = flash
        self.forbidden = set()
        self.violations = []

    def _look(self, block):
        if block in self.forbidden:
            self.violations.append(block)

    def readblocks(self, block, buffer, offset=0):
        self._look(block)
        self.flash.readblocks(block, buffer, offset)

    def writeblocks(self, block, buffer, offset=0):
        self._look(block)
        self.flash.writeblocks(block, buffer, offset)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.flash.block_count
        if operation == 5:
            return BLOCK_SIZE
        if operation == 6:
            self._look(argument)
            self.flash.ioctl(6, argument)
        return 0

    # littlefs-python

    def read(self, config, block, offset, size):
        buffer = bytearray(size)
        self.readblocks(block, buffer, offset)
        return buffer

    def prog(self, config, block, offset, data):
        self.writeblocks(block, data, offset)
        return 0

    def erase(self, config, block):
        return self.ioctl(6, block)

    def sync(self, config):
        return 0


class _MicroPythonFiles:
    def __init__(self, device, is_new):
        if is_new:
            vfs.VfsLfs2.mkfs(device, progsize=256)
        vfs.mount(vfs.VfsLfs2(device, progsize=256), MOUNTED_AT)
        self.open = open
        self.mkdir = os.mkdir
        self.remove = os.remove
        self.rename = os.rename

    def unmount(self):
        vfs.umount(MOUNTED_AT)


class _CPythonFiles:
    def __init__(self, device, is_new):
        self._fs = LittleFS(
            device,
            mount=False,
            block_size=BLOCK_SIZE,
            block_count=device.flash.block_count,
            read_size=32,
            prog_size=256,
            cache_size=1024,
            lookahead_size=32,
            block_cycles=100,
            disk_version=0x00020000,
        )
        if is_new:
            self._fs.format()
        self._fs.mount()
        self.urandom = os.urandom
        pinned.os = self
        pinned.open = self.open

    def open(self, path, mode):
        return _CPythonFile(_as_os_error(self._fs.open, self._inner(path), mode, 0))

    def mkdir(self, path):
        _as_os_error(self._fs.mkdir, self._inner(path))

    def remove(self, path):
        _as_os_error(self._fs.remove, self._inner(path))

    def rename(self, old, new):
        _as_os_error(self._fs.rename, self._inner(old), self._inner(new))

    def unmount(self):
        self._fs.unmount()
        pinned.os = os
        del pinned.open

    def _inner(self, path):
        assert path.startswith(MOUNTED_AT + "/")
        return path[len(MOUNTED_AT) :]


class _CPythonFile:
    def __init__(self, file):
        self._file = file

    def read(self, size=-1):
        return _as_os_error(self._file.read, size)

    def write(self, data):
        return _as_os_error(self._file.write, data)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        _as_os_error(self._file.close)


def _as_os_error(function, *arguments):
    """Call it; its errors become those that MicroPython raises."""
    try:
        return function(*arguments)
    except (LittleFSError, FileExistsError, FileNotFoundError) as error:
        cause = error if isinstance(error, LittleFSError) else error.__cause__
        raise OSError(-cause.code, "littlefs") from error


class LittleFs:
    def __init__(self, flash, is_new=False):
        self._device = _Device(flash)
        self.forbidden = self._device.forbidden
        self._files = (_CPythonFiles if IS_CPYTHON else _MicroPythonFiles)(self._device, is_new)
        self.open = self._files.open
        self.mkdir = self._files.mkdir
        self.remove = self._files.remove
        self.rename = self._files.rename

    def unmount(self):
        self._files.unmount()
        assert not self._device.violations, self._device.violations

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._files.unmount()
        if error[0] is None:
            assert not self._device.violations, self._device.violations
