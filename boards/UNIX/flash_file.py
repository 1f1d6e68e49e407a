"""A file that behaves as a board's flash: erase blocks, and writes that only clear bits."""

import os

BLOCK_SIZE = 4096
_BLANK = b"\xff" * 256


class FlashFile:
    """MicroPython's block protocol over `path`, made of erased blocks if missing.

    fsync=False is faster and survives the end of the process, but not of the computer.
    """

    def __init__(self, path, block_count, fsync=True):
        try:
            size = os.stat(path)[6]
        except OSError:
            size = 0
        if size == 0:
            with open(path, "wb") as file:
                for _ in range(block_count * BLOCK_SIZE // len(_BLANK)):
                    file.write(_BLANK)
            size = block_count * BLOCK_SIZE
        self._block_count = size // BLOCK_SIZE
        self._fsync = fsync
        self._file = open(path, "r+b", buffering=0)

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * BLOCK_SIZE + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=None):
        if offset is None:
            self.ioctl(6, block)
            offset = 0
        old = bytearray(len(buffer))
        self.readblocks(block, old, offset)
        for i in range(len(old)):
            old[i] &= buffer[i]
        self._write(block, old, offset)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._block_count
        if operation == 5:
            return BLOCK_SIZE
        if operation == 6:
            for offset in range(0, BLOCK_SIZE, len(_BLANK)):
                self._write(argument, _BLANK, offset)
            return 0

    def _write(self, block, data, offset):
        self._file.seek(block * BLOCK_SIZE + offset)
        self._file.write(data)
        if self._fsync:
            self._file.flush()  # MicroPython's does: the bytes are on the disk
