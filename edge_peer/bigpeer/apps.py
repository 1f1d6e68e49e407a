"""
The apps that a Big Peer serves beside that of its data folder: one folder each.

    DATA/apps/APPID/    what a data folder has (settings.py): identity, keys, documents

A new one is made under a name that is none and then moved to its place: it is there whole,
or not at all. One that is deleted is moved aside first, so what a kill leaves of it serves
nobody, and goes at the next start.
"""

import json
import re
import secrets
import shutil
from pathlib import Path

from edge_peer.bigpeer import settings
from edge_peer.core.errors import ConfigError
from edge_peer.host import private_file

APP_COUNT_MAX = 64  # a key that nobody knows, and a stranger at the port, cost a look in each
GONE = ".gone"
_APP_ID = re.compile("[0-9a-f]{32}")


def folders(data: Path) -> list[Path]:
    """Return the folders of all apps, in the order of their appIDs."""
    place = data / settings.APPS_FOLDER
    found = place.iterdir() if place.is_dir() else ()
    return sorted(path for path in found if _APP_ID.fullmatch(path.name))


def found(data: Path, name: str, passphrase: str | None) -> Path:
    """Make a new app with its authority; return its folder. Raises ConfigError.

    passphrase: locks the authority's key. It is asked for again wherever something is signed.
    """
    if len(folders(data)) >= APP_COUNT_MAX - 1:
        raise ConfigError(f"there are {APP_COUNT_MAX} apps already")
    part = data / settings.APPS_FOLDER / f"{secrets.token_hex(4)}.part"
    try:
        part.mkdir(parents=True, mode=0o700)
        settings.found_app(part, name, passphrase)
        app_id = json.loads((part / settings.IDENTITY_FILE).read_text())["app_id"]
        folder = part.rename(part.with_name(app_id))
        private_file.sync_folder(folder.parent)
    except OSError as error:
        raise ConfigError(f"cannot make an app in {data}: {error}") from error
    return folder


def remove(folder: Path) -> None:
    """Delete the folder of an app that nobody has open, for good. Raises ConfigError."""
    try:
        gone = folder.rename(folder.with_name(folder.name + GONE))
        private_file.sync_folder(folder.parent)
        shutil.rmtree(gone)
    except OSError as error:
        raise ConfigError(f"cannot delete {folder}: {error}") from error


def sweep(data: Path) -> None:
    """Finish what was under way when a Big Peer was killed: parts, and what was deleted."""
    for pattern in ("*.part", "*" + GONE):
        for path in (data / settings.APPS_FOLDER).glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
