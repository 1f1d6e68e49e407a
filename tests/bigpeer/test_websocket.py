"""Peers that reach a Big Peer over WebSocket, also through a proxy; strangers who try."""

import asyncio
import time

import pytest
import websockets
from app import EVERYTHING
from peers import running, until

from edge_peer.config import Config
from edge_peer.core.errors import ConfigError
from edge_peer.host import authority, lan, private_file
from edge_peer.peer import SmallPeer
from edge_peer.security import identity
from edge_peer.security.certificate import DEVICE, EPOCH_S


@pytest.fixture
def peer(server, tmp_path):
    """Return peer(more of its link), of the Big Peer's app."""
    app = authority.App(server.big.options.data / "big.app")
    app.unlock()
    now_s = int(time.time()) - EPOCH_S
    path = tmp_path / "identity.json"
    private_file.write(
        path, identity.to_text(app.admit("attic", DEVICE, EVERYTHING, 30, now_s, True))
    )
    app.close()

    def make(**more):
        url = f"ws://127.0.0.1:{server.big.http_port}/sync"
        link = {"kind": "lan", "url": url} | more
        storage = {"path": str(tmp_path / "attic.db")}
        fields = {"identity": str(path), "storage": storage, "links": [link]}
        return SmallPeer(Config(fields | {"info_interval_s": 0}))

    return make


class Proxy:
    """What lets only HTTP out: it takes CONNECT, and nothing else."""

    async def start(self):
        self.asked = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    def stop(self):
        self._server.close()

    async def _serve(self, reader, writer):
        words = (await reader.readuntil(b"\r\n\r\n")).split()
        self.asked.append(words[:2])
        host, port = words[1].decode().split(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, reader, writer):
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()


def stored(server, site):
    found = server.execute("SELECT n FROM sites WHERE site = :s ORDER BY n", s=site)["items"]
    return [row["n"] for row in found]


def test_documents_cross_a_websocket_and_a_proxy(server, peer):
    async def main():
        proxy = Proxy()
        one = peer(proxy=f"http://127.0.0.1:{await proxy.start()}")
        for n in range(20):
            one.execute("INSERT INTO sites DOCUMENTS (:d)", {"d": {"n": n, "site": "attic"}})
        async with running(one.run()):
            await until(lambda: one.store.unsynced_count() == 0, "everything durable")
        proxy.stop()
        assert proxy.asked[0][0] == b"CONNECT"

    asyncio.run(main())
    assert stored(server, "attic") == list(range(20))


def test_strangers_are_passed_over_or_cut_off(server):
    async def main():
        url = f"ws://127.0.0.1:{server.big.http_port}/sync"
        for message in ("text", bytes(10_000)):
            async with websockets.connect(url) as stranger:
                await stranger.send(message)
                with pytest.raises(websockets.ConnectionClosed):
                    await stranger.recv()
        async with websockets.connect(url) as stranger:
            await stranger.send(b"\x01 no M1 of ours")
            await stranger.send(b"\x00")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await stranger.recv()

    asyncio.run(main())


def test_what_is_no_big_peer_is_told(server, peer):
    local = peer()._links.local

    async def main():
        for path in ("/nothing", "/health"):
            url = f"ws://127.0.0.1:{server.big.http_port}{path}"
            with pytest.raises(OSError, match="address of a Big Peer"):
                await lan.connect({"url": url}, local)
        with pytest.raises(ConfigError):
            await lan.connect({"url": "https://big.example"}, local)

    asyncio.run(main())
