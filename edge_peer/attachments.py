"""
Attachments for a program: waiting for one, and reading it piece by piece.

Loaded with the first of them; core/store/attachments.py has the rules.
"""

import asyncio

from edge_peer.core.errors import EdgeError, StorageError
from edge_peer.core.limits import PIECE_BYTES
from edge_peer.core.store.attachments import piece_count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from edge_peer.core.kinds import Attachment
    from edge_peer.core.store.attachments import Attachments, Want
    from edge_peer.core.store.store import Store

ATTEMPTS_MAX = 3  # at a blob of which what came was not what its id says


class Blob:
    """What an attachment holds: iterate over it in pieces, or read it as a file."""

    def __init__(self, attachments: "Attachments", token: "Attachment") -> None:
        self.token = token
        self._attachments = attachments
        self._position = 0

    def __iter__(self) -> "Iterator[bytes]":
        """Yield all of it, at most PIECE_BYTES at a time."""
        for number in range(piece_count(self.token.size)):
            yield self._piece(number)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes more, all that is left for -1, b"" at the end.

        Raises StorageError if room was needed since and it has gone; fetch it again.
        """
        end = self.token.size
        if size >= 0:
            end = min(end, self._position + size)
        parts = []
        while self._position < end:
            start = self._position % PIECE_BYTES
            piece = self._piece(self._position // PIECE_BYTES)
            parts.append(piece[start : start + end - self._position])
            self._position += len(parts[-1])
        return b"".join(parts)

    def seek(self, position: int) -> int:
        self._position = min(max(0, position), self.token.size)
        return self._position

    def _piece(self, number: int) -> bytes:
        piece = self._attachments.read(self.token.id, number)
        if piece is None:
            raise StorageError("the attachment had to make room; fetch it again")
        return piece


async def fetch(
    store: "Store",
    system: "Any",
    token: "Attachment",
    on_progress: "Callable[[int, int], None] | None",
    timeout_s: float,
) -> Blob:
    """See SmallPeer.fetch. system: host/system.py, board/system.py."""
    attachments = store.attachments
    if attachments.whole(token.id) != token.size:
        want = attachments.want(token)
        try:
            await _complete(attachments, want, system, on_progress, timeout_s)
        finally:
            attachments.unwant(want)
    return Blob(attachments, token)


async def _complete(
    attachments: "Attachments",
    want: "Want",
    system: "Any",
    on_progress: "Callable[[int, int], None] | None",
    timeout_s: float,
) -> None:
    changed = asyncio.Event()
    want.listeners.append(changed.set)
    for _ in range(ATTEMPTS_MAX):
        missing_count = -1
        while want.missing_count:
            if want.error is not None:
                raise want.error
            if want.missing_count != missing_count:
                due_ms = system.now_ms() + int(1000 * timeout_s)
                missing_count = want.missing_count
                if on_progress is not None:
                    on_progress(max(0, want.size - missing_count * PIECE_BYTES), want.size)
            left_ms = due_ms - system.now_ms()
            if left_ms <= 0:
                raise EdgeError(
                    "no neighbour has the attachment: for %d s nothing came, %d pieces are missing"
                    % (timeout_s, want.missing_count)
                )
            changed.clear()
            await system.wait(changed, left_ms)
        if attachments.verify(want):
            if on_progress is not None:
                on_progress(want.size, want.size)
            return
    raise StorageError("neighbours sent something that is not this attachment")
