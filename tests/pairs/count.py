"""Two boards that add to one counter without asking each other, and agree on the sum."""

import asyncio

ADDED = (30, 12)


async def add(peer, mine):
    peer.execute(
        "INSERT INTO count DOCUMENTS (:d) ON ID CONFLICT DO UPDATE",
        {"d": {"_id": "c", "of": "doors"}},
    )
    for _ in range(mine // 3):
        peer.execute("UPDATE count APPLY n INCREMENT BY 3 WHERE _id = 'c'")
        await asyncio.sleep_ms(20)
    async for rows, _ in peer.live_query("SELECT * FROM count"):
        if rows and rows[0].get("n") == sum(ADDED):
            print("= counted", rows[0]["n"])
            break
    print("= end")


async def instance0(peer):
    await add(peer, ADDED[0])


async def instance1(peer):
    await add(peer, ADDED[1])
