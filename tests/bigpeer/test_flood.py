"""Who connects to the Big Peer by the thousand, and what that costs those who are linked."""

import asyncio
from contextlib import suppress

from app import APP
from helpers import Random
from peers import Peer, running, until

from edge_peer.bigpeer import ingress
from edge_peer.bigpeer.ingress import listen
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.host import crypto, lan
from edge_peer.host.doorstep import Doorstep, Stranger
from edge_peer.security.wire import M1_SIZE

FLOOD, FLOODER = 300, "127.0.0.9"


def open_from(address, port):
    return asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def linked_to(port, peer):
    medium, channel = await lan.connect({"host": "127.0.0.1", "port": port}, peer.links.local)
    await peer.links.run(medium, channel)


def test_a_flood_pushes_out_itself_and_no_link():
    async def main():
        big, old, new = Peer("big", WANTS_ALL), Peer("old"), Peer("new")
        doorstep = Doorstep(16)
        server = await listen(lambda: [big.links], "127.0.0.1", 0, doorstep)
        port = server.sockets[0].getsockname()[1]
        old.insert(1)
        async with running(linked_to(port, old)):
            await until(lambda: big.numbers() == [0], "the link of before")
            held = []
            for _ in range(FLOOD):
                held.append(await open_from(FLOODER, port))
                assert len(doorstep) <= 16
            old.insert(1, first=1)
            new.insert(1, first=2)
            async with running(linked_to(port, new)):
                await until(lambda: big.numbers() == [0, 1, 2], "both, within the flood")
            await until(lambda: doorstep.cut_count >= FLOOD - 17, "all but some cut")
            assert len(big.links.pumps) <= 2
            for _, writer in held:
                writer.close()
        server.close()

    asyncio.run(main())


def test_what_is_no_handshake_ends_the_connection_soon():
    async def main():
        big = Peer("big", WANTS_ALL)
        asked = []
        big.links.local.keyring.crypto = Counting(asked)
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        random = Random(1)
        for kind in (1, 4, 2, 0x80):
            reader, writer = await open_from(FLOODER, port)
            with suppress(OSError):
                for _ in range(50):
                    writer.write(bytes((M1_SIZE, kind)) + random.bytes(M1_SIZE - 1))
                    await writer.drain()
                while await reader.read(1_000):
                    pass
            writer.close()
        assert not asked and not big.links.pumps
        server.close()

    asyncio.run(main())


def test_who_has_a_network_key_is_met_so_often_and_no_more(monkeypatch):
    """A full handshake costs a curve, so each address has a bucket of them."""

    monkeypatch.setattr(ingress, "MET_BURST", 10)
    monkeypatch.setattr(ingress, "MET_RATE", 1e-6)

    async def main():
        big = Peer("big", WANTS_ALL)
        asked = []
        big.links.local.keyring.crypto = Counting(asked)
        server = await ingress.listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for number in range(30):
            handshake = crypto.run(APP.keyring("insider", random=Random(number)).begin_handshake())
            m1 = crypto.run(handshake.write_m1())
            reader, writer = await open_from(FLOODER, port)
            writer.write(bytes((M1_SIZE,)) + m1)
            with suppress(OSError):
                await reader.read(1)
            writer.close()
        return asked.count("x25519")

    assert asyncio.run(main()) == 2 * 10  # agreements: ee and es


class Counting:
    """The primitives, and a list of the names that were asked for."""

    def __init__(self, asked):
        self._asked = asked

    def __getattr__(self, name):
        self._asked.append(name)
        return getattr(crypto, name)


def test_of_many_addresses_the_one_with_most_goes_first():
    cut = []
    doorstep = Doorstep(6)

    def enter(name):
        stranger = Stranger(name[0], lambda: cut.append(name))
        doorstep.enter(stranger)
        return stranger

    a1, _, _, b1, _, _ = [enter(name) for name in ("a1", "a2", "a3", "b1", "b2", "c1")]
    a1.is_linked = lambda: True
    enter("c2")
    assert cut == [] and len(doorstep) == 6  # a1 is no stranger any more
    enter("d1")
    assert cut == ["a2"]
    doorstep.leave(b1)
    doorstep.leave(b1)
    enter("e1")
    assert cut == ["a2"] and len(doorstep) == 6
