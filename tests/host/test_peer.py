"""SmallPeer as its users meet it: a configuration file, statements, subscriptions."""

import asyncio
import json

import pytest
from peers import identity_file, running, until

from edge_peer import ConfigError, QueryError, SmallPeer, StorageError
from edge_peer.bigpeer.ingress import listen
from edge_peer.guarding import open_guard
from edge_peer.host import codec
from edge_peer.security.certificate import DEVICE, RELAY
from edge_tools.cable import Cable


def config(folder, **changes):
    """Write an edge.json; return its path."""
    fields = {
        "identity": identity_file(folder, "porch"),
        "storage": {"path": "store.db"},
        "links": [],
        "info_interval_s": 0,
    }
    fields.update(changes)
    path = folder / "edge.json"
    path.write_text(json.dumps(fields))
    return str(path)


def device(name):
    return {"app_id": "00" * 16, "device": {"id": "01", "name": name}}


def numbers(peer):
    return [row["n"] for row in peer.execute("SELECT n FROM readings ORDER BY n").items]


def restarted(peer, path):
    peer.store.log.close()
    return SmallPeer.open(path)


def test_what_was_executed_is_there_after_a_restart(tmp_path):
    path = config(tmp_path)
    peer = SmallPeer.open(path)
    ids = peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": [{"n": 1}, {"n": 2}]}).ids
    again = restarted(peer, path)
    assert numbers(again) == [1, 2] and len(set(ids)) == 2
    assert again.status()["unsynced"] == 2
    assert (tmp_path / "store.db").exists()


def test_a_second_process_is_told_that_the_store_is_taken(tmp_path):
    peer = SmallPeer.open(config(tmp_path))
    with pytest.raises(StorageError, match="another process"):
        SmallPeer.open(config(tmp_path))
    peer.store.log.close()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"identity": "none.json"}, "none.json"),
        ({"identity": ""}, "device is missing"),
        ({"app_id": "00" * 16}, "leave them out"),
        ({"identity": "", "app_id": "xyz", "device": {}}, "app_id"),
        ({"identity": "", "app_id": "00" * 16, "device": {"id": "01"}}, "name is missing"),
        ({"identity": "", **device("n" * 65)}, "device.name"),
        ({"identity": "", **device("n"), "links": [{"kind": "lan"}]}, "links need an identity"),
        ({"relay": True}, "must be one of a relay"),
        ({"links": [{"kind": "pigeon"}]}, "kind"),
        ({"links": {}}, "links must be a list"),
        ({"storage": {}}, "path"),
        ({"storage": {"path": "x", "quota_bytes": -1}}, "quota_bytes"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        SmallPeer.open(config(tmp_path, **changes))


def test_a_configuration_that_is_missing_or_no_json_says_so(tmp_path):
    with pytest.raises(ConfigError, match="README"):
        SmallPeer.open(str(tmp_path / "none.json"))
    (tmp_path / "edge.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        SmallPeer.open(str(tmp_path / "edge.json"))


def test_a_subscription_that_cannot_be_kept_is_refused(tmp_path):
    peer = SmallPeer.open(config(tmp_path))
    for statement in ("SELECT * FROM c LIMIT 1", "SELECT * FROM c ORDER BY a", "INSERT"):
        with pytest.raises(QueryError):
            peer.subscribe(statement)
    peer.store.log.close()


def test_a_subscription_brings_what_it_matches_until_it_is_cancelled(tmp_path, big):
    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = {"kind": "lan", "host": "127.0.0.1", "port": port}
        peer = SmallPeer.open(config(tmp_path, links=[link]))
        big.insert(10)
        async with running(peer.run()):
            await until(lambda: big.links.status(), "the link")
            low = peer.subscribe("SELECT * FROM readings WHERE n < :limit", {"limit": 5})
            await until(lambda: numbers(peer) == [0, 1, 2, 3, 4], "what it matches")
            peer.subscribe("SELECT * FROM readings WHERE n = 7")
            await until(lambda: 7 in numbers(peer), "what the second one matches")
            low.cancel()
            sent = big.links.status()[0]["sent"]
            big.execute_one({"n": 3, "late": True})
            big.execute_one({"n": 7, "late": True})
            await until(lambda: numbers(peer).count(7) == 2, "what is still wanted")
            assert numbers(peer).count(3) == 1
            assert big.links.status()[0]["sent"] == sent + 1
        peer.store.log.close()
        server.close()

    asyncio.run(main())


def test_a_subscription_behind_a_relay_brings_what_it_matches_and_nothing_else(tmp_path, big):
    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        uplink = {"kind": "lan", "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
        cable = Cable()
        links = [[{"kind": "serial", "port": path}] for path in cable.paths]
        peers = []
        roles = (("board", DEVICE, links[0]), ("relay", RELAY, [*links[1], uplink]))
        for name, role, own_links in roles:
            folder = tmp_path / name
            folder.mkdir()
            changes = {"identity": identity_file(folder, name, role), "relay": role == RELAY}
            peers.append(SmallPeer.open(config(folder, links=own_links, **changes)))
        board, relay = peers
        open_guard(big.links, codec)  # what goes through a relay is sealed
        big.insert(10)
        low = board.subscribe("SELECT * FROM readings WHERE n < 5")
        async with running(board.run(), relay.run()):
            await until(lambda: numbers(board) == [0, 1, 2, 3, 4], "what is there")
            big.execute_one({"n": 3, "late": True})
            big.execute_one({"n": 7, "late": True})
            await until(lambda: numbers(board).count(3) == 2, "what is new")
            assert numbers(board) == numbers(relay) == [0, 1, 2, 3, 3, 4]
            low.cancel()
            await until(lambda: not big.links.pumps[0].session.sync._sender.wanted, "the news")
            big.execute_one({"n": 4, "late": True})
            board.execute("INSERT INTO readings DOCUMENTS ({n: 20})")
            await until(lambda: 20 in big.numbers(), "what the board wrote")
            assert numbers(board).count(4) == numbers(relay).count(4) == 1
        for peer in peers:
            peer.store.log.close()
        cable.close()
        server.close()

    asyncio.run(main())


def test_a_restart_with_the_same_subscriptions_receives_nothing_twice(tmp_path, big):
    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        path = config(tmp_path, links=[{"kind": "lan", "host": "127.0.0.1", "port": port}])
        big.insert(10)
        assert await sent_to(SmallPeer.open(path)) == 10
        assert await sent_to(SmallPeer.open(path)) == 0
        server.close()

    async def sent_to(peer):
        """Let a peer with both subscriptions receive everything; return how much it was sent."""
        peer.subscribe("SELECT * FROM readings WHERE n < 5")
        peer.subscribe("SELECT * FROM readings WHERE n >= 5")
        async with running(peer.run()):
            await until(lambda: len(numbers(peer)) == 10, "everything")
            await until(lambda: is_settled(peer), "the end of the exchange")
            sent = big.links.status()[0]["sent"]
        await until(lambda: not big.links.pumps, "the link to close")
        peer.store.log.close()
        return sent

    def is_settled(peer):
        resume, base, _ = peer.store.cursors.get(big.store.author, (0, 0, 0))
        return big.links.status() and resume == base == big.store.arrival

    asyncio.run(main())


def test_a_callback_follows_what_is_executed_and_what_arrives(tmp_path):
    peer = SmallPeer.open(config(tmp_path))
    told = []
    observer = peer.observe(
        "SELECT n FROM readings WHERE n > :n ORDER BY n DESC LIMIT 2",
        {"n": 1},
        lambda rows, diff: told.append([row["n"] for row in rows]),
    )
    for n in range(5):
        peer.execute("INSERT INTO readings DOCUMENTS ({n: :n})", {"n": n})
    observer.cancel()
    peer.execute("DELETE FROM readings")
    assert told == [[], [2], [3, 2], [4, 3]]
    peer.store.log.close()


def test_a_live_query_asks_for_what_its_where_finds_until_it_is_cancelled(tmp_path):
    peer = SmallPeer.open(config(tmp_path))
    query = "SELECT name FROM settings WHERE site = 'a' ORDER BY name LIMIT 3"
    observer = peer.live_query(query)
    wanted = "SELECT * FROM settings WHERE site = 'a'"
    assert [one[0] for one in peer._subscriptions.wanted()] == [wanted]
    observer.cancel()
    assert peer._subscriptions.wanted() == ()
    peer.store.log.close()


def test_a_batch_is_all_or_nothing(tmp_path):
    path = config(tmp_path)
    peer = SmallPeer.open(path)
    with peer.batch():
        peer.execute("INSERT INTO readings DOCUMENTS ({_id: 'a', n: 1})")
        peer.execute("UPDATE readings SET n = n + 1 WHERE _id = 'a'")
        peer.execute("INSERT INTO readings INITIAL DOCUMENTS ({_id: 'b', n: 7})")
        assert numbers(peer) == [2, 7]
    with pytest.raises(QueryError), peer.batch():
        peer.execute("DELETE FROM readings")
        peer.execute("no statement")
    assert numbers(restarted(peer, path)) == [2, 7]


def test_the_policy_of_a_collection_is_in_the_configuration(tmp_path):
    storage = {
        "path": "store.db",
        "documents_max": 50,
        "collections": {"readings": {"policy": "drop-oldest", "documents_max": 10}},
    }
    peer = SmallPeer.open(config(tmp_path, storage=storage))
    for n in range(30):
        peer.execute("INSERT INTO readings DOCUMENTS ({n: :n})", {"n": n})
    status = peer.status()
    assert numbers(peer)[-1] == 29 and status["lost_writes"] == 30 - len(numbers(peer)) >= 20
    assert status["collections"]["readings"]["documents"] == len(numbers(peer))
    peer.store.log.close()
    storage["collections"]["readings"]["policy"] = "drop-nothing"
    with pytest.raises(ConfigError, match="policy of readings is one of refuse, drop-oldest"):
        SmallPeer.open(config(tmp_path, storage=storage))
