"""A cable carries every byte, both ways; what a UART would lose, it loses."""

import asyncio
import os
from contextlib import contextmanager

from edge_tools.cable import Cable, Noise

EVERY_BYTE = bytes(range(256))
LIMIT_S = 5


@contextmanager
def ends(cable):
    files = [os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY) for path in cable.paths]
    try:
        yield files
    finally:
        for file in files:
            os.close(file)
        cable.close()


async def read(file, count):
    """Return the next `count` bytes that arrive."""
    data = b""
    async with asyncio.timeout(LIMIT_S):
        while len(data) < count:
            await asyncio.sleep(0.001)
            try:
                data += os.read(file, count - len(data))
            except BlockingIOError:
                continue
    return data


async def write(file, data, cable, end):
    """Send all of `data` and wait until the cable has taken it."""
    goal = cable.sent_bytes[end] + len(data)
    async with asyncio.timeout(LIMIT_S):
        while data:
            try:
                data = data[os.write(file, data) :]
            except BlockingIOError:
                pass
            await asyncio.sleep(0.001)
        while cable.sent_bytes[end] < goal:
            await asyncio.sleep(0.001)


def test_every_byte_value_passes_unchanged_both_ways_and_is_counted():
    async def main():
        cable = Cable()
        with ends(cable) as (a, b):
            await write(a, EVERY_BYTE * 2, cable, 0)
            assert await read(b, 512) == EVERY_BYTE * 2
            await write(b, EVERY_BYTE, cable, 1)
            assert await read(a, 256) == EVERY_BYTE
            assert cable.sent_bytes == (512, 256)
            assert cable.lost_bytes == 0

    asyncio.run(main())


def test_what_is_sent_while_unplugged_is_lost_and_later_bytes_arrive():
    async def main():
        cable = Cable()
        with ends(cable) as (a, b):
            cable.unplug()
            await write(a, b"lost", cable, 0)
            cable.plug()
            await write(a, b"found", cable, 0)
            assert await read(b, 5) == b"found"
            assert cable.lost_bytes == 4

    asyncio.run(main())


def test_bytes_that_nobody_reads_are_lost_and_block_nobody():
    async def main():
        cable = Cable()
        with ends(cable) as (a, _):
            await write(a, bytes(1 << 20), cable, 0)
            assert cable.lost_bytes > 1 << 19

    asyncio.run(main())


def test_an_end_can_be_closed_and_opened_again():
    async def main():
        cable = Cable()
        with ends(cable) as files:
            os.close(files[1])
            await write(files[0], b"1", cable, 0)
            files[1] = os.open(cable.paths[1], os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            await write(files[0], b"2", cable, 0)
            assert await read(files[1], 2) == b"12"

    asyncio.run(main())


def test_noise_of_one_seed_is_always_the_same():
    data = EVERY_BYTE * 40
    one, same, other = Noise(7, 500), Noise(7, 500), Noise(8, 500)
    heard = one(data)
    # However the bytes come in pieces.
    assert b"".join(same(data[i : i + 100]) for i in range(0, len(data), 100)) == heard
    assert heard != data
    assert other(data) != heard


def test_noise_comes_as_often_as_it_should():
    noise = Noise(7, 500)
    noise(bytes(100_000))
    assert 150 < noise.count < 250
