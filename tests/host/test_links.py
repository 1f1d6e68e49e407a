"""Peers over real wires: a pty, TCP and MQTT through mosquitto."""

import asyncio
import contextlib

import pytest
from helpers import Random
from peers import Mosquitto, Peer, running, until

from edge_peer.bigpeer.ingress import MqttIngress, listen
from edge_peer.core.errors import ConfigError, StorageError
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.host import lan, mqtt, serial
from edge_peer.host.broker import Broker
from edge_tools.cable import Cable, Noise


async def keep(peer, module, settings):
    """What SmallPeer does for a link of its configuration, in short."""
    while True:
        try:
            medium, channel = await module.connect(settings, peer.links.local)
            await peer.links.run(medium, channel)
        except OSError:
            await asyncio.sleep(0.05)


def over_serial(cable, board, gateway):
    return [
        keep(peer, serial, {"port": path})
        for peer, path in zip((board, gateway), cable.paths, strict=True)
    ]


def test_readings_cross_a_serial_line(board, gateway):
    async def main():
        cable = Cable()
        board.insert(100)
        async with running(*over_serial(cable, board, gateway)):
            await until(lambda: gateway.numbers() == list(range(100)), "the first hundred")
            board.insert(20, first=100)
            await until(lambda: gateway.numbers() == list(range(120)), "what followed")
        cable.close()

    asyncio.run(main())


@pytest.mark.slow
def test_a_noisy_serial_line_costs_time_and_nothing_else(board, gateway):
    async def main():
        noise = Noise(seed=1, interval_bytes=200)
        cable = Cable(noise)
        board.insert(1_000)
        async with running(*over_serial(cable, board, gateway)):
            await until(lambda: len(gateway.numbers()) == 1_000, "readings through noise")
            damaged = gateway.links.pumps[0].channel.damaged_count()
        assert noise.count > 5 and damaged > 0
        cable.close()

    asyncio.run(main())
    assert gateway.numbers() == list(range(1_000))


def test_a_cable_may_be_pulled(board, gateway):
    async def main():
        cable = Cable()
        async with running(*over_serial(cable, board, gateway)):
            board.insert(10)
            await until(lambda: gateway.numbers(), "the first readings")
            cable.unplug()
            board.insert(10, first=10)
            lost = cable.lost_bytes
            await until(lambda: cable.lost_bytes > lost, "bytes lost in a pulled cable")
            cable.plug()
            await until(lambda: len(gateway.numbers()) == 20, "readings after the cable is back")
        cable.close()

    asyncio.run(main())


def test_a_port_that_is_not_there_is_an_error_that_names_it(board):
    async def main():
        with pytest.raises(OSError, match="/dev/nothing"):
            await serial.connect({"port": "/dev/nothing"}, board.links.local)
        with pytest.raises(ConfigError, match="port"):
            await serial.connect({}, board.links.local)

    asyncio.run(main())


def test_readings_cross_tcp_and_a_big_peer_may_come_and_go(board, big):
    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port}
        board.insert(50)
        async with running(keep(board, lan, settings)):
            await until(lambda: board.store.unsynced_count() == 0, "everything durable")
            server.close()
            for pump in list(big.links.pumps):
                pump.session.close("going down")
                pump.wake()
            board.insert(50, first=50)
            await until(lambda: not big.links.pumps, "the link to close")
            server = await listen(lambda: [big.links], "127.0.0.1", port)
            await until(lambda: board.store.unsynced_count() == 0, "the rest")
        server.close()

    asyncio.run(main())
    assert big.numbers() == list(range(100))


def test_readings_cross_mqtt(board, big, broker):
    async def main():
        board.insert(50)
        ingress = MqttIngress(big.links, broker.settings())
        async with running(ingress.run(), keep(board, mqtt, broker.settings())):
            await until(lambda: board.store.unsynced_count() == 0, "everything durable")

    asyncio.run(main())
    assert big.numbers() == list(range(50))


def test_no_stranger_opens_a_link_through_a_broker(board, big, broker):
    """A hundred who say what looks like a handshake cost a hash each, and one answer of 9 bytes."""
    random = Random(1)

    async def main():
        ingress = MqttIngress(big.links, broker.settings())
        app_id = big.links.local.keyring.app_id
        flooder = Broker(broker.settings(), "flooder", [mqtt.topic_to_peer(app_id, "0" * 16)])
        await flooder.start()
        async with running(ingress.run(), keep(board, mqtt, broker.settings())):
            await until(lambda: board.links.status(), "a link")
            for number in range(100):
                to_big = mqtt.topic_to_big(app_id, "%016x" % number)
                for kind, size in ((1, 54), (4, 41), (2, 182), (0x80, 40)):
                    flooder.publish(to_big, bytes((kind,)) + random.bytes(size - 1))
            board.insert(1)
            await until(lambda: board.store.unsynced_count() == 0, "what was written meanwhile")
            await until(lambda: ingress.refused_count >= 400, "all of them")
            assert len(big.links.pumps) == 1
        await flooder.stop()

    asyncio.run(main())


@pytest.mark.slow
def test_a_broker_may_come_late_and_go(board, big, tmp_path):
    async def main():
        broker = Mosquitto(tmp_path)
        broker.stop()
        board.insert(20)
        ingress = MqttIngress(big.links, broker.settings())
        async with running(ingress.run(), keep(board, mqtt, broker.settings())):
            broker.start()
            await until(lambda: board.store.unsynced_count() == 0, "the first part")
            broker.stop()
            board.insert(20, first=20)
            await until(lambda: not board.links.pumps, "the loss to be noticed")
            broker.start()
            await until(lambda: board.store.unsynced_count() == 0, "the second part")
        broker.stop()

    asyncio.run(main())
    assert big.numbers() == list(range(40))


def test_mqtt_messages_are_acknowledged_only_after_the_commit(board, big, broker):
    """A store that fails leaves the message with the broker, which delivers it again."""

    async def main():
        ingress = MqttIngress(big.links, broker.settings())
        async with running(ingress.run(), keep(board, mqtt, broker.settings())):
            await until(lambda: board.links.status() and big.links.status(), "the link")
            commit = big.store.log.commit
            failed = []

            def fail(puts, relayed=()):
                failed.append(puts)
                raise StorageError("the disk is gone")

            big.store.log.commit = fail
            board.insert(5)
            await until(lambda: failed, "the store to fail")
            big.store.log.commit = commit
            # The frame of the link that failed comes again, and belongs to no link now.
            await until(lambda: ingress.refused_count > 0, "the message to be delivered again")
            await until(lambda: board.store.unsynced_count() == 0, "everything durable")

    asyncio.run(main())
    assert big.numbers() == list(range(5))


def test_of_two_links_to_one_neighbour_the_cheaper_works(board, broker):
    big = Peer("big", WANTS_ALL)

    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        ingress = MqttIngress(big.links, broker.settings())
        over_tcp = keep(board, lan, {"host": "127.0.0.1", "port": port})
        async with running(ingress.run(), over_tcp, keep(board, mqtt, broker.settings())):
            await until(lambda: len(board.links.status()) == 2, "both links")
            board.insert(50)
            await until(lambda: board.store.unsynced_count() == 0, "everything durable")
            sent = {link["medium"]: link["sent"] for link in board.links.status()}
            assert sent == {"lan": 50, "mqtt": 0}
            spare = {link["medium"]: link["is_spare"] for link in board.links.status()}
            assert spare == {"lan": False, "mqtt": True}
            server.close()
            for pump in [p for p in big.links.pumps if p.session.medium.name == "lan"]:
                pump.session.close("going down")
                pump.wake()
            board.insert(10, first=50)
            await until(lambda: board.store.unsynced_count() == 0, "the rest, over MQTT")

    asyncio.run(main())
    assert big.numbers() == list(range(60))


class Forgetful:
    """A TCP proxy that does not tell where it leads to when who has connected is gone: a NAT."""

    async def open(self, target_port):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._target_port, self.alive, self._tasks = target_port, set(), []
        return self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        self.alive.add(reader)
        self._tasks.append(asyncio.current_task())  # a loop itself keeps none
        await asyncio.gather(self._copy(reader, reader, back), self._copy(reader, there, writer))

    async def _copy(self, connection, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if connection in self.alive:
                    writer.write(data)
            await asyncio.Event().wait()


def test_who_comes_anew_does_not_wait_for_its_old_connection_to_die(board):
    big = Peer("big", WANTS_ALL)

    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        proxy = Forgetful()
        link = {"host": "127.0.0.1", "port": await proxy.open(server.sockets[0].getsockname()[1])}
        for first in (0, 10):
            board.insert(10, first=first)
            async with running(keep(board, lan, link)):
                await until(lambda: board.store.unsynced_count() == 0, "everything durable")
                proxy.alive.clear()
        assert len(big.links.pumps) == 2
        server.close()

    asyncio.run(main())
    assert big.numbers() == list(range(20))
