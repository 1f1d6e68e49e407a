"""A file that behaves as a board's flash: erase blocks, and writes that only clear bits."""

import os

BLOCK_SIZE = 4096


class FlashFile:
    """MicroPython's block protocol over `path`, made of erased blocks if missing."""

    def __init__(self, path, block_count):
        try:
            size = os.stat(path)[6]
        except OSError:
            size = 0
        if size == 0:
            with open(path, "wb") as file:
                for _ in range(block_count):
                    file.write(b"\xff" * BLOCK_SIZE)
            size = block_count * BLOCK_SIZE
        self._block_count = size // BLOCK_SIZE
        self._file = open(path, "r+b")

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
            self._write(argument, b"\xff" * BLOCK_SIZE, 0)
            return 0

    def _write(self, block, data, offset):
        self._file.seek(block * BLOCK_SIZE + offset)
        self._file.write(data)
        self._file.flush()
