"""
How many documents one session moves a second: a Small Peer uploads to a Big Peer.

Two processes on SQLite files, merge and durable commit included. CPU time counts, not
the clock on the wall: the slower of the two says what a core can do. Run as a program,
this is the sender: `sync_speed.py FOLDER PORT COUNT SEED` writes, then waits for a line
on its standard input, uploads, and prints its CPU seconds.
"""

import asyncio
import sys
from pathlib import Path
from statistics import median
from time import process_time

from endpoints import Small, big_peer, has_all, until
from workload import documents


async def measure(folder, plan):
    """Return {figure: number}: the median of some runs."""
    runs = []
    for number in range(plan.run_count):
        home = Path(folder) / str(number)
        home.mkdir()
        runs.append(await run(home, plan))
    return {name: median(one[name] for one in runs) for name in runs[0]}


async def run(folder, plan):
    async with big_peer(folder / "big") as (big, port):
        arguments = [str(folder), str(port), str(plan.document_count), str(plan.seed)]
        sender = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert await sender.stdout.readline() == b"ready\n"
        started_s = process_time()
        sender.stdin.write(b"go\n")
        send_s = float(await sender.stdout.readline())
        receive_s = process_time() - started_s
        await sender.wait()
        assert has_all(big, plan.document_count)
    return {
        "documents_per_cpu_s": plan.document_count / max(send_s, receive_s),
        "sent_per_cpu_s": plan.document_count / send_s,
        "received_per_cpu_s": plan.document_count / receive_s,
    }


async def send(folder, port, count, seed):
    small = Small(folder, "sender", port)
    small.write(documents(count, seed))
    print("ready", flush=True)
    sys.stdin.readline()
    started_s = process_time()
    async with small.linked():
        await until(small.is_uploaded)
    print(process_time() - started_s)
    small.close()


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], *map(int, sys.argv[2:])))
