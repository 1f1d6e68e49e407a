"""
Live queries over HTTP, as server-sent events (HTML Living Standard, 9.2).

    POST /api/v4/store/observe   {"statement": "SELECT …", "args": {…}}, as for execute
    GET  /api/v4/store/observe?statement=…&args=…

    event: result    data: {"transactionId", "items": […]}          at first
    event: change    data: {"transactionId", "inserted": [{"index", "item"}, …],
                            "updated": [{"index", "item"}, …], "deleted": [index, …],
                            "moved": [[index, index], …]}
    event: error     data: {"code", "description", "column"}         the last one

`inserted` and `updated` count in the new result, `deleted` in the old one, `moved` in
both. A client that is slow gets several changes as one; one that reads nothing is cut
off (connection.py). What a key may not read is in no result, and a document that it may
not read any more is deleted from it. The stream ends with its key.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from edge_peer.bigpeer.answers import encode, without_attachments
from edge_peer.bigpeer.blobs import with_tokens
from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, statement_in, wait_for_transaction
from edge_peer.bigpeer.scoped import restricted
from edge_peer.core.errors import QueryError, StorageError
from edge_peer.core.query.observe import Diff, LiveResult
from edge_peer.core.query.parser import parse
from edge_peer.host import codec

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

ROW_COUNT_MAX = 10_000  # documents that WHERE takes: all are in memory, whatever LIMIT says
STREAM_COUNT_MAX = 500
STREAMS_OF_KEY_MAX = 50
BEAT_S = 15  # a comment so often: it finds clients that have gone, and keys that have ended
COALESCE_S = 0.03  # what comes within it is one change


class Streams:
    """Counts what is open."""

    def __init__(self) -> None:
        self._by_key: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._by_key.total()

    def open(self, key_id: str) -> None:
        """Raises Refusal for one too many."""
        if self._by_key[key_id] >= STREAMS_OF_KEY_MAX or len(self) >= STREAM_COUNT_MAX:
            raise Refusal(503, "busy", "too many live queries are open", retry_after_s=BEAT_S)
        self._by_key[key_id] += 1

    def close(self, key_id: str) -> None:
        self._by_key[key_id] -= 1
        if not self._by_key[key_id]:
            del self._by_key[key_id]


class _Result(LiveResult):
    """A live result of bounded size."""

    def next_diff(self) -> Diff | None:
        diff = super().next_diff()
        if len(self._entries) > ROW_COUNT_MAX:
            raise _too_large()
        return diff

    def _found(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        for number, pair in enumerate(super()._found()):
            if number >= ROW_COUNT_MAX:
                raise _too_large()
            yield pair


def _too_large() -> Refusal:
    return Refusal(413, "size", f"a live query has at most {ROW_COUNT_MAX} documents: narrow WHERE")


async def observe(big: "Tenant", request: Request, key: Key) -> Response:
    """Raises Refusal for what cannot begin."""
    if request.method == "GET":
        query = request.query_params
        fields = {"statement": query.get("statement"), "args": _json(query.get("args", "null"))}
        body = json.dumps(fields).encode()
    else:
        body = await body_of(request)
    text, arguments = statement_in(body)
    await wait_for_transaction(big, request.headers)
    news = asyncio.Event()
    try:
        statement = restricted(parse(text), key.permissions)
        result = _Result(big.store, codec, statement, with_tokens(arguments), news.set)
    except QueryError as error:
        raise Refusal(400, "query", str(error), error.column) from error
    try:
        first = result.next_diff()
        assert first is not None
        big.streams.open(key.id)
    except BaseException:
        result.close()
        raise
    return _Stream(big, key, result, news)


class _Stream(StreamingResponse):
    def __init__(self, big: "Tenant", key: Key, result: _Result, news: asyncio.Event) -> None:
        self._big, self._key, self._result, self._news = big, key, result, news
        super().__init__(self._events(), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # the client may go before the first event
            self._result.close()
            self._big.streams.close(self._key.id)

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            yield self._event("result", items=[without_attachments(one) for one in self._rows()])
            async for event in self._changes():
                yield event
        except Refusal as refusal:
            yield _framed("error", encode(refusal.error))
        except (QueryError, StorageError):
            error = Refusal(500, "storage", "the store failed; the log says how").error
            yield _framed("error", encode(error))

    async def _changes(self) -> AsyncIterator[bytes]:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._news.wait()
            if self._big.keys.by_id(self._key.id) is None:
                raise Refusal(401, "key", "the key has expired, or was revoked")
            if not self._news.is_set():
                yield b":\n\n"
                continue
            await asyncio.sleep(COALESCE_S)
            self._news.clear()
            diff = self._result.next_diff()
            if diff is not None:
                yield self._change(diff)

    def _change(self, diff: Diff) -> bytes:
        rows = self._rows()
        told = {
            name: [{"index": place, "item": without_attachments(rows[place])} for place in places]
            for name, places in (("inserted", diff.inserted), ("updated", diff.updated))
        }
        return self._event("change", **told, deleted=diff.deleted, moved=diff.moved)

    def _rows(self) -> list[dict[str, Any]]:
        return list(self._result.rows)

    def _event(self, name: str, **fields: Any) -> bytes:
        number = self._big.transaction_id()
        return _framed(name, encode({"transactionId": number} | fields), number)


def _framed(name: str, data: bytes, id: int | None = None) -> bytes:
    """JSON of one line, as `encode` makes it."""
    head = f"event: {name}\n" if id is None else f"id: {id}\nevent: {name}\n"
    return head.encode() + b"data: " + data + b"\n\n"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "request", f"args is not JSON: {error}") from error
