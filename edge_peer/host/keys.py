"""
Where a host keeps secrets: small files that only its owner can read.

    FOLDER            mode 0700
    FOLDER/NAME       mode 0600, replaced as a whole: after a power cut it is the old or the new one
"""

import os
from pathlib import Path

from edge_peer.core.errors import ConfigError, StorageError
from edge_peer.host import private_file

TICKETS_MAX = 10_000  # 350 bytes each: a Big Peer's devices all come back after it restarts
_OTHERS = 0o077


class Shelf:
    """A folder of such files. Each method raises StorageError when the disk fails."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot keep secrets in {folder}: {error.strerror}") from error

    def names(self) -> list[str]:
        """Return the names of all files, the oldest first."""
        paths = [path for path in self._folder.iterdir() if not path.name.endswith(".part")]
        return [path.name for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)]

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {name}: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """Durable on return."""
        try:
            private_file.write(self._folder / name, data, force=True)
        except OSError as error:
            raise StorageError(f"cannot write {name}: {error.strerror}") from error

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)


def read_secret(path: str) -> str:
    """Return a secret file's text; raises ConfigError, also if others can read it."""
    try:
        with open(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise ConfigError(f"others can read {path}: chmod 600 it, and make a new one")
            return file.read()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
