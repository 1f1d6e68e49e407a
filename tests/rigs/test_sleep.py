"""A board that sleeps deeply between syncs."""

import asyncio

from peers import Peer, until

from edge_peer.bigpeer.ingress import listen
from edge_peer.core.sync.messages import WANTS_ALL
from rigs.boards import Boards

SLEEPER = """
from sleeping import sleep_when_synced

async def main(peer):
    peer.execute("INSERT INTO readings DOCUMENTS (:d)", {"d": {"n": 1}})
    await sleep_when_synced(peer, 600_000)
"""


def test_a_board_wakes_says_its_reading_and_sleeps(tmp_path):
    async def main():
        big, boards = Peer("big", WANTS_ALL), Boards(tmp_path)
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        board = boards.start("sleeper", SLEEPER, {"kind": "lan", "host": "127.0.0.1", "port": port})
        try:
            for count in (1, 2, 3):
                await until(lambda: not board.process.is_running(), "sleep")
                assert "deep sleep for 600000 ms" in board.process.tail(), board.process.tail()
                assert len(big.numbers()) == count
                board.start()
        finally:
            boards.stop()
            server.close()

    asyncio.run(main())
