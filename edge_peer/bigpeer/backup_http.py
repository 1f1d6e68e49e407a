"""
A backup over HTTP, for administrators of the app that the Big Peer began with.

    POST /api/v4/backup   {"name": "2027-01-31"}
    {"copied": 500, "of": 12000}
    …
    {"copied": 12000, "of": 12000, "folder": "/…/bigpeer-data/backups/2027-01-31"}

The answer is lines of JSON, the last with `folder`, or `error` as everywhere. What is in
the folder opens everything: it holds keys and identities (backup.py).
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edge_peer.bigpeer import backup
from edge_peer.bigpeer.answers import encode
from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, object_in
from edge_peer.core.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer
    from edge_peer.bigpeer.tenant import Tenant

BODY_BYTES_MAX = 4_096
MEDIA_TYPE = "application/x-ndjson"


async def make(big: "BigPeer", own: "Tenant", request: Request, key: Key) -> Response:
    if own is not big or not key.is_administrator:
        text = "this is for an administrator's key of the app that the Big Peer began with"
        raise Refusal(403, "forbidden", text)
    try:
        name = backup.check_name(
            object_in(await body_of(request, BODY_BYTES_MAX), "name").get("name")
        )
    except ConfigError as error:
        raise Refusal(400, "request", str(error)) from error
    if (big.options.data / backup.FOLDER / name).exists():
        raise Refusal(409, "backup", f"there is a backup {name} already")
    return StreamingResponse(_lines(big, name), media_type=MEDIA_TYPE)


async def _lines(big: "BigPeer", name: str) -> AsyncIterator[bytes]:
    folder = big.options.data / backup.FOLDER / name
    copied, count = 0, 0
    try:
        async for copied, count in backup.make(
            list(big.tenants.values()), big.options.data, folder
        ):
            yield encode({"copied": copied, "of": count}) + b"\n"
    except (EdgeError, OSError) as error:
        yield encode({"error": Refusal(500, "backup", f"no backup: {error}").error}) + b"\n"
        return
    yield encode({"copied": copied, "of": count, "folder": str(folder.resolve())}) + b"\n"
