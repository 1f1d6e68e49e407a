"""
What one worker does at a time: telling webhooks, retention. Who does it holds a lease.

The lease is a row with an end, by the database's clock, that its holder puts off. Another
worker takes it when it has ended: LEASE_S after a kill, at once after an orderly stop. A
holder that cannot put it off stops in time. One that was frozen meanwhile does its last
step twice at worst, which webhooks allow for ("at least once"): a cursor that has moved on
is not put back.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_peer.core.errors import StorageError

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database

LEASE_S = 8.0
RENEW_S = 2.0
_TAKE = """
    INSERT INTO lease VALUES (%s, %s, now() + %s * interval '1 second')
    ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until
    WHERE lease.holder = EXCLUDED.holder OR lease.until < now()
"""


class Lease:
    """base: the database that workers share; None for who is alone, and always holds it."""

    def __init__(self, base: Database | None, name: str) -> None:
        self._base, self._name = base, name
        self._holder = secrets.token_hex(8)

    async def holding(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run work() while we hold it, again each time that we get it, for ever."""
        if self._base is None:
            await work()
            return
        while True:
            if self._take():
                await self._work(work)
            await asyncio.sleep(RENEW_S)

    async def _work(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.create_task(work())
        until_s = time.monotonic() + LEASE_S
        try:
            while time.monotonic() < until_s - RENEW_S:
                done, _ = await asyncio.wait({task}, timeout=RENEW_S)
                if done:
                    task.result()
                    return
                began_s = time.monotonic()
                taken = self._take()
                if taken:
                    until_s = began_s + LEASE_S
                elif taken is False:
                    return
        finally:
            task.cancel()
            await asyncio.wait({task})
            self._give_back()

    def _take(self) -> bool | None:
        """Return whether we hold it now; None: the database is away."""
        assert self._base is not None
        try:
            return self._base.run(_TAKE, self._name, self._holder, LEASE_S) > 0
        except StorageError:
            return None

    def _give_back(self) -> None:
        assert self._base is not None
        with suppress(StorageError):
            sql = "DELETE FROM lease WHERE name = %s AND holder = %s"
            self._base.run(sql, self._name, self._holder)
