"""
The log of a board: which flash, and how much of it.

    {"pinned": "/edge_log", "blocks": 72}   RP2 and ESP32 as they come: board/pinned.py
    {"partition": "edge_log"}               an ESP32 partition of that label
    {"path": "flash.img", "blocks": 32}     a file that behaves as flash (the UNIX board)

and for each what documents may take, all of it optional:

    "documents_max": 2000                   4.7 bytes of RAM each
    "quota_bytes": 100000                   if less than what the flash gives
    "relayed": {"quota_bytes": 20000, "documents_max": 500}
    "attachments": {"quota_bytes": 60000}   a share of its own; without it there are none
    "collections": {"events": {"quota_bytes": 50000, "policy": "pin"}}
"""

from edge_peer.core.errors import ConfigError
from edge_peer.core.limits import ATTACHMENTS, WHOLE, limits_of, pinned_bytes
from edge_peer.core.store.log import FlashLog
from edge_peer.core.store.records import device_quota_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.store.log import BlockDevice, Evict
    from edge_peer.core.store.store import BeforeErase

DOCUMENTS_MAX = 2_000
PINNED_COUNT = 72  # blocks: 288 KiB of the 848 that a Pico W has for files
RP2_PROGRAM_SIZE = 256  # the SDK programs whole pages only
ATTACHMENTS_SHARE = 2
PINNED_SHARE = 2  # documents that never go are copied on: beyond a half that wears the flash


def open_log(settings: "dict[str, Any]", evict: "Evict", before_erase: "BeforeErase") -> FlashLog:
    """Raises ConfigError for settings that name no flash, StorageError for flash of others."""
    limits = limits_of(settings)
    limits[WHOLE] = (limits[WHOLE][0], limits[WHOLE][1] or DOCUMENTS_MAX)
    device, program_size = _device(settings)
    quota_bytes = device_quota_bytes(device.ioctl(4, 0))
    attachments = limits.get(ATTACHMENTS, (0, None))[0] or 0
    if attachments > quota_bytes // ATTACHMENTS_SHARE:
        raise ConfigError(
            "%d bytes for attachments, of the %d that the flash gives at most %d can be"
            % (attachments, quota_bytes, quota_bytes // ATTACHMENTS_SHARE)
        )
    quota_bytes -= attachments
    pinned = pinned_bytes(settings)
    if pinned > quota_bytes // PINNED_SHARE:
        raise ConfigError(
            "%d bytes are pinned, of the %d that there are for documents at most %d can be"
            % (pinned, quota_bytes, quota_bytes // PINNED_SHARE)
        )
    return FlashLog(device, limits, evict, before_erase, program_size)


def _device(settings: "dict[str, Any]") -> "tuple[BlockDevice, int]":
    """Return a device and how many bytes it programs at once, at least."""
    if "pinned" in settings:
        from edge_peer.board.pinned import open_pinned

        device, program_size = _file_system()
        count = settings.get("blocks", PINNED_COUNT)
        return open_pinned(device, settings["pinned"], count), program_size
    if "partition" in settings:
        return _partition(settings["partition"]), 1
    if "path" in settings:
        from flash_file import FlashFile  # boards/UNIX

        count = settings.get("blocks", 32)
        return FlashFile(settings["path"], count, settings.get("fsync", True)), 1
    raise ConfigError("storage needs pinned, a partition or a path")


def _file_system() -> "tuple[BlockDevice, int]":
    """Return the flash that the firmware has its files on."""
    try:
        import rp2
    except ImportError:
        return _partition("vfs"), 1
    return rp2.Flash(), RP2_PROGRAM_SIZE


def _partition(label: str) -> "BlockDevice":
    from esp32 import Partition

    found = Partition.find(type=Partition.TYPE_DATA, label=label)
    if not found:
        raise ConfigError("no partition is called %s" % label)
    return found[0]
