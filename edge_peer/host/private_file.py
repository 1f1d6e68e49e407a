"""Files and folders that only their owner can read: whole, or not at all."""

import os
import secrets
import sys
from pathlib import Path

from edge_peer.core.errors import ConfigError


def write(path: Path, content: str | bytes, force: bool = False) -> None:
    """Make a file of mode 0600, durably; one that is there stays, unless by `force`.

    Raises ConfigError if it is there, OSError if it cannot be written.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(part, path)
        else:
            os.link(part, path)  # unlike a rename it never replaces
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already; --force replaces it") from error
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make what was created or renamed in a folder durable, where folders can be opened."""
    if sys.platform == "win32":
        return  # NTFS journals its folders by itself
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
