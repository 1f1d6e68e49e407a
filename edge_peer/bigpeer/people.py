"""
People: a name and a password each. Whoever is here may do everything.

A password is kept as its scrypt (RFC 7914) with a salt of its own, by OpenSSL through
hashlib: 32 MiB and a tenth of a second for each guess, and for each sign-in. It is worked
out in a thread, one at a time, so a flood of sign-ins takes 32 MiB and one core, never
more, and the event loop goes on.

There is no default password. The first person is made with a token that the Big Peer
prints when it starts and nobody is here yet; it is new with each start, and ends with
its first use. `edge-peer big person set NAME` makes more, and new passwords.
"""

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable

from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.vault import Vault

NAME_CHARS_MAX = 64
PASSWORD_CHARS_MIN = 12  # there is no second factor
PASSWORD_CHARS_MAX = 256  # longer ones are not even hashed
PERSON_COUNT_MAX = 1_000
WAITING_COUNT_MAX = 16  # sign-ins that wait for their turn: two seconds
SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P = 15, 8, 1  # 128 * N * r = 32 MiB
_MEMORY_BYTES_MAX = 64 << 20
_SALT_BYTES = 16


class People:
    def __init__(self, vault: Vault, wall_ms: Callable[[], int]) -> None:
        self._vault = vault
        self._wall_ms = wall_ms
        self._one_at_a_time = asyncio.Lock()
        self._waiting_count = 0
        self._nobodys = hash_of("")  # so that a wrong name takes as long as a wrong password
        self.set_up_token = "" if self.any() else secrets.token_urlsafe(24)

    def any(self) -> bool:
        return bool(self._vault.rows("SELECT 1 FROM person LIMIT 1"))

    def names(self) -> list[str]:
        return [row[0] for row in self._vault.rows("SELECT name FROM person ORDER BY name")]

    def is_set_up_token(self, given: str) -> bool:
        """Return whether it makes the first person; once there is one nothing does."""
        token = self.set_up_token
        return bool(token) and hmac.compare_digest(_bytes(given), token.encode()) and not self.any()

    async def set_up(self, token: str, name: str, password: str) -> None:
        """Make the first person. Raises ValueError with a sentence."""
        check(name, password)
        async with self._one_at_a_time:
            if not self.is_set_up_token(token):
                raise ValueError("this address has been used, or is that of an earlier start")
            hashed = await asyncio.to_thread(hash_of, password)
            self.set_up_token = ""
            set_password(self._vault, name, hashed, self._wall_ms())

    async def change(self, name: str, password: str) -> None:
        """Give somebody a new password, which ends their sessions. Raises ValueError."""
        check(name, password)
        async with self._one_at_a_time:
            hashed = await asyncio.to_thread(hash_of, password)
            set_password(self._vault, name, hashed, self._wall_ms())

    async def knows(self, name: str, password: str) -> bool:
        """Raises Refusal when too many others are waiting."""
        if len(password) > PASSWORD_CHARS_MAX or len(name) > NAME_CHARS_MAX:
            return False
        if self._waiting_count >= WAITING_COUNT_MAX:
            text = "too many people are signing in at once; try again in a moment"
            raise Refusal(503, "busy", text, retry_after_s=2)
        self._waiting_count += 1
        try:
            return await self._knows(name, password)
        finally:
            self._waiting_count -= 1

    async def _knows(self, name: str, password: str) -> bool:
        async with self._one_at_a_time:
            rows = self._vault.rows("SELECT password FROM person WHERE name = ?", _text(name))
            hashed = rows[0][0] if rows else self._nobodys
            fits = await asyncio.to_thread(_fits, password, hashed)
        return fits and bool(rows)


def check(name: str, password: str) -> None:
    """Raises ValueError for what is no name, or no password to take."""
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable() or name != name.strip():
        raise ValueError(f"a name has 1 to {NAME_CHARS_MAX} printable characters")
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        raise ValueError(
            f"a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters;"
            " four words that have nothing to do with each other are a good one"
        )
    if name.lower() in password.lower() and len(password) < 2 * PASSWORD_CHARS_MIN:
        raise ValueError("a password does not contain the name")


def set_password(vault: Vault, name: str, hashed: str, now_ms: int) -> None:
    """Make this person, or a new password for them, which ends their sessions."""
    (others,) = vault.rows("SELECT count(*) FROM person WHERE name <> ?", name)[0]
    if others >= PERSON_COUNT_MAX:
        raise ValueError(f"there are {PERSON_COUNT_MAX} people already")
    vault.run(
        "INSERT INTO person VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET password = excluded.password",
        name,
        hashed,
        now_ms,
    )
    vault.run("DELETE FROM session WHERE person = ?", name)


def hash_of(password: str) -> str:
    """Return "scrypt", log2 N, r, p, salt and digest, joined by $."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _scrypt(password, salt, SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)
    cost = f"{SCRYPT_LOG_N}${SCRYPT_R}${SCRYPT_P}"
    return f"scrypt${cost}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def _fits(password: str, hashed: str) -> bool:
    _, log_n, r, p, salt, digest = hashed.split("$")
    found = _scrypt(password, b64decode(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(found, b64decode(digest))


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        _bytes(password), salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MEMORY_BYTES_MAX, dklen=32
    )


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


def _text(text: str) -> str:
    return _bytes(text).decode()
