"""
Telling webhooks: from the store's feed to somebody's HTTP server, at least once.

    POST url
    webhook-id: WEBHOOK.TXN   webhook-timestamp: Unix seconds
    webhook-signature: v1,BASE64 of HMAC-SHA-256(secret, "id.timestamp.body")

telling.py has the bodies. A URL of "mqtt:TOPIC" is a topic of the Big Peer's own broker
(publisher.py), which gets the same bodies, without headers.

 1. A webhook has a task of its own, so a slow one holds up nobody else.
 2. What the feed gives at once has each document once, so all of it is told in parallel,
    and the next only when all of that is done: changes of a document are told in order.
 3. The cursor is written after a batch. After kill -9 at most one batch is told again.
 4. An answer of 2xx is a receipt. 410 pauses the webhook. Anything else is tried again,
    ever later with jitter. A document that is refused (4xx), or that fails while others are
    told, is put among the dead after TRY_COUNT_MAX; while nothing at all can be told the
    consumer is away, and is waited for.
 5. The dead whom somebody wants told again come before what the feed has, as they are now.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import aiohttp

from edge_peer.bigpeer.publisher import SCHEME, Publisher
from edge_peer.bigpeer.telling import Batch, Message, Teller, signed
from edge_peer.bigpeer.webhooks import Dead, Delivery, Webhook, Webhooks
from edge_peer.core.errors import StorageError
from edge_peer.host import system

if TYPE_CHECKING:
    from edge_peer.core.store.log import Put
    from edge_peer.core.store.store import Store

BATCH_COUNT = 128  # documents read from the feed at a time
PARALLEL_COUNT = 8  # requests to one consumer at once
SEND_WAIT_S = 15  # for the whole answer
ANSWER_BYTES_MAX = 65_536  # read, so that the connection can be used again
TRY_COUNT_MAX = 15  # with the waits between them about three quarters of an hour
AWAY_TRY_COUNT_MAX = 200  # a day, where nothing at all can be told: then it is not the document
WAIT_S_MIN, WAIT_S_MAX = 1.0, 600.0
STORE_WAIT_S = 5
LOOK_S = 2  # for what other workers have done to webhooks; what we do counts at once
GONE = 410


class Paused(Exception):
    """The consumer wants no more."""


class Answer(NamedTuple):
    error: str = ""  # what went wrong, if anything
    status: int = 0  # of HTTP; 0 where there was none
    is_refused: bool = False  # it was this message's fault


@dataclass
class Progress:
    """What the API tells of a webhook beside what is on disk."""

    delivered_count: int = 0
    failed_count: int = 0  # tries
    last_error: str = ""
    waiting: dict[int, Delivery] = field(default_factory=dict)  # by transaction: tried, not told


class Deliverer:
    """All webhooks of one Big Peer; `run` tells them, `changed` says that one is new or other."""

    def __init__(
        self,
        store: "Store",
        webhooks: Webhooks,
        teller: Teller,
        wall_ms: Callable[[], int],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """uniform: draws the jitter."""
        self._uniform = uniform
        self._store = store
        self._webhooks = webhooks
        self._teller = teller
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
                known: dict[str, bool] = {}
                while True:
                    known = self._look(known)
                    await asyncio.sleep(LOOK_S)
            finally:
                self._client = None
                self._store.off_commit(self._wake)
                tasks, self._tasks = list(self._tasks.values()), {}
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if publisher is not None:
                    await publisher.close()

    def _look(self, known: dict[str, bool]) -> dict[str, bool]:
        """Begin and end what another worker has made, let go on or removed since the last look."""
        try:
            found = {one.id: one.is_paused for one in self._webhooks.all()}
        except StorageError:
            return known  # whoever needs it says so
        for id in known.keys() | found.keys():
            is_running = id in self._tasks and not self._tasks[id].done()
            if id not in found or (not found[id] and not is_running):
                self.changed(id)
        self._wake(None, None)  # one that was put back has something to tell
        return found

    def changed(self, id: str) -> None:
        """Begin to tell this webhook, or again from where its cursor is now, or end it."""
        if task := self._tasks.pop(id, None):
            task.cancel()
        self._teller.keep()
        if self._webhooks.by_id(id) is None:
            self._news.pop(id, None)
            self._progress.pop(id, None)
        elif self._client is not None:
            self.progress(id).waiting.clear()
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
            revived = self._webhooks.revived(id, BATCH_COUNT)
            puts = self._as_now(revived) or self._store.log.since(webhook.cursor, BATCH_COUNT)
            if not puts and not revived:
                await news.wait()
                continue
            batch = self._teller.batch(webhook, puts)
            try:
                await self._send_all(webhook, batch)
            except Paused:
                self._webhooks.pause(id)
                return
            cursor = max([webhook.cursor, *[put[2] for put in puts]])
            self._webhooks.advance(webhook, cursor, batch, revived)
            self._teller.prune(self._store.arrival)
            await asyncio.sleep(0)

    def _as_now(self, revived: list[Dead]) -> "list[Put]":
        puts = []
        for one in revived:
            body = self._store.log.get(one.collection, one.id)
            if body is not None:
                puts.append((one.collection, one.id, one.txn, body))
        return puts

    async def _send_all(self, webhook: Webhook, batch: Batch) -> None:
        """Raises Paused. A group ends with its first exception."""
        gate = asyncio.Semaphore(PARALLEL_COUNT)

        async def send(message: Message) -> None:
            async with gate:
                done = await self._send(webhook, message)
            batch.deliveries.append(done)
            if done.error:
                for key in message.documents:
                    batch.dead.append(Dead(*key, message.txn, done.at_ms, done.error))

        wants_more = True
        try:
            async with asyncio.TaskGroup() as group:
                for message in batch.messages:
                    group.create_task(send(message))
        except* Paused:
            wants_more = False  # what is raised here Python 3.11.2 would wrap in a group
        if not wants_more:
            raise Paused

    # How it is told

    async def _send(self, webhook: Webhook, message: Message) -> Delivery:
        """Return how it went, with an error if it could not be told. Raises Paused."""
        progress = self.progress(webhook.id)
        delivered_count = progress.delivered_count
        number = 0
        while True:
            error, status, is_refused = await self._try(webhook, message)
            number += 1
            collection, id = message.documents[0]
            done = Delivery(collection, id, message.txn, self._wall_ms(), status, number, error)
            progress.waiting.pop(message.txn, None)
            if not error:
                progress.delivered_count += 1
                return done
            progress.failed_count += 1
            progress.last_error = error
            is_up = is_refused or progress.delivered_count > delivered_count
            if number >= (TRY_COUNT_MAX if is_up else AWAY_TRY_COUNT_MAX):
                return done
            progress.waiting[message.txn] = done
            longest_s = min(WAIT_S_MAX, WAIT_S_MIN * 2 ** min(number - 1, 30))
            await asyncio.sleep(longest_s * self._uniform(0.5, 1))

    async def _try(self, webhook: Webhook, message: Message) -> Answer:
        if webhook.url.startswith(SCHEME):
            return Answer(await self._publish(webhook.url.removeprefix(SCHEME), message))
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
            return Answer(f"no answer within {SEND_WAIT_S} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(f"it could not be sent: {type(error).__name__}")
        status = response.status
        if status == GONE:
            self.progress(webhook.id).last_error = "it answered 410: it wants no more"
            raise Paused
        if 200 <= status < 300:
            return Answer("", status)
        is_refused = 400 <= status < 500 and status not in (408, 425, 429)
        return Answer(f"it answered {status}", status, is_refused)

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
