"""
What one Big Peer takes, on SQLite, over real TCP and HTTP: `make bench-big`.

The Big Peer is a process; devices and clients are this one, so on two cores each has about
one. The last line is one JSON object: {figure: {"ours", "reference", "goal", "met"}}, the
reference from the same run, or null. --quick is for tests and says nothing.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import uvicorn
from big_rig import BigProcess, Client, Device, until
from fastapi import FastAPI
from memory import open_store

from edge_peer.bigpeer.server import loop_factory
from edge_peer.core import document as documents
from edge_peer.core.store.store import Store
from edge_peer.host import storage, system

BATCH = 200  # documents of one message, about, for the bare loop
HTTP_CLIENT_COUNT = 8
FEED_DEVICE_COUNT = 20
CONSTANT = '{"transactionId":1,"queryType":"select","items":[{"n":1}],"mutatedDocumentIds":[]}'


class Plan:
    def __init__(self, is_quick, idle_count):
        self.document_count = 400 if is_quick else 40_000
        self.latency_count = 20 if is_quick else 300
        self.latency_devices = 5 if is_quick else 100
        self.idle_count = 10 if is_quick else idle_count
        self.idle_s = 0.5 if is_quick else 10
        self.request_count = 100 if is_quick else 4_000
        self.row_counts = (100, 1_000) if is_quick else (10_000, 100_000)
        self.change_count = 50 if is_quick else 3_000


class Figures(dict):
    def add(self, name, ours, reference=None, at_least=None, at_most=None):
        """at_least, at_most: the goal, of the ratio where there is a reference."""
        value = ours if reference is None else ours / reference
        goal = at_least if at_least is not None else at_most
        met = None if goal is None else value >= goal if at_least is not None else value <= goal
        self[name] = {"ours": round(ours, 4), "reference": reference, "goal": goal, "met": met}
        print(f"{name:40} {ours:12.2f}  reference {reference}  goal {goal}  met {met}", flush=True)


# Ingestion


async def ingestion(folder, plan, figures):
    big = BigProcess(folder)
    devices = [Device(f"feed {number}") for number in range(FEED_DEVICE_COUNT)]
    for device in devices:
        device.write(plan.document_count // len(devices))
    started_s, cpu_s = time.perf_counter(), big.cpu_s()
    for device in devices:
        device.start(big.sync_port)
    async with Client(big.port, big.key) as client:
        await client.reached(plan.document_count + len(devices))  # a certificate each
    seconds = time.perf_counter() - started_s
    cpu_s = big.cpu_s() - cpu_s
    for device in devices:
        device.stop()
    big.stop()
    figures.add("ingested_per_s", plan.document_count / seconds, at_least=5_000)
    bare = bare_merge(folder, plan.document_count)
    figures.add("ingested_per_cpu_s", plan.document_count / cpu_s, round(bare), at_least=0.4)


def bare_merge(folder, count):
    """Return documents a CPU second of merge and commit alone, in batches."""
    source = open_store()
    changes = {"n": (documents.REGISTER, b"\1"), "temp": (documents.REGISTER, b"\2")}
    records = []
    for _ in range(count):
        (id,) = source.write([("readings", None, changes)])
        records.append(("readings", id, documents.decode(source.body("readings", id))))
    path = {"path": str(folder / "bare.db")}
    store = Store(
        lambda evict, before: storage.open_log(path, evict, before),
        b"bare", system.wall_ms, system.entropy, keeps_all=True,
    )  # fmt: skip
    started_s = time.process_time()
    for start in range(0, count, BATCH):
        store.merge(records[start : start + BATCH])
    seconds = time.process_time() - started_s
    store.log.close()
    return count / seconds


# A write on a device, until it is to be seen over HTTP


async def latency(folder, plan, figures):
    big = BigProcess(folder)
    devices = [Device(f"latency {number}") for number in range(plan.latency_devices)]
    for device in devices:
        device.start(big.sync_port)
    await until(lambda: all(device.is_linked() for device in devices))
    waits_ms = []
    async with Client(big.port, big.key) as client:
        await client.reached(len(devices))
        number = (await client.execute("SELECT * FROM nothing"))["transactionId"]
        for turn in range(plan.latency_count):
            number += 1
            seen = asyncio.create_task(client.reached(number))
            await asyncio.sleep(0)
            started_s = time.perf_counter()
            devices[turn % len(devices)].write(1)
            await seen
            waits_ms.append(1000 * (time.perf_counter() - started_s))
    for device in devices:
        device.stop()
    big.stop()
    cuts = quantiles(waits_ms, n=100)
    figures.add("visible_p50_ms", cuts[49])
    figures.add("visible_p99_ms", cuts[98], at_most=100)


# Devices that are linked and quiet


async def idle(folder, plan, figures):
    big = BigProcess(folder)
    devices = [Device(f"idle {number}") for number in range(plan.idle_count)]
    began_s = time.perf_counter()
    for device in devices:
        device.start(big.sync_port)
    await until(lambda: all(device.is_linked() for device in devices), 0.2)
    figures.add("first_links_s", time.perf_counter() - began_s)
    await asyncio.sleep(3 * plan.idle_s)  # they tell each other who is there
    cpu_s = big.cpu_s()
    await asyncio.sleep(plan.idle_s)
    figures.add("idle_devices", plan.idle_count)
    figures.add("idle_cpu_percent", 100 * (big.cpu_s() - cpu_s) / plan.idle_s, at_most=5)
    figures.add("idle_memory_mb", big.memory_mb(), at_most=250)
    ports = (big.port, big.sync_port)
    big.stop()
    await until(lambda: not any(device.is_linked() for device in devices), 0.2)
    big = await asyncio.to_thread(BigProcess, folder, *ports)
    began_s = time.perf_counter()
    await until(lambda: all(device.is_linked() for device in devices), 0.2)
    figures.add("reconnected_s", time.perf_counter() - began_s, at_most=60)
    for device in devices:
        device.stop()
    big.stop()


# HTTP


async def http(folder, plan, figures):
    big = BigProcess(folder)
    async with Client(big.port, big.key) as client:
        await client.execute("INSERT INTO one DOCUMENTS ({'_id': 'a', 'n': 1})")
        medians_ms = []
        for count in plan.row_counts:
            await fill(client, f"c{count}", count)
            medians_ms.append(await look(client, f"c{count}", count))
            figures.add(f"indexed_{count}_ms", medians_ms[-1])
        figures.add("indexed_growth", medians_ms[-1] / medians_ms[0], at_most=2)
    body = {"statement": "SELECT * FROM one WHERE _id = :id", "args": {"id": "a"}}
    keys = await make_keys(big)
    ours = await rate(big.port, keys, "POST", "/api/v4/store/execute", body, plan.request_count)
    big.stop()
    bare = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--bare", stdout=asyncio.subprocess.PIPE
    )
    port = int(await bare.stdout.readline())
    constant = await rate(port, keys, "POST", "/", body, plan.request_count)
    bare.terminate()
    await bare.wait()
    figures.add("execute_by_id_per_s", ours, round(constant), at_least=0.3)


async def make_keys(big):
    """Return a key for each client: one of them has a thousand requests a second."""
    keys = []
    async with Client(big.port, big.key) as client:
        for number in range(HTTP_CLIENT_COUNT):
            fields = {"name": f"client {number}", "permissions": {"read": {"everything": True}}}
            _, body = await client.ask("POST", f"/api/v4/apps/{big.app_id}/keys", fields)
            keys.append(json.loads(body)["key"])
    return keys


async def fill(client, name, count):
    for first in range(0, count, 1_000):
        rows = [{"n": n, "temp": n % 50} for n in range(first, min(first + 1_000, count))]
        await client.execute(f"INSERT INTO {name} DOCUMENTS (:rows)", rows=rows)
    await client.execute(f"CREATE INDEX by_n ON {name} (n)")


async def look(client, name, count):
    waits_ms = []
    for turn in range(200):
        started_s = time.perf_counter()
        found = await client.execute(f"SELECT * FROM {name} WHERE n = :n", n=turn * 7919 % count)
        waits_ms.append(1000 * (time.perf_counter() - started_s))
        assert len(found["items"]) == 1
    return median(waits_ms)


async def rate(port, keys, method, path, body, count):
    """Return requests a second."""

    async def work(key):
        async with Client(port, key) as client:
            for _ in range(count // len(keys)):
                status, _ = await client.ask(method, path, body)
                while status == 429:  # a key's thousand a second
                    await asyncio.sleep(0.05)
                    status, _ = await client.ask(method, path, body)
                assert status == 200

    started_s = time.perf_counter()
    await asyncio.gather(*(work(key) for key in keys))
    return count / (time.perf_counter() - started_s)


def serve_constant():
    """The bare framework: the same server, and a constant."""
    app = FastAPI()

    @app.post("/")
    async def constant():
        from starlette.responses import Response

        return Response(CONSTANT, media_type="application/json")

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))

    async def main():
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await task

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())


# Webhooks


async def webhooks(folder, plan, figures):
    big = BigProcess(folder)
    told, done = [], asyncio.Event()

    async def answer(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                change = json.loads(await reader.readexactly(size))["change"]
                told.append(time.time() - change["newValue"]["at"])
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                if len(told) == plan.change_count:
                    done.set()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with Client(big.port, big.key) as client:
        fields = {"name": "bench", "url": url, "filter": {"everything": True}}
        status, body = await client.ask("POST", f"/api/v4/apps/{big.app_id}/webhooks", fields)
        assert status == 201, body
        started_s = time.perf_counter()
        for first in range(0, plan.change_count, 10):
            rows = [{"n": first + n, "at": time.time()} for n in range(10)]
            await client.execute("INSERT INTO told DOCUMENTS (:rows)", rows=rows)
        await done.wait()
    figures.add("webhooks_per_s", plan.change_count / (time.perf_counter() - started_s))
    figures.add("webhook_lag_p99_ms", 1000 * quantiles(told, n=100)[98])
    server.close()
    big.stop()


async def main(plan, only):
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        for part in (ingestion, latency, http, webhooks, idle):
            if not only or part.__name__ in only:
                await part(Path(folder) / part.__name__, plan, figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--idle", type=int, default=1_000, help="devices that are linked and quiet")
    parser.add_argument("--only", nargs="*", help="parts of it")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        serve_constant()
    else:
        asyncio.run(main(Plan(options.quick, options.idle), options.only))
