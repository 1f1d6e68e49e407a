"""A broker that does what others do and mosquitto does not: a proxy in front of a real one."""

import asyncio

OLD_VERSION = b"\x20\x02\x00\x01"  # CONNACK: it does not speak that


def grants_and_delivers_nothing(number, data):
    return data.replace(b"$share/", b"$shore/")


def gives_to_each_member(number, data):
    return data.replace(b"$share/e", b"$share/%c" % (ord("a") + number))


class Bent:
    def __init__(
        self, broker, bend=lambda number, data: data, versions=(4, 5), refusal=OLD_VERSION
    ):
        """
        bend(number of the connection, bytes to the broker) -> what it gets instead.
        versions: levels of MQTT in a CONNECT that are passed on; others are told `refusal`.
        """
        self._target, self._bend, self._versions = broker, bend, versions
        self._refusal = refusal
        self._count = 0
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def settings(self):
        return self._target.settings() | {"port": self._server.sockets[0].getsockname()[1]}

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self._count += 1
        number = self._count
        try:
            first = await reader.read(4096)
            if first[first.index(b"MQTT") + 4] not in self._versions:
                writer.write(self._refusal)
                return
            port = self._target.settings()["port"]
            there, out = await asyncio.open_connection("127.0.0.1", port)
            out.write(first)
            back = asyncio.ensure_future(_copy(there, writer, lambda data: data))
            await _copy(reader, out, lambda data: self._bend(number, data))
            back.cancel()
            out.close()
        finally:
            writer.close()


async def _copy(reader, writer, bend):
    while data := await reader.read(4096):
        writer.write(bend(data))
        await writer.drain()
    writer.close()
