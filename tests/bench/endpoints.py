"""
A Small Peer and a Big Peer on files, for measurements over real TCP.

What a Big Peer needs takes seconds to import, so only who runs one does.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from edge_peer.config import Config
from edge_peer.peer import SmallPeer
from edge_peer.security import certificate as certificates

sys.path.append(str(Path(__file__).parents[1]))  # the helpers of the tests
from peers import identity_file  # noqa: E402

POLL_S = 0.02
LIMIT_S = 300  # for what can only hang when something is broken
ARRAY_SIZE = 1_000  # documents that one statement inserts
INSERT = "INSERT INTO readings DOCUMENTS (:new) ON ID CONFLICT DO UPDATE"
ALL = "SELECT * FROM readings"
COUNT = "SELECT COUNT(*) AS n FROM readings"


class Small:
    """A Small Peer on a file, linked to `port` while inside `linked()`."""

    def __init__(self, folder, name, port, documents_max=1 << 20, relay=False, deflate=True):
        storage = {"path": str(Path(folder) / f"{name}.db"), "documents_max": documents_max}
        links = [{"kind": "lan", "host": "127.0.0.1", "port": port, "deflate": deflate}]
        role = certificates.RELAY if relay else certificates.DEVICE
        identity = identity_file(Path(folder), name, role)
        fields = {"identity": identity, "storage": storage, "links": links}
        self.peer = SmallPeer(Config(fields | {"info_interval_s": 0, "relay": relay}))

    def meet(self, other):
        """Know another's certificate, as if it had been linked to this one."""
        store, certificate = other.peer.store, other.peer._links.local.keyring.certificate
        self.peer._guard.judge.meet(store.author, store.incarnation, certificate)

    def write(self, readings):
        for start in range(0, len(readings), ARRAY_SIZE):
            self.peer.execute(INSERT, {"new": readings[start : start + ARRAY_SIZE]})

    @contextlib.asynccontextmanager
    async def linked(self):
        task = asyncio.create_task(self.peer.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def is_uploaded(self):
        return self.peer.status()["unsynced"] == 0

    def document_count(self):
        return self.peer.status()["documents"]

    def close(self):
        self.peer.store.log.close()


@contextlib.asynccontextmanager
async def big_peer(folder):
    """Yield (Big Peer, port of its sync)."""
    from edge_peer.bigpeer import ingress
    from edge_peer.bigpeer.server import BigPeer
    from edge_peer.bigpeer.settings import Settings

    Path(folder).mkdir(exist_ok=True)
    identity_file(Path(folder), "identity", certificates.BIG_PEER)
    big = BigPeer(Settings(data=Path(folder)))
    listener = await ingress.listen(big.served, "127.0.0.1", 0)
    try:
        yield big, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        big.close()


async def until(condition):
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(POLL_S)


def has_all(big, count):
    """Return whether a Big Peer has so many readings, beside certificates."""
    return big.transaction_id() >= count and big.execute(COUNT).items[0]["n"] == count
