"""A serial line of 115,200 baud in virtual time (sync_serial.py), and a shared one of ptys."""

import asyncio
import os
import time

from links_ip import first_document_ms, linked
from peers import Peer, running, until
from rigs.serial_bus import SerialBus
from sync_serial import Line

from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE
from edge_peer.host import serial, system
from edge_tools.cable import Cable

BYTES_PER_S = 11_520  # 115,200 baud, a start and a stop bit each
COUNT, SIZE = 600, 200
NODE_COUNT, NODE_DOCUMENTS = 8, 50


async def measure(folder):
    board, big = Peer("board"), Peer("big peer", WANTS_ALL)
    put(board, COUNT)
    line = Line(board.links.local, big.links.local, BYTES_PER_S).run()
    took_s = (line.message_ms - line.opened_ms) / 1000
    assert big.store.known(board.store.author) == board.store.own_seq
    return {
        "serial_goodput_percent": round(100 * COUNT * SIZE / took_s / BYTES_PER_S),
        "serial_documents_per_s": round(COUNT / took_s),
        "serial_first_document_ms": await first_over_serial_ms(),
        "bus_goodput_percent": await bus_goodput_percent(),
    }


async def first_over_serial_ms():
    """Over a pair of ptys, which carry bytes as fast as they come."""
    cable, board, big = Cable(), Peer("board"), Peer("big peer", WANTS_ALL)
    board.insert(1)

    async def both():
        links = [linked(board, serial, {"port": cable.paths[0]})]
        links.append(linked(big, serial, {"port": cable.paths[1]}))
        await asyncio.gather(*links)

    took_ms = await first_document_ms(board, big, both)
    cable.close()
    return took_ms


async def bus_goodput_percent():
    """All nodes have documents at once, their links being open."""
    bus, gateway = SerialBus(NODE_COUNT + 1), Peer("gateway", WANTS_UNDURABLE | RELAYS)
    nodes = [Peer(f"node{number}") for number in range(NODE_COUNT)]

    def station(peer, path, role):
        return serial.keep({"port": path, "bus": role}, peer.links, system)

    stations = [station(gateway, bus.paths[0], "controller")]
    stations += [station(*one, "node") for one in zip(nodes, bus.paths[1:], strict=True)]
    total = NODE_COUNT * NODE_DOCUMENTS
    async with running(*stations):
        await until(lambda: len(gateway.links.status()) == NODE_COUNT, "all links")
        for node in nodes:
            put(node, NODE_DOCUMENTS)
        begun_s = time.monotonic()
        await until(lambda: gateway.store.log.totals("readings")[0] == total, "all documents")
        took_s = time.monotonic() - begun_s
    bus.close()
    return round(100 * total * SIZE / took_s / BYTES_PER_S)


def put(peer, count, size=SIZE):
    documents = [{"d": os.urandom(size)} for _ in range(count)]
    for start in range(0, count, 100):
        peer.executor.execute(
            "INSERT INTO readings DOCUMENTS (:d)", {"d": documents[start : start + 100]}
        )
