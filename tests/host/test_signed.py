"""What a device has signed goes through a gateway, by a serial line and TCP."""

import asyncio
import json

from peers import identity_file, running, until

from edge_peer import SmallPeer
from edge_peer.bigpeer.ingress import listen
from edge_peer.core.document import Cell
from edge_peer.core.limits import SIGNED
from edge_peer.guarding import open_guard
from edge_peer.host import codec
from edge_peer.security.certificate import DEVICE, RELAY
from edge_tools.cable import Cable


def opened(folder, name, role, links, signs):
    folder = folder / name
    folder.mkdir()
    config = {
        "identity": identity_file(folder, name, role, signs),
        "storage": {"path": "store.db"},
        "links": links,
        "info_interval_s": 0,
        "relay": role == RELAY,
    }
    (folder / "edge.json").write_text(json.dumps(config))
    return SmallPeer.open(str(folder / "edge.json"))


def test_a_gateway_passes_on_what_a_device_has_signed_and_nothing_in_its_name(tmp_path, big):
    open_guard(big.links, codec)

    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        uplink = {"kind": "lan", "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
        cable = Cable()
        one, two = [{"kind": "serial", "port": path} for path in cable.paths]
        board = opened(tmp_path, "board", DEVICE, [one], True)
        gateway = opened(tmp_path, "gateway", RELAY, [two, uplink], False)
        async with running(board.run(), gateway.run()):
            board.execute(
                "INSERT INTO readings DOCUMENTS (:r)", {"r": [{"n": n} for n in range(50)]}
            )
            await until(lambda: big.numbers() == list(range(50)), "what was signed")
            await until(lambda: not board.status()["unsynced"], "word that it is there")
            assert list(gateway.store.scan(SIGNED)) and not list(board.store.scan(SIGNED))
            cell = Cell(board.store.next_stamp(), board.store.author, 900, 0, codec.pack(900))
            gateway.store.merge([("readings", "forged", {"n": cell})])
            gateway.execute("INSERT INTO readings DOCUMENTS ({n: 77})")
            await until(lambda: 77 in big.numbers(), "what the gateway writes itself")
            assert 900 not in big.numbers()
        for peer in (board, gateway):
            peer.store.log.close()
        cable.close()
        server.close()

    asyncio.run(main())


def test_settings_of_the_big_peer_come_through_a_gateway_and_nothing_in_its_name(tmp_path, big):
    open_guard(big.links, codec)

    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        uplink = {"kind": "lan", "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
        cable = Cable()
        one, two = [{"kind": "serial", "port": path} for path in cable.paths]
        board = opened(tmp_path, "board", DEVICE, [one], False)
        gateway = opened(tmp_path, "gateway", RELAY, [two, uplink], False)
        settings = board.live_query("SELECT * FROM settings", None, lambda *news: None)

        def said():
            return {row["_id"]: row["n"] for row in board.execute("SELECT * FROM settings").items}

        async with running(board.run(), gateway.run()):
            big.executor.execute("INSERT INTO settings DOCUMENTS ({_id: 'a', n: 1})", {})
            await until(lambda: said() == {"a": 1}, "what the Big Peer has set")
            author = big.store.author
            cell = Cell(gateway.store.next_stamp(), author, 900, 0, codec.pack(666))
            gateway.store.merge([("settings", "b", {"n": cell}), ("settings", "a", {"n": cell})])
            big.executor.execute("INSERT INTO settings DOCUMENTS ({_id: 'c', n: 3})", {})
            await until(lambda: "c" in said(), "what it has set after that")
            assert said() == {"a": 1, "c": 3}
            settings.cancel()
        for peer in (board, gateway):
            peer.store.log.close()
        cable.close()
        server.close()

    asyncio.run(main())
