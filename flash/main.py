"""
What runs on a board after boot.py: the peer, and the application beside it.

The application is app.py on the same filesystem: `async def main(peer)`. It reads
sensors and calls peer.execute; running.py does the rest.
"""

import gc

# Collect early and often: a small heap stays in one piece, and no pause is long.
gc.threshold(3072)

try:
    started = slot, with_app
except NameError:  # there is no boot.py here
    started = ".", True

if started[0]:
    from running import run

    run(*started)
