"""A serial line of 115,200 baud, in virtual time (sync_serial.py)."""

import os

from peers import Peer
from sync_serial import Line

from edge_peer.core.messages import WANTS_ALL

BYTES_PER_S = 11_520  # 115,200 baud, a start and a stop bit each
COUNT, SIZE = 600, 200


async def measure(folder):
    board, big = Peer("board"), Peer("big peer", WANTS_ALL)
    put(board, COUNT)
    line = Line(board.links.local, big.links.local, BYTES_PER_S).run()
    took_s = (line.message_ms - line.opened_ms) / 1000
    assert big.store.known(board.store.author) == board.store.own_seq
    return {
        "serial_goodput_percent": round(100 * COUNT * SIZE / took_s / BYTES_PER_S),
        "serial_documents_per_s": round(COUNT / took_s),
    }


def put(peer, count, size=SIZE):
    documents = [{"d": os.urandom(size)} for _ in range(count)]
    for start in range(0, count, 100):
        peer.executor.execute(
            "INSERT INTO readings DOCUMENTS (:d)", {"d": documents[start : start + 100]}
        )
