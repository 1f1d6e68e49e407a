"""
Move frames and time between one Session and one channel (transport/stream.py).

A pump decides nothing: every rule about what frames mean is in edge_peer.core.
If an `if` here asks about a frame's contents, it is in the wrong file.
"""

import asyncio

from edge_peer.core.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from edge_peer.core.sync.session import Session

    class Channel(Protocol):
        async def receive(self) -> list[bytes]: ...
        async def send(self, frames: list[bytes]) -> None: ...
        async def close(self) -> None: ...
        def damaged_count(self) -> int: ...


WAIT_MS_MAX = 60_000  # what changes meanwhile wakes

# The wire is gone; or a board had neither memory nor stack left for what was asked of it.
_BROKEN = (OSError, MemoryError, RuntimeError)


def about(wait_ms: int, entropy: "Callable[[int], bytes]") -> int:
    """Return half to all of a time, by chance: who was lost together does not come back so."""
    return wait_ms - wait_ms * entropy(1)[0] // 512


class Pump:
    def __init__(
        self, session: "Session", channel: "Channel", system: "Any", quiet_ms: int = 0
    ) -> None:
        """
        system: this runtime's clock and way to wait (host/system.py, board/system.py).
        quiet_ms: an open link that is silent for so long, with nothing of ours unanswered, makes
            room for others; 0 for never.
        """
        self.session = session
        self.channel = channel
        self._system = system
        self._quiet_ms = quiet_ms
        self._moved_ms = 0  # when a frame came or went, or was waited for
        self._changed = asyncio.Event()
        self._failure: StorageError | None = None

    def wake(self) -> None:
        """Call when the session may have something to send."""
        self._changed.set()

    async def run(self) -> None:
        """Pump until the session or the wire is closed; always close both.

        Raises StorageError when the store failed: what was in flight is then not
        acknowledged, neither by the link nor by a broker beneath it.
        """
        reading = asyncio.create_task(self._read())
        try:
            while not self.session.is_closed():
                await self._compute()
                await self._send()
                await self._wait()
                self.session.handle_timeout(self._system.now_ms())
                if self._quiet_ms and self._system.now_ms() >= self._quiet_at_ms():
                    self.session.close("nothing is left to say")
            await self._send()  # the goodbye
        except _BROKEN as error:
            self.session.close(str(error))
        finally:
            reading.cancel()
            self.session.close("stopped")
            await self.channel.close()
        if self._failure is not None:
            raise self._failure

    async def _read(self) -> None:
        try:
            while not self.session.is_closed():
                for frame in await self.channel.receive():
                    await self._compute()
                    self.session.receive_frame(frame, self._system.now_ms())
                    self._moved_ms = self._system.now_ms()
                await self._compute()
                self._changed.set()
        except _BROKEN as error:
            self.session.close(str(error))
        except StorageError as error:
            self._failure = error
            self.session.close(str(error))
        self._changed.set()

    async def _compute(self) -> None:
        """Let the session compute keys; everything else has its turn between two stretches."""
        while self.session.step(self._system.now_ms()):
            await asyncio.sleep(0)

    async def _send(self) -> None:
        frames = self.session.frames_to_send(self._system.now_ms())
        if frames:
            await self.channel.send(frames)
            self._moved_ms = self._system.now_ms()

    def _quiet_at_ms(self) -> int:
        if self.session.sync is None or not self.session.is_idle():
            self._moved_ms = self._system.now_ms()
        return self._moved_ms + self._quiet_ms

    async def _wait(self) -> None:
        if self.session.is_closed():
            return
        deadline_ms = self.session.deadline_ms()
        delay_ms = WAIT_MS_MAX
        if deadline_ms is not None:
            delay_ms = min(delay_ms, deadline_ms - self._system.now_ms())
        if self._quiet_ms:
            delay_ms = min(delay_ms, self._quiet_at_ms() - self._system.now_ms())
        if delay_ms > 0:
            await self._system.wait(self._changed, delay_ms)
        self._changed.clear()
