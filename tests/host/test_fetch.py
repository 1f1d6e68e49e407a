"""Attachments as a program meets them: attach, fetch, and the Big Peer over TCP."""

import asyncio
import random
import time

import pytest
from peers import identity_file, running, until
from test_peer import config

from edge_peer import Attachment, EdgeError, SmallPeer, StoreFull
from edge_peer.bigpeer.ingress import listen
from edge_peer.core.store.attachments import ASKED_MS

BLOB = random.Random(1).randbytes(300_000)
ABSENT = Attachment(bytes(16), 700, "a/b")


@pytest.fixture
def peers(tmp_path, big):
    """(open, big): open(name) makes a Small Peer that is linked to the Big Peer while it runs."""
    opened = []

    def open_one(name, port, **storage):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        path = config(
            folder,
            identity=identity_file(folder, name),
            links=[{"kind": "lan", "host": "127.0.0.1", "port": port}],
            storage={"path": "store.db"} | storage,
        )
        opened.append(SmallPeer.open(path))
        return opened[-1]

    yield open_one, big
    for peer in opened:
        peer.store.log.close()


def linked(peers, *names, **storage):
    """Return (a function that runs main(*small peers) with links up)."""
    open_one, big = peers

    def run(main):
        async def all_of_it():
            server = await listen(lambda: [big.links], "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            small = [open_one(name, port, **storage) for name in names]
            async with running(*[peer.run() for peer in small]):
                await main(*small)
            server.close()

        asyncio.run(all_of_it())

    return run


def test_what_one_peer_attached_another_fetches_by_way_of_the_big_peer(peers, tmp_path):
    (tmp_path / "photo").write_bytes(BLOB)

    async def main(a, b):
        b.subscribe("SELECT * FROM visits")
        with open(tmp_path / "photo", "rb") as file:
            token = a.attach(file, "image/jpeg")
        a.execute("INSERT INTO visits DOCUMENTS (:v)", {"v": {"photo": token}})
        await until(lambda: b.execute("SELECT photo FROM visits").items, "the document")
        received = b.execute("SELECT photo FROM visits").items[0]["photo"]
        assert received == token
        progress = []
        blob = await b.fetch(received, lambda done, size: progress.append((done, size)))
        assert b"".join(blob) == BLOB
        assert progress == sorted(progress) and progress[-1] == (300_000, 300_000)
        await until(lambda: not a.store.attachments.kept, "the Big Peer to have it")

    linked(peers, "a", "b")(main)


def test_what_is_here_is_fetched_without_anybody(tmp_path):
    peer = SmallPeer.open(config(tmp_path))
    token = peer.attach(b"x" * 2_000, "text/plain")

    async def main():
        return (await peer.fetch(token, timeout_s=0)).read()

    assert asyncio.run(main()) == b"x" * 2_000


def test_what_nobody_has_is_given_up_and_says_so(peers):
    async def main(a):
        with pytest.raises(EdgeError, match="no neighbour has the attachment"):
            await a.fetch(ABSENT, timeout_s=0.05)
        assert not a.store.attachments.wants

    linked(peers, "a")(main)


def test_a_fetch_that_is_cancelled_leaves_nothing_running(peers):
    async def main(a):
        task = asyncio.create_task(a.fetch(ABSENT))
        await until(lambda: a.store.attachments.wants, "the fetch to begin")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not a.store.attachments.wants

    linked(peers, "a")(main)


def test_two_fetches_of_the_same_share_what_comes(peers):
    async def main(a, b):
        token = a.attach(BLOB)
        began_s = time.monotonic()
        blobs = await asyncio.gather(b.fetch(token), b.fetch(token))
        assert [blob.read() for blob in blobs] == [BLOB, BLOB]
        assert time.monotonic() - began_s < ASKED_MS / 1000  # nothing was asked for twice

    linked(peers, "a", "b")(main)


def test_what_is_larger_than_the_share_is_refused_at_once(peers):
    async def main(a, b):
        with pytest.raises(StoreFull, match="300000 bytes"):
            await b.fetch(Attachment(bytes(16), 300_000, "a/b"))

    linked(peers, "a", "b", attachments={"quota_bytes": 10_000})(main)


def test_documents_wait_for_no_attachment(peers):
    async def main(a):
        a.attach(random.Random(2).randbytes(5_000_000))
        began_s = time.monotonic()
        for n in range(20):
            a.execute("INSERT INTO c DOCUMENTS (:d)", {"d": {"n": n}})
        store = peers[1].store
        await until(lambda: len(list(store.scan("c"))) == 20, "the documents")
        assert a.store.attachments.kept or time.monotonic() - began_s < 5
        await until(lambda: not a.store.attachments.kept, "the attachment")

    linked(peers, "a")(main)
