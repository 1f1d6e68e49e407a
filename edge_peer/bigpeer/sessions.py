"""
Sessions: browsers that have shown who sits before them.

The browser holds 192 random bits in a cookie, the vault their SHA-256 and whose they
are: a person's, or a key's. So a session ends when somebody ends it here, or with its
time, or with the key, and not when a browser says so.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_peer.bigpeer.vault import Vault

IDLE_MS = 12 * 3_600_000  # without a request and without an open page
LIFE_MS = 30 * 86_400_000
SESSION_COUNT_MAX = 1_000  # the one that was used least recently goes
USED_MS = 60_000  # use is written once in so long
TOKEN_CHARS_MAX = 64
_LIVE = (
    f" used_ms > ?1 - {IDLE_MS} AND created_ms > ?1 - {LIFE_MS}"
    " AND (key IS NULL OR EXISTS (SELECT 1 FROM key WHERE key.id = session.key AND"
    " revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?1)))"
)


@dataclass(frozen=True)
class Session:
    who: str  # a person's name, or that of a key
    person: str | None
    used_ms: int
    digest: bytes = field(repr=False)


class Sessions:
    def __init__(self, vault: Vault, wall_ms: Callable[[], int]) -> None:
        self._vault = vault
        self._wall_ms = wall_ms
        self._watchers: dict[bytes, set[Callable[[], None]]] = {}

    def begin(self, person: str | None = None, key_id: str | None = None) -> str:
        """Return the token of a new session, for the cookie."""
        token = secrets.token_urlsafe(24)
        now_ms = self._wall_ms()
        self._vault.run(
            "DELETE FROM session WHERE digest IN (SELECT digest FROM session"
            " ORDER BY used_ms DESC LIMIT -1 OFFSET ?)",
            SESSION_COUNT_MAX - 1,
        )
        self._vault.run(
            "INSERT INTO session VALUES (?, ?, ?, ?, ?)",
            _digest(token), person, key_id, now_ms, now_ms,
        )  # fmt: skip
        return token

    def find(self, token: str) -> Session | None:
        """Return the live session of a token, and note its use."""
        if not 0 < len(token) <= TOKEN_CHARS_MAX:
            return None
        return self.look(_digest(token))

    def look(self, digest: bytes) -> Session | None:
        now_ms = self._wall_ms()
        rows = self._vault.rows(
            "SELECT coalesce(person, (SELECT name FROM key WHERE id = session.key), ''),"
            " person, used_ms, digest FROM session WHERE digest = ?2 AND" + _LIVE,
            now_ms,
            digest,
        )
        if not rows:
            return None
        session = Session(*rows[0])
        if not 0 <= now_ms - session.used_ms < USED_MS:
            self._vault.run("UPDATE session SET used_ms = ? WHERE digest = ?", now_ms, digest)
        return session

    def end(self, session: Session) -> None:
        self._vault.run("DELETE FROM session WHERE digest = ?", session.digest)
        self.look_again()

    def end_all(self) -> None:
        self._vault.run("DELETE FROM session")
        self.look_again()

    def end_others(self, session: Session) -> int:
        """End all sessions but this one, of whomever; return how many that were."""
        count = self._vault.run("DELETE FROM session WHERE digest <> ?", session.digest)
        self.look_again()
        return count

    def count(self) -> int:
        """Return how many live."""
        rows = self._vault.rows("SELECT count(*) FROM session WHERE" + _LIVE, self._wall_ms())
        return int(rows[0][0])

    # Open pages

    def watch(self, session: Session, is_over: Callable[[], None]) -> None:
        """Call back when the session may have been ended here."""
        self._watchers.setdefault(session.digest, set()).add(is_over)

    def unwatch(self, session: Session, is_over: Callable[[], None]) -> None:
        watchers = self._watchers.get(session.digest, set())
        watchers.discard(is_over)
        if not watchers:
            self._watchers.pop(session.digest, None)

    def look_again(self) -> None:
        """Let open pages see whether their sessions live."""
        for watchers in list(self._watchers.values()):
            for is_over in list(watchers):
                is_over()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
