"""
Webhooks: who is told of changes, and how far they have been told. DATA/webhooks.db.

A webhook has a cursor into the store's own order of changes (`transactionId`) and no
queue: what it has not been told yet is what the store has behind the cursor. So a consumer
that is away costs nothing and loses nothing, and what changed several times meanwhile
is told once, as it is now. `replay` puts the cursor back.

Where only some documents of a collection are told, it is noted which (`told`), so that
one that matches no more is told as removed. `dead` are those that could not be told, and
`delivery` is how the last ones went.

The secret stands here as it is, since signing needs it: the file's mode is 0600.
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edge_peer.bigpeer.permissions import Permissions
from edge_peer.bigpeer.publisher import SCHEME, check_topic
from edge_peer.bigpeer.side_file import SideFile

if TYPE_CHECKING:
    from edge_peer.bigpeer.telling import Batch

WEBHOOK_COUNT_MAX = 100  # each reads the whole feed
DEAD_COUNT_MAX = 10_000  # of one webhook; the oldest go
DELIVERY_COUNT_MAX = 200  # of one webhook, for people who look why
NAME_CHARS_MAX = 100
URL_CHARS_MAX = 2048
_COLUMNS = "id, name, url, secret, filter, cursor, is_paused, created_ms, old_values, fresh_until"


class WebhookFile(SideFile):
    application_id = 0x45505748  # "EPWH"
    steps = (
        """
        CREATE TABLE webhook (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, url TEXT NOT NULL, secret TEXT NOT NULL,
            filter TEXT NOT NULL, cursor INTEGER NOT NULL, is_paused INTEGER NOT NULL,
            created_ms INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE told (
            webhook TEXT, collection TEXT, id TEXT, PRIMARY KEY (webhook, collection, id)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE dead (
            webhook TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL,
            txn INTEGER NOT NULL, at_ms INTEGER NOT NULL, error TEXT NOT NULL,
            PRIMARY KEY (webhook, collection, id)
        ) STRICT;
        """,
        """
        ALTER TABLE webhook ADD COLUMN old_values INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE webhook ADD COLUMN fresh_until INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE dead ADD COLUMN is_revived INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE delivery (
            number INTEGER PRIMARY KEY, webhook TEXT NOT NULL, collection TEXT NOT NULL,
            id TEXT NOT NULL, txn INTEGER NOT NULL, at_ms INTEGER NOT NULL,
            status INTEGER NOT NULL, tries INTEGER NOT NULL, error TEXT NOT NULL
        ) STRICT;
        CREATE INDEX delivery_of ON delivery (webhook, number);
        """,
    )


@dataclass(frozen=True)
class Webhook:
    id: str
    name: str
    url: str
    secret: str = field(repr=False)  # "whsec_" and base64
    filter: Permissions  # what it may `read` is what it is told
    cursor: int  # told up to this transaction
    is_paused: bool
    created_ms: int
    old_values: bool  # it is told what was before, or that this is not known (telling.py)
    fresh_until: int  # what came up to this transaction is new to it


@dataclass(frozen=True)
class Dead:
    collection: str
    id: str
    txn: int
    at_ms: int
    error: str


@dataclass(frozen=True)
class Delivery:
    """How one message went, or what its last try came to."""

    collection: str  # of the first document that it is about
    id: str
    txn: int
    at_ms: int
    status: int  # of HTTP; 0 where there was no answer
    tries: int
    error: str  # "" where it was told


class Webhooks:
    def __init__(self, file: WebhookFile, wall_ms: Callable[[], int]) -> None:
        self._file = file
        self._wall_ms = wall_ms

    def create(
        self,
        name: str,
        url: str,
        filter: Any,
        cursor: int,
        old_values: bool = True,
        fresh_until: int = 0,
    ) -> Webhook:
        """filter: a side of permissions, in JSON. Raises ValueError with a sentence."""
        if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
            raise ValueError(f"a webhook's name has 1 to {NAME_CHARS_MAX} printable characters")
        _check_url(url)
        chosen = Permissions({"read": filter})
        if not chosen.reads_everything() and not chosen.collections_read():
            raise ValueError('"filter" names no collection; {"everything": true} takes all')
        if len(self.all()) >= WEBHOOK_COUNT_MAX:
            raise ValueError(f"there are {WEBHOOK_COUNT_MAX} webhooks already")
        secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
        one = Webhook(
            secrets.token_hex(8), name, url, secret, chosen, cursor, False, self._wall_ms(),
            old_values, fresh_until,
        )  # fmt: skip
        self._file.run(
            f"INSERT INTO webhook ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            one.id, name, url, secret, json.dumps(chosen.fields["read"]), cursor, 0, one.created_ms,
            old_values, fresh_until,
        )  # fmt: skip
        return one

    def all(self) -> list[Webhook]:
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM webhook ORDER BY created_ms, id")
        return [_webhook(row) for row in rows]

    def by_id(self, id: str) -> Webhook | None:
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM webhook WHERE id = ?", id)
        return _webhook(rows[0]) if rows else None

    def remove(self, id: str) -> bool:
        with self._file.together():
            for table in ("told", "dead", "delivery"):
                self._file.run(f"DELETE FROM {table} WHERE webhook = ?", id)
            return bool(self._file.run("DELETE FROM webhook WHERE id = ?", id))

    def replay(self, id: str, cursor: int, newest: int) -> bool:
        """Tell again what came after this transaction; a webhook that rested goes on.

        newest: from the beginning (0) on, all up to this one is new to it.
        """
        sql = "UPDATE webhook SET cursor = ?, fresh_until = ?, is_paused = 0 WHERE id = ?"
        return bool(self._file.run(sql, cursor, 0 if cursor else newest, id))

    def revive(self, id: str) -> int:
        """Tell the dead again, as they are now; return how many there are."""
        return self._file.run("UPDATE dead SET is_revived = 1 WHERE webhook = ?", id)

    def pause(self, id: str) -> None:
        self._file.run("UPDATE webhook SET is_paused = 1 WHERE id = ?", id)

    def close(self) -> None:
        self._file.close()

    # What has been told

    def was_told(self, webhook: str, collection: str, id: str) -> bool:
        sql = "SELECT 1 FROM told WHERE webhook = ? AND collection = ? AND id = ?"
        return bool(self._file.rows(sql, webhook, collection, id))

    def revived(self, webhook: str, limit: int) -> list[Dead]:
        """Return the dead that are to be told again, the oldest first."""
        rows = self._file.rows(
            "SELECT collection, id, txn, at_ms, error FROM dead WHERE webhook = ?"
            " AND is_revived = 1 ORDER BY txn LIMIT ?",
            webhook,
            limit,
        )
        return [Dead(*row) for row in rows]

    def advance(
        self, before: Webhook, cursor: int, batch: "Batch", revived: Iterable[Dead] = ()
    ) -> None:
        """Note all of this at once. revived: of the dead, those that were in the batch.

        before: the webhook. Where it was put back since, it stays so, and is told again.
        """
        run, webhook = self._file.run, before.id
        with self._file.together():
            sql = "UPDATE webhook SET cursor = ? WHERE id = ? AND cursor = ?"
            run(sql, cursor, webhook, before.cursor)
            for collection, id in batch.told:
                sql = "INSERT INTO told VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
                run(sql, webhook, collection, id)
            of_one = "WHERE webhook = ? AND collection = ? AND id = ?"
            for collection, id in batch.removed:
                run(f"DELETE FROM told {of_one}", webhook, collection, id)
            for one in revived:
                run(f"DELETE FROM dead {of_one}", webhook, one.collection, one.id)
            for one in batch.dead:
                run(
                    "INSERT INTO dead VALUES (?, ?, ?, ?, ?, ?, 0)"
                    " ON CONFLICT (webhook, collection, id) DO UPDATE SET txn = excluded.txn,"
                    " at_ms = excluded.at_ms, error = excluded.error, is_revived = 0",
                    webhook, one.collection, one.id, one.txn, one.at_ms, one.error,
                )  # fmt: skip
            for done in batch.deliveries:
                run(
                    "INSERT INTO delivery (webhook, collection, id, txn, at_ms, status, tries,"
                    " error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    webhook, done.collection, done.id, done.txn, done.at_ms, done.status,
                    done.tries, done.error,
                )  # fmt: skip
            self._keep_newest("dead", "txn", webhook, DEAD_COUNT_MAX if batch.dead else 0)
            kept = DELIVERY_COUNT_MAX if batch.deliveries else 0
            self._keep_newest("delivery", "number", webhook, kept)

    def _keep_newest(self, table: str, order: str, webhook: str, count: int) -> None:
        """count: 0 where there is nothing new."""
        if count:
            self._file.run(
                f"DELETE FROM {table} WHERE webhook = ?1 AND {order} <= (SELECT {order} FROM"
                f" {table} WHERE webhook = ?1 ORDER BY {order} DESC LIMIT 1 OFFSET ?2)",
                webhook,
                count,
            )

    def deliveries(self, webhook: str) -> list[Delivery]:
        """Return how the last ones went, the newest first."""
        rows = self._file.rows(
            "SELECT collection, id, txn, at_ms, status, tries, error FROM delivery"
            " WHERE webhook = ? ORDER BY number DESC",
            webhook,
        )
        return [Delivery(*row) for row in rows]

    def dead(self, webhook: str, limit: int = 100) -> list[Dead]:
        """Return the newest first."""
        rows = self._file.rows(
            "SELECT collection, id, txn, at_ms, error FROM dead WHERE webhook = ?"
            " ORDER BY txn DESC LIMIT ?",
            webhook,
            limit,
        )
        return [Dead(*row) for row in rows]


def _webhook(row: tuple[Any, ...]) -> Webhook:
    id, name, url, secret, text, cursor, is_paused, created_ms, old_values, fresh_until = row
    chosen = Permissions({"read": json.loads(text)})
    return Webhook(
        id, name, url, secret, chosen, cursor, bool(is_paused), created_ms, bool(old_values),
        fresh_until,
    )  # fmt: skip


def _check_url(url: str) -> None:
    if url.startswith(SCHEME):
        check_topic(url.removeprefix(SCHEME))
        return
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or len(url) > URL_CHARS_MAX or not url.isprintable() or not url.isascii():
        raise ValueError('"url" is an http or https URL')
    if parts.username is not None:
        raise ValueError('"url" must not hold a password: it is shown; the signature proves us')
