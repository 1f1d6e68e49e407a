"""The forwarder is a wire that can be cut and mended."""

import asyncio

import pytest

from edge_tools.forwarder import Forwarder

LIMIT_S = 5
HOST = "127.0.0.1"


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def ask(reader, writer, data):
    writer.write(data)
    async with asyncio.timeout(LIMIT_S):
        return await reader.readexactly(len(data))


def test_a_cut_ends_connections_and_mending_brings_the_same_port_back():
    async def main():
        server = await asyncio.start_server(echo, HOST, 0)
        forwarder = Forwarder(HOST, server.sockets[0].getsockname()[1])
        await forwarder.open()
        port = forwarder.port
        reader, writer = await asyncio.open_connection(HOST, port)
        assert await ask(reader, writer, b"one") == b"one"
        await forwarder.cut()
        async with asyncio.timeout(LIMIT_S):
            assert await reader.read(1) == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        await forwarder.open()
        assert forwarder.port == port
        again = await asyncio.open_connection(HOST, port)
        assert await ask(*again, b"two") == b"two"
        await forwarder.cut()
        server.close()

    asyncio.run(main())


def test_a_target_that_is_not_there_ends_the_connection():
    async def main():
        server = await asyncio.start_server(echo, HOST, 0)
        target = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        forwarder = Forwarder(HOST, target)
        await forwarder.open()
        reader, _ = await asyncio.open_connection(HOST, forwarder.port)
        async with asyncio.timeout(LIMIT_S):
            assert await reader.read(1) == b""
        await forwarder.cut()

    asyncio.run(main())
