"""
The log of a board: which flash, and how much of it.

    {"path": "flash.img", "blocks": 32}     a file that behaves as flash (the UNIX board)
    {"partition": "edge_log"}               an ESP32 partition of that label
    and for each  "documents_max": 2000     4.7 bytes of RAM each
"""

from edge_peer.core.errors import ConfigError
from edge_peer.core.log import FlashLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.log import BlockDevice
    from edge_peer.core.store import BeforeErase, Evict

DOCUMENTS_MAX = 2_000


def open_log(settings: "dict[str, Any]", evict: "Evict", before_erase: "BeforeErase") -> FlashLog:
    """Raises ConfigError for settings that name no flash, StorageError for flash of others."""
    return FlashLog(
        _device(settings), settings.get("documents_max", DOCUMENTS_MAX), evict, before_erase
    )


def _device(settings: "dict[str, Any]") -> "BlockDevice":
    if "partition" in settings:
        from esp32 import Partition

        found = Partition.find(type=Partition.TYPE_DATA, label=settings["partition"])
        if not found:
            raise ConfigError("no partition is called %s" % settings["partition"])
        return found[0]
    if "path" in settings:
        from flash_file import FlashFile  # boards/UNIX

        return FlashFile(settings["path"], settings.get("blocks", 32), settings.get("fsync", True))
    raise ConfigError("storage needs a partition or a path")
