"""
All of a collection as lines of JSON, however large it is.

    GET /api/v4/store/export?collection=readings&where=temp > 30
    X-Document-Count: how many documents the collection has, deleted ones with them
    {"_id": …, …}
    …

In the order of ids. What the key may not read is left out. A document that is written
while it runs is there as it was or as it is.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edge_peer.bigpeer.answers import encode, without_attachments
from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.permissions import ALWAYS, Permissions, takes
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.scoped import FORBIDDEN
from edge_peer.core.errors import FormatError
from edge_peer.core.query.view import fields_of
from edge_peer.host import codec

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

CHUNK_BYTES = 65_536  # of lines sent at once
SLICE_S = 0.005


async def export(big: "Tenant", request: Request, key: Key) -> Response:
    """Raises Refusal for what cannot begin."""
    collection = request.query_params.get("collection", "")
    where = request.query_params.get("where", "").strip() or "true"
    try:
        wanted = Permissions({"read": {"queriesByCollection": {collection: [where]}}})
    except ValueError as error:
        raise Refusal(400, "query", str(error)) from error
    allowed, asked = key.permissions.reads(collection), wanted.reads(collection)
    if allowed is None:
        raise Refusal(403, FORBIDDEN, f"this key may not read {collection}")
    rule = ALWAYS if allowed == asked == ALWAYS else ("AND", allowed, asked)
    headers = {"X-Document-Count": str(big.store.log.totals(collection)[0])}
    return StreamingResponse(
        _lines(big, collection, rule), media_type="application/x-ndjson", headers=headers
    )


async def _lines(big: "Tenant", collection: str, rule: Any) -> AsyncIterator[bytes]:
    chunk = bytearray()
    began_s = time.monotonic()
    for id, body in big.store.scan(collection):
        try:
            fields = fields_of(body, codec.unpack)
        except FormatError:
            continue  # the store counts it
        if fields is not None and takes(rule, fields | {"_id": id}):
            chunk += encode(without_attachments({"_id": id} | fields)) + b"\n"
        if len(chunk) > CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
        if time.monotonic() - began_s > SLICE_S:
            await asyncio.sleep(0)
            began_s = time.monotonic()
    yield bytes(chunk)
