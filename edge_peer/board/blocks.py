"""
Some blocks of a device, as a device of their own.

Which ones, board/pinned.py finds out; it is needed once, and this is what stays in memory.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.store.segment import BlockDevice, Bytes


class Blocks:
    def __init__(self, device: "BlockDevice", blocks: "list[int]") -> None:
        self._device = device
        self._blocks = blocks

    def readblocks(self, block: int, buffer: bytearray, offset: int) -> None:
        self._device.readblocks(self._blocks[block], buffer, offset)

    def writeblocks(self, block: int, buffer: "Bytes", offset: int) -> None:
        self._device.writeblocks(self._blocks[block], buffer, offset)

    def ioctl(self, operation: int, argument: int) -> int:
        if operation == 4:
            return len(self._blocks)
        if operation == 6:
            argument = self._blocks[argument]
        return self._device.ioctl(operation, argument)
