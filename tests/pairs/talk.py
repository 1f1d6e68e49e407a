"""Two boards wired to each other: what one says the other answers, and deletes."""


async def first(peer, query):
    """Wait for a result that is not empty; return its only row."""
    async for rows, _ in peer.live_query(query):
        if rows:
            return rows[0]


async def gone(peer, query):
    async for rows, _ in peer.live_query(query):
        if not rows:
            return


async def instance0(peer):
    peer.execute("INSERT INTO talk DOCUMENTS (:d)", {"d": {"_id": "ask", "text": "how many?"}})
    answer = await first(peer, "SELECT * FROM talk WHERE _id = 'answer'")
    print("= heard", answer["text"], answer["n"])
    peer.execute("UPDATE talk SET thanks = true WHERE _id = 'answer'")
    await gone(peer, "SELECT * FROM talk WHERE _id = 'ask'")
    print("= the question is gone")
    print("= end")


async def instance1(peer):
    asked = await first(peer, "SELECT * FROM talk WHERE _id = 'ask'")
    print("= heard", asked["text"])
    answer = {"_id": "answer", "text": "so many:", "n": 2**40}
    peer.execute("INSERT INTO talk DOCUMENTS (:d)", {"d": answer})
    thanked = await first(peer, "SELECT * FROM talk WHERE thanks = true")
    print("= thanked for", thanked["n"])
    peer.execute("DELETE FROM talk WHERE _id = 'ask'")
    print("= end")
