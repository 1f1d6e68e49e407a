"""
Lets attachments go that no document names any more.

Each LOOK_S all documents are looked at for tokens, in small steps. What none has named for
GRACE_MS is deleted: an upload may come long before the document that names it, and a
document that was deleted by mistake may be written anew. Since when is kept in memory: a
Big Peer that starts anew begins to wait again.

A document that comes while the others are looked at is looked at last, in one step with
the deletion, so nothing that is named goes.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from edge_peer.core import document as documents
from edge_peer.core.errors import FormatError, StorageError
from edge_peer.core.kinds import ATTACHMENT_ID_SIZE
from edge_peer.core.limits import KEPT, PIECES
from edge_peer.core.packing import Reader
from edge_peer.core.store.attachments import name_of, piece_count
from edge_peer.host import system

if TYPE_CHECKING:
    from edge_peer.core.store.store import Store

LOOK_S = 3_600
GRACE_MS = 24 * 3_600_000
STEP_S = 0.005  # between two turns of the event loop
READ_COUNT = 500
# As kinds.packed_token begins: an array of three, the first of them the id's bytes. Others that
# look so count, too.
_TOKEN = re.compile(rb"(?=\x93\xc4%c(.{%d}))" % (ATTACHMENT_ID_SIZE, ATTACHMENT_ID_SIZE), re.DOTALL)


class Collector:
    def __init__(self, store: "Store", wall_ms: Callable[[], int]) -> None:
        self.gone_count = 0
        self._store = store
        self._wall_ms = wall_ms
        self._since_ms: dict[str, int] = {}  # by name: when it was found to be in no document

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except StorageError as error:
                system.log(f"attachments stay, as the store failed: {error}")

    async def look(self) -> None:
        """Look at all documents once, and delete what has not been named for long."""
        log, cursor = self._store.log, self._store.arrival
        sizes = {name: Reader(body).varint() for name, body in log.scan(KEPT)}
        free = set(sizes)
        turn_s = time.monotonic()
        for collection in log.collections() if free else ():
            for _, body in log.scan(collection):
                free.difference_update(_named(body))
                if time.monotonic() - turn_s > STEP_S:
                    await asyncio.sleep(0)
                    turn_s = time.monotonic()
        while puts := log.since(cursor, READ_COUNT):  # and from here on nobody has a turn
            cursor = puts[-1][2]
            for _, _, _, body in puts:
                free.difference_update(_named(body))
        now_ms = self._wall_ms()
        self._since_ms = {name: self._since_ms.get(name, now_ms) for name in free}
        old = [name for name, since_ms in self._since_ms.items() if since_ms <= now_ms - GRACE_MS]
        for name in old:
            del self._since_ms[name]
            numbers = range(piece_count(sizes[name]))
            # The entry that says that it is whole first: what is killed then looks unfinished.
            log.drop([(KEPT, name)])
            log.drop([(PIECES, f"{name}{number:x}") for number in numbers])
            self.gone_count += 1


def _named(body: bytes) -> Iterable[str]:
    """Return the names of the attachments that a document has."""
    ids = _TOKEN.findall(body)
    if not ids:
        return ()
    try:
        is_deleted = documents.is_deleted(documents.decode(body))
    except FormatError:  # damaged: it may be mended
        is_deleted = False
    return () if is_deleted else {name_of(id) for id in ids}
