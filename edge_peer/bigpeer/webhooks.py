"""
Webhooks: who is told of changes, and how far they have been told. DATA/webhooks.db.

A webhook has a cursor into the store's own order of changes (`transactionId`) and no
queue: what it has not been told yet is what the store has behind the cursor. So a consumer
that is away costs nothing and loses nothing, and what changed several times meanwhile
is told once, as it is now. `replay` puts the cursor back.

Where only some documents of a collection are told, it is noted which (`told`), so that
one that matches no more is told as removed. `dead` are those that could not be told.

The secret stands here as it is, since signing needs it: the file's mode is 0600.
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from edge_peer.bigpeer.permissions import Permissions
from edge_peer.bigpeer.publisher import SCHEME, check_topic
from edge_peer.bigpeer.side_file import SideFile

WEBHOOK_COUNT_MAX = 100  # each reads the whole feed
DEAD_COUNT_MAX = 10_000  # of one webhook; the oldest go
NAME_CHARS_MAX = 100
URL_CHARS_MAX = 2048
_COLUMNS = "id, name, url, secret, filter, cursor, is_paused, created_ms"


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


@dataclass(frozen=True)
class Dead:
    collection: str
    id: str
    txn: int
    at_ms: int
    error: str


class Webhooks:
    def __init__(self, file: WebhookFile, wall_ms: Callable[[], int]) -> None:
        self._file = file
        self._wall_ms = wall_ms

    def create(self, name: str, url: str, filter: Any, cursor: int) -> Webhook:
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
            secrets.token_hex(8), name, url, secret, chosen, cursor, False, self._wall_ms()
        )
        self._file.run(
            f"INSERT INTO webhook ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            one.id, name, url, secret, json.dumps(chosen.fields["read"]), cursor, 0, one.created_ms,
        )  # fmt: skip
        return one

    def all(self) -> list[Webhook]:
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM webhook ORDER BY created_ms, rowid")
        return [_webhook(row) for row in rows]

    def by_id(self, id: str) -> Webhook | None:
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM webhook WHERE id = ?", id)
        return _webhook(rows[0]) if rows else None

    def remove(self, id: str) -> bool:
        with self._file.together():
            for table in ("told", "dead"):
                self._file.run(f"DELETE FROM {table} WHERE webhook = ?", id)
            return bool(self._file.run("DELETE FROM webhook WHERE id = ?", id))

    def replay(self, id: str, cursor: int) -> bool:
        """Tell again what came after this transaction; a webhook that rested goes on."""
        sql = "UPDATE webhook SET cursor = ?, is_paused = 0 WHERE id = ?"
        return bool(self._file.run(sql, cursor, id))

    def pause(self, id: str) -> None:
        self._file.run("UPDATE webhook SET is_paused = 1 WHERE id = ?", id)

    def close(self) -> None:
        self._file.close()

    # What has been told

    def was_told(self, webhook: str, collection: str, id: str) -> bool:
        sql = "SELECT 1 FROM told WHERE webhook = ? AND collection = ? AND id = ?"
        return bool(self._file.rows(sql, webhook, collection, id))

    def advance(
        self,
        webhook: str,
        cursor: int,
        told: Iterable[tuple[str, str]] = (),
        removed: Iterable[tuple[str, str]] = (),
        dead: Iterable[Dead] = (),
    ) -> None:
        """Note all of this at once. told, removed: (collection, id)"""
        with self._file.together():
            self._file.run("UPDATE webhook SET cursor = ? WHERE id = ?", cursor, webhook)
            for collection, id in told:
                sql = "INSERT OR IGNORE INTO told VALUES (?, ?, ?)"
                self._file.run(sql, webhook, collection, id)
            for collection, id in removed:
                sql = "DELETE FROM told WHERE webhook = ? AND collection = ? AND id = ?"
                self._file.run(sql, webhook, collection, id)
            for one in dead:
                self._file.run(
                    "INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?)",
                    webhook, one.collection, one.id, one.txn, one.at_ms, one.error,
                )  # fmt: skip
            if dead:
                self._file.run(
                    "DELETE FROM dead WHERE webhook = ?1 AND rowid NOT IN (SELECT rowid FROM dead"
                    " WHERE webhook = ?1 ORDER BY rowid DESC LIMIT ?2)",
                    webhook,
                    DEAD_COUNT_MAX,
                )

    def dead(self, webhook: str, limit: int = 100) -> list[Dead]:
        """Return the newest first."""
        rows = self._file.rows(
            "SELECT collection, id, txn, at_ms, error FROM dead WHERE webhook = ?"
            " ORDER BY rowid DESC LIMIT ?",
            webhook,
            limit,
        )
        return [Dead(*row) for row in rows]


def _webhook(row: tuple[Any, ...]) -> Webhook:
    id, name, url, secret, text, cursor, is_paused, created_ms = row
    chosen = Permissions({"read": json.loads(text)})
    return Webhook(id, name, url, secret, chosen, cursor, bool(is_paused), created_ms)


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
