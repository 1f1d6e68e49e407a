"""
Several workers on one PostgreSQL database are one peer to devices.

`make test-postgres` runs it, with the PostgreSQL of this system.
"""

import asyncio
import os
import shutil
from contextlib import suppress

import pytest
from app import APP, device
from linked import BIG, Peer, Wire
from peers import running, until

from edge_peer.bigpeer import lease as leases
from edge_peer.bigpeer import stores
from edge_peer.bigpeer.people import People, hash_of, set_password
from edge_peer.bigpeer.sessions import Sessions
from edge_peer.bigpeer.telling import Batch
from edge_peer.bigpeer.tenant import Tenant
from edge_peer.bigpeer.webhooks import Dead
from edge_peer.core.query.execute import Executor
from edge_peer.core.sync.session import Local
from edge_peer.host import codec, system

pytestmark = pytest.mark.skipif(not os.environ.get("POSTGRES"), reason="`make test-postgres`")


class Entropy:
    bytes = staticmethod(system.entropy)


class Worker(Peer):
    """As linked.Peer, with a store that others share."""

    def __init__(self, place):
        keyring = device("big", BIG, Entropy(), APP)
        self.store = stores.open_store(
            place, keyring.certificate.key, system.wall_ms, system.entropy
        )
        self.executor = Executor(self.store, codec)
        self.local = Local(keyring, BIG, self.store, self.executor.matcher, system.entropy)
        self.wanted, self.covers_them = (), False


@pytest.fixture(scope="module")
def database():
    from postgres_server import Postgres

    database = Postgres()
    yield database
    database.stop()


@pytest.fixture
def workers(database, request):
    place = {"url": database.url, "schema": f"w_{abs(hash(request.node.name))}"}
    workers = [Worker(place), Worker(place)]
    yield workers
    for worker in workers:
        with suppress(Exception):
            worker.store.log.close()


def sent(wire):
    return [session.sync.sent_count() for session in wire.sessions]


def test_a_device_that_comes_from_another_worker_goes_on_where_it_was(workers):
    device = Peer("device")
    device.wanted = (("SELECT * FROM settings", b"\x80", 0),)
    one, other = workers
    for n in range(30):
        device.insert(n=n)
    one.executor.execute("INSERT INTO settings DOCUMENTS ({'_id': 's', 'n': 1})", {})
    Wire(device, one).run()
    assert one.readings() == list(range(30)) == other.readings()
    assert device.store.get("settings", "s") is not None
    assert device.store.unsynced_count() == 0
    device.insert(n=30)
    other.executor.execute("UPDATE settings SET n = 2 WHERE _id = 's'", {})
    wire = Wire(device, other)
    wire.run()
    assert one.readings() == list(range(31))
    assert device.executor.execute("SELECT n FROM settings").items == [{"n": 2}]
    assert device.store.unsynced_count() == 0
    assert sent(wire) == [1, 1], "what the first worker has had is not sent again"


def test_a_device_of_one_worker_gets_what_comes_by_another(workers):
    writer, reader = Peer("writer"), Peer("reader")
    reader.wanted = (("SELECT * FROM readings", b"\x80", 0),)
    one, other = workers
    wire = Wire(reader, other)
    wire.run()
    for n in range(3):
        writer.insert(n=n)
        Wire(writer, one).run()
        other.store.catch_up()
        wire.run()
        assert reader.readings() == list(range(n + 1))
    assert reader.store.known(writer.store.author) == writer.store.own_seq


def test_listeners_are_told_once_what_another_worker_commits(workers):
    one, other = workers
    told = []
    other.store.on_commit(lambda puts, gone: told.extend(put[2] for put in puts))

    async def main():
        async with running(other.store.follow()):
            for n in range(20):
                one.insert(n=n)
                await until(lambda n=n: len(told) == n + 1, "what was committed")
            other.insert(n=20)
            assert len(told) == 21
            one.insert(n=21)
            await until(lambda: len(told) >= 22, "what was committed")

    asyncio.run(main())
    assert told == sorted(set(told))


def test_while_the_database_is_away_nothing_waits_and_then_all_goes_on(workers, database):
    one, other = workers
    one.insert(n=0)
    heard = []
    other.store.on_commit(lambda puts, gone: heard.extend(puts))

    async def main():
        async with running(other.store.follow()):
            await until(lambda: len(heard) == 0, "nothing")
            database.halt("immediate")
            for _ in range(50):  # each would be a wait, if any of them waited
                with pytest.raises(Exception, match="PostgreSQL"):
                    one.insert(n=-1)
            database.start()
            await until(lambda: not one.store.log.base.is_away, "the database")
            one.insert(n=1)
            await until(lambda: heard, "what was committed")

    asyncio.run(main())
    assert one.readings() == [0, 1] == other.readings()


def test_keys_people_and_webhooks_are_everybodys(database, tmp_path):
    url, folder = database.url, tmp_path / "a"
    one = Tenant(folder, database=url)
    (tmp_path / "b").mkdir()
    shutil.copy2(folder / "identity.json", tmp_path / "b")
    other = Tenant(tmp_path / "b", database=url)
    try:
        _, key = one.keys.create("a key", None)
        assert other.keys.find(key) is not None and len(other.keys.all()) == 2
        set_password(one.vault, "anna", hash_of("four words of nothing"), 1)
        assert People(other.vault, system.wall_ms).any()
        sessions = Sessions(one.vault, system.wall_ms)
        token = sessions.begin("anna")
        assert Sessions(other.vault, system.wall_ms).find(token) is not None
        hook = one.webhooks.create("w", "https://example.org", {"everything": True}, 0)
        dead = [Dead("c", "a\0b", 7, 1, "gone")]
        batch = Batch(told=[("c", "a\0b")], dead=dead)
        other.webhooks.advance(hook, 7, batch)
        assert one.webhooks.by_id(hook.id).cursor == 7 and one.webhooks.dead(hook.id) == dead
        assert one.webhooks.was_told(hook.id, "c", "a\0b")
        other.webhooks.replay(hook.id, 3, 7)
        one.webhooks.advance(one.webhooks.by_id(hook.id), 9, Batch())
        one.webhooks.advance(hook, 12, Batch())
        assert one.webhooks.by_id(hook.id).cursor == 9, "it was put back, and has gone on since"
        assert not (folder / "doors.db").exists() and not (folder / "webhooks.db").exists()
    finally:
        one.close()
        other.close()


def test_one_worker_at_a_time_holds_a_lease_and_another_goes_on_when_it_is_dead(
    workers, monkeypatch
):
    monkeypatch.setattr(leases, "LEASE_S", 0.5)
    monkeypatch.setattr(leases, "RENEW_S", 0.05)
    bases = [worker.store.log.base for worker in workers]
    at_work, most = set(), []

    async def main():
        def work(name):
            async def run():
                at_work.add(name)
                most.append(len(at_work))
                try:
                    await asyncio.Event().wait()
                finally:
                    at_work.discard(name)

            return run

        first = asyncio.create_task(leases.Lease(bases[0], "chore").holding(work("first")))
        await until(lambda: at_work == {"first"}, "the first worker")
        async with running(leases.Lease(bases[1], "chore").holding(work("second"))):
            # What a kill does: nobody puts it off any more.
            monkeypatch.setattr(leases.Lease, "_give_back", lambda self: None)
            first.cancel()
            await until(lambda: at_work == {"second"}, "the second worker")

    asyncio.run(main())
    assert max(most) == 1
