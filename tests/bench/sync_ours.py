"""
What edge-peer's sync costs in bytes: Small Peers and a Big Peer over real TCP.

All of them live in this process and are used as an application uses them; a counting
proxy lies between each Small Peer and the Big Peer. A figure is the TCP payload of both
directions, from the connection on until the link has fallen silent, without the
handshake, and without deflate where it does not say so. The peers' own reports are off.
"""

import asyncio
import random
import statistics
from pathlib import Path

from counting_proxy import CountingProxy
from endpoints import ALL, ARRAY_SIZE, COUNT, INSERT, Small, big_peer, has_all, until
from workload import changed, differing, temperatures

QUIET_S = 1.4  # the durable vector is told at most once a second, an acknowledgement 0.1 s late
EXTRA_COUNT = 2  # documents that are written while half of the others goes
AUTHORS_AT_ONCE = 50


async def session(small, proxy, condition):
    """Link, sync until `condition()` and silence, part; return the bytes that passed."""
    proxy.take()
    async with small.linked():
        await until(condition)
        await proxy.quiet(QUIET_S)
    return proxy.take()


async def measure(folder, readings, plan, advance):
    """Return {figure: number}; `advance()` is called after each part."""
    folder = Path(folder)
    figures = {}
    for part in (_one_writer, _deflated, _in_random_order, _many_authors):
        home = folder / part.__name__.strip("_")
        home.mkdir()
        async with big_peer(home / "big") as (big, port), CountingProxy(port, True) as proxy:
            figures |= await part(home, big, proxy, readings, plan)
        advance()
    return figures


async def _one_writer(home, big, proxy, readings, plan):
    """One peer writes all; the Big Peer gets it, then a subscriber gets it from there."""
    writer = Small(home, "writer", proxy.port, deflate=False)
    writer.write(readings)
    full = await session(writer, proxy, writer.is_uploaded)
    assert_copied(readings, big)
    idle = await session(writer, proxy, writer.is_uploaded)
    news = changed(readings, plan.changed_count, plan.seed)
    writer.write(temperatures(news))
    ten = await session(writer, proxy, writer.is_uploaded)
    now = {one["_id"]: one for one in readings + news}
    assert_copied(now.values(), big)
    evicted = await _eviction(home, writer, proxy, len(readings))
    reader, to_reader = await _subscriber(home, "reader", big, proxy)
    reader.close()
    figures = {
        "handshake_bytes": idle.handshake,
        "full_copy_bytes": full.sync(),
        "full_copy_to_subscriber_bytes": to_reader.sync(),
        "idle_reconnect_bytes": idle.sync(),
        "ten_changed_bytes": ten.sync(),
        "evict_half_bytes": evicted,
        "no_shared_history_bytes": await _no_history(home, big, proxy, plan),
    }
    return figures


async def _subscriber(home, name, big, proxy):
    """Return a peer that has got all readings, and the bytes that it took."""
    reader = Small(home, name, proxy.port, deflate=False)
    reader.peer.subscribe(ALL)
    count = big.execute(COUNT).items[0]["n"]
    return reader, await session(reader, proxy, lambda: reader.document_count() == count)


async def _deflated(home, big, proxy, readings, plan):
    """The first part of `_one_writer` with deflate, as it is by default."""
    writer = Small(home, "writer", proxy.port)
    writer.write(readings)
    full = await session(writer, proxy, writer.is_uploaded)
    assert_copied(readings, big)
    writer.close()
    return {"full_copy_deflated_bytes": full.sync()}


def assert_copied(readings, peer):
    found = {one["_id"]: one for one in peer.execute(ALL).items}
    assert found == {one["_id"]: one for one in readings}, "the copy differs"


async def _eviction(home, writer, proxy, count):
    """Return how much more a peer says when half of its store goes meanwhile."""
    figures = []
    for number, documents_max in enumerate((2 * count, count // 2)):
        writer.close()
        writer = Small(home, "writer", proxy.port, documents_max, deflate=False)
        figures.append(await _write_and_reconnect(writer, proxy, number))
    assert writer.document_count() <= count // 2, "nothing was evicted"
    writer.close()
    return figures[1] - figures[0]


async def _write_and_reconnect(small, proxy, number):
    """Write one document while linked, link again; return the bytes of both."""
    async with small.linked():
        await proxy.quiet(QUIET_S)
        proxy.take()
        small.write([{"_id": f"extra{number}", "temp": 20.25}])
        await proxy.quiet(QUIET_S)
        written = proxy.take().sync()
    return written + (await session(small, proxy, small.is_uploaded)).sync()


async def _no_history(home, big, proxy, plan):
    """Both have lost what they knew of each other; each lacks half of the differences.

    How many symbols it takes is a matter of luck, so this is the median of several times.
    """
    numbers = range(plan.forgotten_count)
    return statistics.median_low(
        [await _once(home, number, big, proxy, plan) for number in numbers]
    )


async def _once(home, number, big, proxy, plan):
    reader, _ = await _subscriber(home, f"reader{number}", big, proxy)
    count = reader.document_count() + plan.difference_count
    lacking = differing(plan.difference_count, number * plan.difference_count)
    reader.write(lacking[::2])
    big.execute(INSERT, {"new": lacking[1::2]})
    await until(lambda: not big.links.pumps)  # it notes how a link has ended
    for store in (reader.peer.store, big.store):
        store.forget_knowledge()
    synced = await session(reader, proxy, lambda: reader.document_count() == count)
    assert len(big.execute(ALL).items) == count
    reader.close()
    return synced.sync()


async def _in_random_order(home, big, proxy, readings, plan):
    """One peer wrote all, in order; a relay that got it in another order passes it on."""
    writer = Small(home, "writer", proxy.port)
    relay = Small(home, "relay", proxy.port, relay=True, deflate=False)
    writer.write(readings)
    records = documents_of(writer.peer.store)
    relay.meet(writer)
    random.Random(plan.seed).shuffle(records)
    for start in range(0, len(records), ARRAY_SIZE):
        relay.peer.store.merge(records[start : start + ARRAY_SIZE])
    writer.close()
    full = await session(relay, proxy, lambda: has_all(big, len(readings)))
    assert_copied(readings, big)
    relay.close()
    return {"full_copy_random_order_bytes": full.sync()}


def documents_of(store):
    """Return [(collection, id, document)] in the order of arrival."""
    puts = store.log.since(0, store.arrival)
    return [(collection, id, store.get(collection, id)) for collection, id, _, _ in puts]


async def _many_authors(home, big, proxy, readings, plan):
    """As many authors as there are peers in a large site; a subscriber that has it all."""
    for start in range(0, plan.author_count, AUTHORS_AT_ONCE):
        numbers = range(start, min(start + AUTHORS_AT_ONCE, plan.author_count))
        await asyncio.gather(*(_author(home, proxy, number) for number in numbers))
    reader = Small(home, "reader", proxy.port)
    reader.peer.subscribe(ALL)
    await session(reader, proxy, lambda: reader.document_count() == plan.author_count)
    idle = await session(reader, proxy, lambda: True)
    reader.close()
    return {"idle_reconnect_many_authors_bytes": idle.sync()}


async def _author(home, proxy, number):
    """A peer that writes one document, uploads it and is not seen again."""
    small = Small(home, f"author{number}", proxy.port)
    small.write([{"_id": f"a{number:05}", "temp": 20.25}])
    async with small.linked():
        await until(small.is_uploaded)
    small.close()
