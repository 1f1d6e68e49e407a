"""
What webhooks are told: bodies, from the store's feed, and the headers that sign them.

    {"txnId": n, "type": "documentChanged", "collection": c,
     "change": {"method": "upsert", "oldValue": null | {…}, "newValue": {…}}}
             | {"method": "remove", "value": {…}}}
    {"txnId": n, "type": "requeryRequired",
     "documents": [{"appId", "collectionName", "documentId"}, …]}

`oldValue`, and `value` beside `_id`, are what the document was when the consumer was told last
(history.py), as far as its filter takes that. Of what came together a consumer is told once.
 1. A webhook without old values, and a store without a history: null, as after an insert.
 2. What a webhook that begins at 0 is told of the past: null, as it knew nothing.
 3. A consumer further behind than changes are retained: what the document was is not known,
    nor is all that happened to it. It is told which documents to query again.

Headers and signature are those of Standard Webhooks, for which there are libraries; the
id is the same each time that a change is told.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_peer.bigpeer.answers import encode, without_attachments
from edge_peer.bigpeer.permissions import ALWAYS, takes
from edge_peer.bigpeer.webhooks import Dead, Delivery, Webhook, Webhooks
from edge_peer.core.errors import FormatError
from edge_peer.core.query.view import fields_of
from edge_peer.host import codec

if TYPE_CHECKING:
    from edge_peer.bigpeer.history import History
    from edge_peer.core.store.log import Put

    Key = tuple[str, str]  # collection, id


@dataclass(frozen=True)
class Message:
    documents: "tuple[Key, ...]"  # that it is about: several with `requeryRequired`
    txn: int
    body: bytes


@dataclass
class Batch:
    """What to tell of some documents, and what to note when that is done."""

    messages: list[Message] = field(default_factory=list)
    told: "list[Key]" = field(default_factory=list)
    removed: "list[Key]" = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)


class Teller:
    """Says what the webhooks of one app are told."""

    def __init__(self, app_id: str, webhooks: Webhooks, history: "History | None") -> None:
        self._app_id = app_id
        self._webhooks = webhooks
        self._history = history

    def batch(self, webhook: Webhook, puts: "Iterable[Put]") -> Batch:
        """puts: documents as they are now, behind the webhook's cursor, each once."""
        batch = Batch()
        lost: list[Put] = []
        for put in puts:
            change = self._change(webhook, put, batch)
            if change is None:
                continue
            if self._is_behind(webhook, put):
                lost.append(put)
            else:
                collection, id, txn, _ = put
                told = {"txnId": txn, "type": "documentChanged", "collection": collection}
                body = encode(told | {"change": change})
                batch.messages.append(Message(((collection, id),), txn, body))
        if lost:
            batch.messages.append(self._requery(lost))
        return batch

    def prune(self, arrival: int) -> None:
        """Let what is retained too long go; arrival: the newest."""
        if self._history is not None:
            self._history.prune(arrival)

    def keep(self) -> None:
        """Retain changes for as long as a webhook wants to know what was before."""
        if self._history is not None:
            self._history.keep(any(one.old_values for one in self._webhooks.all()))

    def _change(self, webhook: Webhook, put: "Put", batch: Batch) -> dict[str, Any] | None:
        """Return what to tell of a document as it is now, if anything."""
        collection, id, _, body = put
        rule = webhook.filter.reads(collection)
        if rule is None or (rule == ALWAYS and _is_systems(webhook, collection)):
            return None
        try:
            new = _fields(id, body)
        except FormatError:
            return None  # the store counts it
        old = self._old(webhook, put, rule)
        if new is not None and takes(rule, new):
            if rule != ALWAYS:
                batch.told.append((collection, id))
            newest = without_attachments(new)
            return {"method": "upsert", "oldValue": old, "newValue": newest}
        if rule != ALWAYS:
            if not self._webhooks.was_told(webhook.id, collection, id):
                return None
            batch.removed.append((collection, id))
        return {"method": "remove", "value": old or {"_id": id}}

    def _wants_old(self, webhook: Webhook, put: "Put") -> "History | None":
        is_past = put[2] <= webhook.fresh_until
        history = self._history
        if history is None or is_past or not webhook.old_values or not history.is_kept:
            return None
        return history

    def _old(self, webhook: Webhook, put: "Put", rule: Any) -> Any:
        history = self._wants_old(webhook, put)
        body = None if history is None else history.before(put[0], put[1], webhook.cursor)
        if body is None:
            return None
        try:
            old = _fields(put[1], body)
        except FormatError:
            return None
        return without_attachments(old) if old is not None and takes(rule, old) else None

    def _is_behind(self, webhook: Webhook, put: "Put") -> bool:
        history = self._wants_old(webhook, put)
        return history is not None and webhook.cursor < history.floor()

    def _requery(self, lost: "list[Put]") -> Message:
        named = [
            {"appId": self._app_id, "collectionName": collection, "documentId": id}
            for collection, id, _, _ in lost
        ]
        txn = lost[-1][2]
        body = encode({"txnId": txn, "type": "requeryRequired", "documents": named})
        return Message(tuple(put[:2] for put in lost), txn, body)


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


def _fields(id: str, body: bytes) -> dict[str, Any] | None:
    """Return a document with its `_id`, None of one that is deleted. Raises FormatError."""
    fields = fields_of(body, codec.unpack)
    return None if fields is None else dict(fields) | {"_id": id}


def _is_systems(webhook: Webhook, collection: str) -> bool:
    """A filter that takes everything takes what devices say of themselves only by name."""
    named = webhook.filter.collections_read()
    return collection.startswith("__") and collection not in named
