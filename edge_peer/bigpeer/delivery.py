"""
Telling webhooks: from the store's feed to somebody's HTTP server, at least once.

    POST url
    webhook-id: WEBHOOK.TXN   webhook-timestamp: Unix seconds
    webhook-signature: v1,BASE64 of HMAC-SHA-256(secret, "id.timestamp.body")

    {"txnId": n, "type": "documentChanged", "collection": c,
     "change": {"method": "upsert", "oldValue": null, "newValue": {…}}}
             | {"method": "remove", "value": {"_id": …}}

Headers and signature are those of Standard Webhooks, for which there are libraries; the
id is the same each time that a change is told. `oldValue` is null: the Big Peer keeps no
history. A URL of "mqtt:TOPIC" is a topic of the Big Peer's own broker (publisher.py), which
gets the same bodies, without headers.

 1. A webhook has a task of its own, so a slow one holds up nobody else.
 2. What the feed gives at once has each document once, so all of it is told in parallel,
    and the next only when all of that is done: changes of a document are told in order.
 3. The cursor is written after a batch. After kill -9 at most one batch is told again.
 4. An answer of 2xx is a receipt. 410 pauses the webhook. Anything else is tried again,
    ever later with jitter. A document that is refused (4xx), or that fails while others are
    told, is put among the dead after TRY_COUNT_MAX; while nothing at all can be told the
    consumer is away, and is waited for.
"""

import asyncio
import hmac
import random
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from edge_peer.bigpeer.answers import encode, without_attachments
from edge_peer.bigpeer.permissions import ALWAYS, takes
from edge_peer.bigpeer.publisher import SCHEME, Publisher
from edge_peer.bigpeer.webhooks import Dead, Webhook, Webhooks
from edge_peer.core.errors import FormatError, StorageError
from edge_peer.core.query.view import fields_of
from edge_peer.host import codec, system

if TYPE_CHECKING:
    from edge_peer.core.store.store import Store

BATCH_COUNT = 128  # documents read from the feed at a time
PARALLEL_COUNT = 8  # requests to one consumer at once
SEND_WAIT_S = 15  # for the whole answer
ANSWER_BYTES_MAX = 65_536  # read, so that the connection can be used again
TRY_COUNT_MAX = 15  # with the waits between them about three quarters of an hour
AWAY_TRY_COUNT_MAX = 200  # a day, where nothing at all can be told: then it is not the document
WAIT_S_MIN, WAIT_S_MAX = 1.0, 600.0
STORE_WAIT_S = 5
GONE = 410


class Paused(Exception):
    """The consumer wants no more."""


@dataclass
class Progress:
    """What the API tells of a webhook beside what is on disk."""

    delivered_count: int = 0
    failed_count: int = 0  # tries
    last_error: str = ""


@dataclass
class _Batch:
    told: list[tuple[str, str]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)


@dataclass(frozen=True)
class Message:
    collection: str
    id: str
    txn: int
    body: bytes


class Deliverer:
    """All webhooks of one Big Peer; `run` tells them, `changed` says that one is new or other."""

    def __init__(
        self,
        store: "Store",
        webhooks: Webhooks,
        wall_ms: Callable[[], int],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """uniform: draws the jitter."""
        self._uniform = uniform
        self._store = store
        self._webhooks = webhooks
        self._wall_ms = wall_ms
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._progress: dict[str, Progress] = {}
        self._client: aiohttp.ClientSession | None = None
        self._publisher: Publisher | None = None

    def progress(self, id: str) -> Progress:
        return self._progress.setdefault(id, Progress())

    async def run(self, publisher: Publisher | None = None) -> None:
        """Tell all webhooks, for ever; publisher: for those that are topics."""
        self._publisher = publisher
        self._store.on_commit(self._wake)
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=0)  # PARALLEL_COUNT is a limit
        async with aiohttp.ClientSession(connector=connector) as self._client:
            try:
                for webhook in self._webhooks.all():
                    self.changed(webhook.id)
                await asyncio.Event().wait()
            finally:
                self._store.off_commit(self._wake)
                for task in self._tasks.values():
                    task.cancel()
                await asyncio.gather(*self._tasks.values(), return_exceptions=True)
                if publisher is not None:
                    await publisher.close()

    def changed(self, id: str) -> None:
        """Begin to tell this webhook, or again from where its cursor is now, or end it."""
        if task := self._tasks.pop(id, None):
            task.cancel()
        if self._webhooks.by_id(id) is None:
            self._news.pop(id, None)
            self._progress.pop(id, None)
        elif self._client is not None:
            self._news[id] = asyncio.Event()
            self._tasks[id] = asyncio.create_task(self._keep_telling(id))

    def _wake(self, puts: object, gone: object) -> None:
        for news in self._news.values():
            news.set()

    async def _keep_telling(self, id: str) -> None:
        while True:
            try:
                await self._tell(id)
                return
            except StorageError as error:
                system.log(f"webhook {id}: the store failed: {error}")
            except Exception as error:  # a mistake of ours must not end it for ever
                system.log(f"webhook {id}: {error!r}")
            await asyncio.sleep(STORE_WAIT_S)

    async def _tell(self, id: str) -> None:
        """Return when the webhook is gone or paused."""
        news = self._news[id]
        while (webhook := self._webhooks.by_id(id)) and not webhook.is_paused:
            news.clear()
            puts = self._store.log.since(webhook.cursor, BATCH_COUNT)
            if not puts:
                await news.wait()
                continue
            batch = _Batch()
            messages = [one for put in puts if (one := self._message(webhook, put, batch))]
            try:
                await self._send_all(webhook, messages, batch)
            except Paused:
                self._webhooks.pause(id)
                return
            self._webhooks.advance(id, puts[-1][2], batch.told, batch.removed, batch.dead)
            await asyncio.sleep(0)

    # What is told

    def _message(
        self, webhook: Webhook, put: tuple[str, str, int, bytes], batch: _Batch
    ) -> Message | None:
        """Return what to tell of a document as it is now, if anything."""
        collection, id, txn, body = put
        rule = webhook.filter.reads(collection)
        if rule is None or (rule == ALWAYS and _is_systems(webhook, collection)):
            return None
        try:
            fields = fields_of(body, codec.unpack)
        except FormatError:
            return None  # the store counts it
        if fields is not None:
            fields["_id"] = id
        if fields is not None and takes(rule, fields):
            if rule != ALWAYS:
                batch.told.append((collection, id))
            new = without_attachments(fields)
            return _changed(put, {"method": "upsert", "oldValue": None, "newValue": new})
        if rule != ALWAYS:
            if not self._webhooks.was_told(webhook.id, collection, id):
                return None
            batch.removed.append((collection, id))
        return _changed(put, {"method": "remove", "value": {"_id": id}})

    async def _send_all(self, webhook: Webhook, messages: list[Message], batch: _Batch) -> None:
        """Raises Paused. A group ends with its first exception."""
        gate = asyncio.Semaphore(PARALLEL_COUNT)

        async def send(message: Message) -> None:
            async with gate:
                error = await self._send(webhook, message)
            if error:
                one = (message.collection, message.id, message.txn, self._wall_ms(), error)
                batch.dead.append(Dead(*one))

        wants_more = True
        try:
            async with asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(send(message))
        except* Paused:
            wants_more = False  # what is raised here Python 3.11.2 would wrap in a group
        if not wants_more:
            raise Paused

    # How it is told

    async def _send(self, webhook: Webhook, message: Message) -> str:
        """Return why it could not be told, or "" when it was. Raises Paused."""
        progress = self.progress(webhook.id)
        delivered_count = progress.delivered_count
        number = 0
        while True:
            error, is_refused = await self._try(webhook, message)
            if not error:
                progress.delivered_count += 1
                return ""
            number += 1
            progress.failed_count += 1
            progress.last_error = error
            is_up = is_refused or progress.delivered_count > delivered_count
            if number >= (TRY_COUNT_MAX if is_up else AWAY_TRY_COUNT_MAX):
                return error
            longest_s = min(WAIT_S_MAX, WAIT_S_MIN * 2 ** min(number - 1, 30))
            await asyncio.sleep(longest_s * self._uniform(0.5, 1))

    async def _try(self, webhook: Webhook, message: Message) -> tuple[str, bool]:
        """Return what went wrong, if anything, and whether it was this message's fault."""
        if webhook.url.startswith(SCHEME):
            return await self._publish(webhook.url.removeprefix(SCHEME), message), False
        assert self._client is not None
        headers = signed(webhook, message, self._wall_ms() // 1000)
        try:
            async with (
                asyncio.timeout(SEND_WAIT_S),
                self._client.post(
                    webhook.url, data=message.body, headers=headers, allow_redirects=False
                ) as response,
            ):
                with suppress(aiohttp.ClientError):  # the status is the receipt
                    await response.content.read(ANSWER_BYTES_MAX)
        except TimeoutError:
            return f"no answer within {SEND_WAIT_S} s", False
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"it could not be sent: {type(error).__name__}", False
        if response.status == GONE:
            self.progress(webhook.id).last_error = "it answered 410: it wants no more"
            raise Paused
        if 200 <= response.status < 300:
            return "", False
        is_refused = 400 <= response.status < 500 and response.status not in (408, 425, 429)
        return f"it answered {response.status}", is_refused

    async def _publish(self, topic: str, message: Message) -> str:
        """Return what went wrong, if anything."""
        if self._publisher is None:
            return "this Big Peer has no broker: start it with --mqtt"
        try:
            async with asyncio.timeout(SEND_WAIT_S):
                await self._publisher.publish(topic, message.body)
        except TimeoutError:
            return f"no acknowledgement within {SEND_WAIT_S} s"
        except OSError as error:
            return f"it could not be sent: {error}"
        return ""


def signed(webhook: Webhook, message: Message, now_s: int) -> dict[str, str]:
    """Return the headers of a message, as Standard Webhooks has them."""
    id = f"{webhook.id}.{message.txn}"
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature(webhook.secret, id, now_s, message.body),
    }


def signature(secret: str, id: str, now_s: int, body: bytes) -> str:
    key = b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{id}.{now_s}.".encode() + body, "sha256")
    return "v1," + b64encode(digest).decode()


def _changed(put: tuple[str, str, int, bytes], change: dict[str, Any]) -> Message:
    collection, id, txn, _ = put
    told = {"txnId": txn, "type": "documentChanged", "collection": collection, "change": change}
    return Message(collection, id, txn, encode(told))


def _is_systems(webhook: Webhook, collection: str) -> bool:
    """A filter that takes everything takes what devices say of themselves only by name."""
    named = webhook.filter.collections_read()
    return collection.startswith("__") and collection not in named
