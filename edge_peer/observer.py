"""
What `SmallPeer.observe` returns. Loaded with the first of them (core/query/observe.py works).
"""

import asyncio

from edge_peer.core.query.observe import LiveResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_peer.core.query.execute import Codec
    from edge_peer.core.query.observe import Diff, Rows
    from edge_peer.core.store.store import Store

    Callback = Callable[[Rows, Diff], None]


class Observer:
    """`rows` is the current result of a SELECT.

    Without a callback, `async for rows, diff in observer` yields it, and again after
    changes, until `cancel()`. A reader that is slow gets several changes as one.
    """

    def __init__(
        self,
        store: "Store",
        codec: "Codec",
        text: str,
        arguments: "dict[str, Any]",
        callback: "Callback | None",
        on_error: "Callable[[Exception], None]",
    ) -> None:
        """callback(rows, diff) is called now and after every change. What it raises goes
        to on_error: the write that it hears of has happened already. Raises QueryError.
        """
        self.on_cancel: Callable[[], None] | None = None
        self._callback = callback
        self._on_error = on_error
        self._is_telling = False
        self._is_cancelled = False
        self._news = asyncio.Event()
        self._news.set()
        changed = self._news.set if callback is None else self._tell
        self._result = LiveResult(store, codec, text, arguments, changed)
        self.rows = self._result.rows
        if callback is not None:
            self._tell()

    def cancel(self) -> None:
        """End it; harmless when it has ended."""
        if not self._is_cancelled:
            self._is_cancelled = True
            self._result.close()
            self._news.set()
            if self.on_cancel is not None:
                self.on_cancel()

    def __aiter__(self) -> "Observer":
        return self

    async def __anext__(self) -> "tuple[Rows, Diff]":
        assert self._callback is None, "an observer has a callback, or is iterated"
        while not self._is_cancelled:
            await self._news.wait()
            self._news.clear()
            diff = None if self._is_cancelled else self._result.next_diff()
            if diff is not None:
                return self.rows, diff
        raise StopAsyncIteration

    def _tell(self) -> None:
        """Call the callback until nothing is new; it may itself write."""
        if self._is_telling:
            return
        assert self._callback is not None
        self._is_telling = True
        try:
            diff = self._result.next_diff()
            while diff is not None and not self._is_cancelled:
                self._callback(self.rows, diff)
                diff = self._result.next_diff()
        except Exception as error:
            self._on_error(error)
        self._is_telling = False
