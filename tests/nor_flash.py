"""
NOR flash in RAM: writing only clears bits, and the power can fail in the middle.

    flash = Flash(8)                        8 erased blocks
    flash.cut_at(5, HALF)                   the fifth operation from now is torn: PowerCut
    flash.power_on()                        what is left can be opened again
    flash.after(operation, HALF, random)    another flash, as if the power failed in it

An operation is one program or erase call. Runs on CPython and MicroPython. (Not
called flash.py: the folder flash/ would hide it from MicroPython.)
"""

BLOCK_SIZE = 4096
PROGRAM, ERASE = "program", "erase"

# What a power cut leaves of the operation that it hits; erases are torn alike.
NOTHING = "nothing"
HALF = "half"
ALL_BUT_ONE = "all but the last byte"
ALL = "all"
SOME_CELLS = "some cells"  # each bit by chance
TEARS = (NOTHING, HALF, ALL_BUT_ONE, ALL, SOME_CELLS)


class PowerCut(Exception):
    pass


class Flash:
    """A block device as MicroPython has them (its docs, library/vfs.rst), with counters."""

    def __init__(self, block_count, program_size=1, image=None):
        self.block_count = block_count
        self.program_size = program_size
        self.image = bytearray(image or block_count * BLOCK_SIZE)
        if not image:
            for start in range(0, len(self.image), BLOCK_SIZE):
                self.image[start : start + BLOCK_SIZE] = b"\xff" * BLOCK_SIZE
        self.erase_counts = [0] * block_count
        self.operation_count = 0
        self.read_bytes = 0
        self.programmed_bytes = 0
        self.changed_cells = 0  # bytes that programming really changed: the wear
        self.failing = ()  # numbers of operations that stop half done with an OSError
        self.before_operation = None  # called with (kind, block, offset, data)
        self._cut = None

    # The block protocol

    def readblocks(self, block, buffer, offset=0):
        self.read_bytes += len(buffer)
        start = self._start(block, offset, len(buffer))
        buffer[:] = memoryview(self.image)[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        assert offset % self.program_size == len(buffer) % self.program_size == 0
        self._operate(PROGRAM, block, offset, bytes(buffer))
        self.programmed_bytes += len(buffer)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.block_count
        assert operation == 6
        self._operate(ERASE, argument, 0, b"\xff" * BLOCK_SIZE)
        self.erase_counts[argument] += 1
        return 0

    # Failures

    def cut_at(self, count, tear, random):
        """Let the power fail in the `count`-th operation from now; 1 is the next."""
        self._cut = (self.operation_count + count, tear, random)

    def power_on(self):
        self._cut = None

    def copy(self):
        return Flash(self.block_count, self.program_size, self.image)

    def after(self, operation, tear, random):
        """Return another flash, with what a power cut in this operation leaves behind."""
        flash = self.copy()
        flash._apply(operation, tear, random)
        return flash

    def _operate(self, *operation):
        self._start(operation[1], operation[2], len(operation[3]))
        self.operation_count += 1
        if self.before_operation:
            self.before_operation(operation)
        if self._cut and self.operation_count >= self._cut[0]:
            if self.operation_count == self._cut[0]:
                self._apply(operation, self._cut[1], self._cut[2])
            raise PowerCut
        if self.operation_count in self.failing:
            self._apply(operation, HALF, None)
            raise OSError(5)
        self._apply(operation, ALL, None)

    def _apply(self, operation, tear, random):
        kind, block, offset, data = operation
        size = {NOTHING: 0, HALF: len(data) // 2, ALL_BUT_ONE: len(data) - 1}.get(tear, len(data))
        start = self._start(block, offset, len(data))
        image = self.image
        if kind == ERASE and tear != SOME_CELLS:
            image[start : start + size] = data[:size]
            return
        for i in range(size):
            old = image[start + i]
            new = data[i] if kind == ERASE else old & data[i]
            if new != old:
                left = random.below(256) if tear == SOME_CELLS else 0  # cells still as they were
                image[start + i] = old & left | new & ~left
                self.changed_cells += kind == PROGRAM

    def _start(self, block, offset, size):
        assert 0 <= block < self.block_count and offset >= 0 and offset + size <= BLOCK_SIZE
        return block * BLOCK_SIZE + offset
