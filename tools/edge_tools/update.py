"""
New code for devices that are out there: an archive of a bundle's slot, signed by the app's
authority, uploaded to the Big Peer, and a document of `edge_updates` for each device.

The layout is that of flash/updating.py, which reads it.
"""

import fnmatch
import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

from edge_peer.core.errors import ConfigError
from edge_peer.host.authority import App
from edge_peer.security.certificate import EPOCH_S
from edge_tools import authority, bundle
from edge_tools.api import Client
from edge_tools.bundle import SLOT, Bundle

MAGIC = b"EDu1"
COLLECTION = "edge_updates"
INSERT = f"INSERT INTO {COLLECTION} DOCUMENTS (:u) ON ID CONFLICT DO UPDATE"
TYPE = "application/x-edge-update"


def archive(made: Bundle) -> bytes:
    """Return the code of a bundle as one blob; the same code gives the same bytes."""
    files = {
        path[len(SLOT) + 1 :]: data
        for path, data in made.files.items()
        if path.startswith(f"{SLOT}/")
    }
    if not files:
        raise ConfigError(f"{made.folder} has no code to update")
    sizes = [[path, len(data)] for path, data in sorted(files.items())]
    head = json.dumps({"board": made.about["board"], "files": sizes}).encode()
    body = b"".join(data for _, data in sorted(files.items()))
    return MAGIC + len(head).to_bytes(2, "big") + head + body


def document(app: App, made: Bundle, blob: bytes, token: object, number: int) -> dict[str, object]:
    """Return what tells a device of an archive. Raises ConfigError for one of another app."""
    if made.about["app_id"] != app.app_id.hex():
        raise ConfigError(f"{made.folder} is of another app than {app.name}")
    signature = app.sign_update(number, hashlib.sha256(blob).digest())
    return {
        "_id": made.about["device"],
        "number": number,
        "archive": token,
        "signature": signature.hex(),
    }


def chosen(folders: Iterable[Path], pattern: str, percent: int) -> list[Bundle]:
    """Return the bundles of the devices that are meant.

    Which ones a percentage takes follows from their names alone: 30 takes all that 10 took.
    """
    found = []
    for folder in folders:
        inner = sorted(folder.glob(f"*{bundle.SUFFIX}"))
        found += [bundle.read(one) for one in inner or [folder]]
    return [
        one
        for one in found
        if fnmatch.fnmatch(one.about["device"], pattern)
        and int.from_bytes(hashlib.sha256(one.about["device"].encode()).digest()[:4]) % 100
        < percent
    ]


def run(
    folders: list[Path], app_folder: Path | None, client: Client, pattern: str, percent: int
) -> None:
    """Raises ConfigError, ApiError."""
    bundles = chosen(folders, pattern, percent)
    if not bundles:
        raise ConfigError("no device is meant by that")
    app = authority.unlocked(app_folder)
    number = int(time.time()) - EPOCH_S
    for made in bundles:
        blob = archive(made)
        token = client.upload(blob, TYPE)
        client.execute(INSERT, {"u": document(app, made, blob, token, number)})
        print(f"{made.about['device']}: update {number}, {len(blob):,} bytes")
    app.close()
