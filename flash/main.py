"""
What runs on a board after boot.py: the peer, and the application beside it.

The application is app.py on the same filesystem: `async def main(peer)`. It reads
sensors and calls peer.execute; this file does the rest.
"""

import asyncio
import gc

# Collect early and often: a small heap stays in one piece, and no pause is long.
gc.threshold(3072)

from edge_peer import SmallPeer  # noqa: E402


async def main():
    peer = SmallPeer.open("edge.json")
    tasks = [peer.run()]
    try:
        import app

        tasks.append(app.main(peer))
    except ImportError as error:
        print("no application (%s): this board only syncs" % error)
    await asyncio.gather(*tasks)


asyncio.run(main())
