"""
Where a board keeps secrets: small files of its file system.

There is no owner and no mode on a board: whoever can run code on it, by its REPL, a debug
probe or a reader of its flash, has them (DESIGN.md). A file is replaced as a whole: littlefs
renames atomically.
"""

import os

from edge_peer.core.errors import ConfigError, StorageError

TICKETS_MAX = 8  # 350 bytes of RAM and flash each


class Shelf:
    """A folder of such files. Each method raises StorageError when the flash fails."""

    def __init__(self, folder: str) -> None:
        self._folder = folder + "/"
        try:
            os.mkdir(folder)
        except OSError:
            pass  # it is there, or the first write says what is wrong

    def names(self) -> "list[str]":
        try:
            return [name for name in os.listdir(self._folder[:-1]) if not name.endswith(".part")]
        except OSError:
            return []

    def read(self, name: str) -> "bytes | None":
        try:
            with open(self._folder + name, "rb") as file:
                return file.read()
        except OSError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Durable on return."""
        part = self._folder + name + ".part"
        try:
            with open(part, "wb") as file:
                file.write(data)
            os.rename(part, self._folder + name)
        except OSError as error:
            raise StorageError("cannot write %s: %s" % (name, error))

    def remove(self, name: str) -> None:
        try:
            os.remove(self._folder + name)
        except OSError:
            pass


def read_secret(path: str) -> str:
    """Return a secret file's text; raises ConfigError."""
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        raise ConfigError("cannot read %s: %s" % (path, error))
