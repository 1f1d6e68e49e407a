"""
A cluster that loses its leader, a worker, and a node that freezes: nothing acknowledged is lost.

`make test-cluster` runs it (minutes). Writers over HTTP and a device over MQTT go on all the
time, and a webhook is told. A node is cut off by SIGSTOP: to all others it is silent, and its
connections stay open, which is worse than a wire that is cut. The last line is one JSON object.
"""

import asyncio
import json
import os
import signal
import threading
import time
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from app import APP
from peers import Mosquitto, Peer, identity_file
from rig import LIMIT_S, Cluster, Worker, until

from edge_peer.host import mqtt
from edge_peer.security import certificate as certificates

pytestmark = [
    pytest.mark.skipif(not os.environ.get("CLUSTER"), reason="`make test-cluster`"),
    pytest.mark.timeout(600),  # three failovers of some 30 s each, and as many recoveries
]

WRITER_COUNT = 2
BATCH = 10
MORE = 200  # documents acknowledged after each blow, before the next
COLLECTION = "readings"


class Writer(threading.Thread):
    """Inserts over HTTP until `stop`, at whichever worker answers; knows what was acknowledged."""

    def __init__(self, name, workers, key):
        super().__init__(daemon=True)
        self.acknowledged, self.at_s = set(), []
        self._name, self._workers, self._key = name, workers, key
        self._stopped = threading.Event()

    def run(self):
        number, turn = 0, 0
        while not self._stopped.is_set():
            ids = [f"{self._name}-{number + n}" for n in range(BATCH)]
            port = self._workers[turn % len(self._workers)].port
            if self._insert(port, [{"_id": id, "n": 1} for id in ids]):
                self.acknowledged |= set(ids)
                self.at_s.append(time.monotonic())
            else:
                turn += 1
                self._stopped.wait(0.05)
            number += BATCH

    def _insert(self, port, rows):
        body = {"statement": f"INSERT INTO {COLLECTION} DOCUMENTS (:rows)", "args": {"rows": rows}}
        try:
            return ask(port, self._key, body, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self):
        self._stopped.set()
        self.join(LIMIT_S)


class Device(threading.Thread):
    """A device that inserts and syncs over the broker until `stop`."""

    def __init__(self, settings):
        super().__init__(daemon=True)
        self.peer = Peer("cluster device")
        self._settings, self._stopped = settings, threading.Event()
        self.ids = []

    def durable_count(self):
        return self.peer.store.durable_seq(self.peer.store.author)

    def run(self):
        asyncio.run(self._main())

    async def _main(self):
        linking = asyncio.create_task(self._link())
        while not self._stopped.is_set():
            rows = self.peer.executor.execute(
                f"INSERT INTO {COLLECTION} DOCUMENTS (:d)", {"d": {"n": 1}}
            )
            self.ids += rows.ids
            await asyncio.sleep(0.05)
        while self.peer.store.unsynced_count():
            await asyncio.sleep(0.05)
        linking.cancel()

    async def _link(self):
        while True:
            with suppress(OSError):
                medium, channel = await mqtt.connect(self._settings, self.peer.links.local)
                await self.peer.links.run(medium, channel)
            await asyncio.sleep(0.5)

    def stop(self):
        self._stopped.set()
        self.join(LIMIT_S)
        assert not self.is_alive(), f"{self.peer.store.unsynced_count()} of its writes are left"


class Consumer(ThreadingHTTPServer):
    """What a webhook is told at; `told` counts how often each document was."""

    def __init__(self):
        told = self.told = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                id = body["change"]["newValue"]["_id"]
                told[id] = told.get(id, 0) + 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A worker that is killed leaves its connections."""


def ask(port, key, body, path="store/execute", timeout=30):
    headers = {"Authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{port}/api/v4/{path}"
    return httpx.post(url, json=body, headers=headers, timeout=timeout, verify=False)


def stored_ids(port, key):
    body = {"statement": f"SELECT _id FROM {COLLECTION}"}
    return [row["_id"] for row in ask(port, key, body).json()["items"]]


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


@pytest.fixture
def ends():
    """What is to be ended, however the test does: an ExitStack."""
    with ExitStack() as stack:
        yield stack


def test_a_cluster_loses_its_leader_a_worker_and_a_frozen_node_and_nothing_else(
    cluster, ends, tmp_path
):
    broker = Mosquitto(tmp_path)
    ends.callback(broker.stop)
    identity = identity_file(tmp_path, "big", certificates.BIG_PEER)
    workers = [
        Worker(tmp_path / name, cluster.url, broker.port, identity) for name in ("one", "two")
    ]
    for worker in workers:
        ends.callback(worker.stop)
    key = (tmp_path / "one/api-key").read_text().strip()
    consumer = Consumer()
    ends.callback(consumer.shutdown)
    url = f"http://127.0.0.1:{consumer.server_port}/"
    hook = {"name": "all", "url": url, "filter": {"queriesByCollection": {COLLECTION: ["n = 1"]}}}
    answer = ask(workers[0].port, key, hook, f"apps/{APP.app_id.hex()}/webhooks")
    assert answer.status_code in (200, 201), answer.text
    order = [workers, workers[::-1]]
    writers = [Writer(f"w{n}", order[n % 2], key) for n in range(WRITER_COUNT)]
    device = Device(broker.settings())
    for one in (*writers, device):
        one.start()

    def go_on():
        goals = [(writer, len(writer.acknowledged) + MORE) for writer in writers]
        until(lambda: all(len(w.acknowledged) >= goal for w, goal in goals), "acknowledgements")
        goal = len(device.ids)
        until(lambda: device.durable_count() >= goal, "the device's writes to be durable")

    gaps = {}

    def blow(name, do):
        begin_s = time.monotonic()
        do()
        go_on()
        at_s = sorted(s for w in writers for s in w.at_s if s > begin_s - 1)
        gaps[name] = round(max(b - a for a, b in zip(at_s, at_s[1:], strict=False)), 1)
        print(name, gaps[name], flush=True)

    try:
        go_on()
        leader = cluster.leader()
        blow("leader_killed", leader.kill)
        leader.start()
        until(cluster.is_whole, "the killed node to be a standby")
        row = {"statement": f"INSERT INTO {COLLECTION} DOCUMENTS ({{'n': 1}})"}

        def commit():
            with suppress(httpx.HTTPError):
                ask(workers[0].port, key, row)

        blow("worker_killed", lambda: workers[0].die_after_a_commit(commit))
        workers[0].start()
        frozen = cluster.leader()
        blow("leader_frozen", lambda: frozen.send(signal.SIGSTOP))
        frozen.send(signal.SIGCONT)
        until(cluster.is_whole, "the frozen node to be a standby")
        blow("nothing", lambda: None)
    finally:
        for one in writers:
            one.stop()
    device.stop()
    acknowledged = set(device.ids).union(*(writer.acknowledged for writer in writers))
    rows = [stored_ids(worker.port, key) for worker in workers]
    with suppress(AssertionError):  # what it was told of is a figure, too
        until(lambda: set(rows[0]) <= set(consumer.told), "the webhook to be told of everything")
    lost = acknowledged - set.intersection(*map(set, rows))
    figures = {
        "acknowledged": len(acknowledged),
        "by_device": len(device.ids),
        "lost": len(lost),
        "doubled": sum(len(ids) - len(set(ids)) for ids in rows),
        "stored": len(set(rows[0])),
        "untold": len(set(rows[0]) - set(consumer.told)),
        "told_again": sum(consumer.told.values()) - len(consumer.told),
        "without_acknowledgements_s": gaps,
    }
    print("\n" + json.dumps(figures))
    assert [figures[name] for name in ("lost", "doubled", "untold")] == [0, 0, 0]
