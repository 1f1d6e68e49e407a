"""
Attachments over HTTP: one part of a multipart form in, a blob out.

What comes goes to a temporary file first: its id is known when all of it is there.
An answer about tokens, and an argument of a statement, shows a token as a map:

    {"id": 32 hexadecimal digits, "len": bytes, "type": media type}
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from edge_peer.attachments import Blob
from edge_peer.bigpeer.permissions import Permissions, takes
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.core.errors import StoreFull
from edge_peer.core.kinds import ATTACHMENT_ID_SIZE, Attachment, packed_token
from edge_peer.core.query.view import fields_of
from edge_peer.core.store.attachments import ATTACHMENT_BYTES_MAX
from edge_peer.host import codec

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

FORM_BYTES = 16_384  # what may stand around the file
FORM_FIELDS_MAX = 8
UPLOAD_WAIT_S = 300
UPLOAD_COUNT_MAX = 16  # at once: what has come of them lies in temporary files
SENT_BYTES = 65_536  # read from the store at a time
LOOKED_COUNT = 256  # documents between two turns of the event loop: about a millisecond
DEFAULT_TYPE = "application/octet-stream"


async def upload(big: "Tenant", request: Request) -> dict[str, Any]:
    """Store the one file of a form; return its token as a map. Raises Refusal."""
    if big.upload_count >= UPLOAD_COUNT_MAX:
        text = f"{UPLOAD_COUNT_MAX} uploads are under way; try again in a moment"
        raise Refusal(503, "busy", text, retry_after_s=5)
    big.upload_count += 1
    try:
        return await _upload(big, request)
    finally:
        big.upload_count -= 1


async def _upload(big: "Tenant", request: Request) -> dict[str, Any]:
    size_max = ATTACHMENT_BYTES_MAX + FORM_BYTES
    parser = MultiPartParser(
        request.headers, _limited(request, size_max), max_files=1, max_fields=FORM_FIELDS_MAX
    )
    try:
        async with asyncio.timeout(UPLOAD_WAIT_S):
            form = await parser.parse()
    except (TimeoutError, ClientDisconnect) as error:
        raise Refusal(408, "request", "the request did not arrive whole") from error
    except (MultiPartException, KeyError) as error:
        raise Refusal(400, "request", f"the request is no multipart form: {error}") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise Refusal(400, "request", "the form has no file")
        type = files[0].content_type or DEFAULT_TYPE
        token = big.store.attachments.attach(files[0].file, type)
    except StoreFull as error:
        raise Refusal(507, "full", f"the store is full: {error}") from error
    except ValueError as error:
        raise Refusal(400, "request", str(error)) from error
    finally:
        await form.close()
    return map_of(token)


async def download(big: "Tenant", text: str, permissions: Permissions) -> Response:
    """Raises Refusal unless all of it is here, and in a document that may be read."""
    try:
        id = bytes.fromhex(text)
    except ValueError:
        id = b""
    size = big.store.attachments.whole(id) if len(id) == ATTACHMENT_ID_SIZE else None
    if size is None or not await _is_readable(big, id, permissions):
        raise Refusal(404, "attachment", "this attachment is not here, or not all of it yet")
    headers = {
        "Content-Length": str(size),
        "ETag": f'"{text}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
    }
    token = Attachment(id, size, DEFAULT_TYPE)
    return StreamingResponse(_read(big, token), 200, headers, DEFAULT_TYPE)


def map_of(token: Attachment) -> dict[str, Any]:
    return {"id": token.id.hex(), "len": token.size, "type": token.type}


def with_tokens(value: Any) -> Any:
    """Put tokens for the maps that map_of makes: JSON has no others."""
    if isinstance(value, list):
        return [with_tokens(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"id", "len", "type"} and isinstance(value["id"], str):
        try:
            token = Attachment(bytes.fromhex(value["id"]), value["len"], value["type"])
            packed_token(token)
            return token
        except ValueError:
            pass
    return {name: with_tokens(item) for name, item in value.items()}


async def _is_readable(big: "Tenant", id: bytes, permissions: Permissions) -> bool:
    """Look for a document that may be read and has this token: through whole collections."""
    if permissions.reads_everything():
        return True
    for collection in permissions.collections_read():
        rule = permissions.reads(collection)
        for number, (document_id, body) in enumerate(big.store.scan(collection)):
            if number % LOOKED_COUNT == 0:
                await asyncio.sleep(0)  # others first
            fields = fields_of(body, codec.unpack) if id in body else None
            if fields is not None and _has(fields, id):
                fields["_id"] = document_id
                if takes(rule, fields):
                    return True
    return False


def _has(value: Any, id: bytes) -> bool:
    """A token stands at a field, never inside an array."""
    if isinstance(value, Attachment):
        return bool(value.id == id)
    return isinstance(value, dict) and any(_has(item, id) for item in value.values())


async def _limited(request: Request, size_max: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > size_max:
            raise Refusal(413, "size", f"an attachment has at most {ATTACHMENT_BYTES_MAX} bytes")
        yield chunk


async def _read(big: "Tenant", token: Attachment) -> AsyncIterator[bytes]:
    blob = Blob(big.store.attachments, token)
    while data := blob.read(SENT_BYTES):
        yield data
        await asyncio.sleep(0)  # others first
