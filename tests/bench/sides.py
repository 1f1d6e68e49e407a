"""
What tests/bench/store.py compares, behind the same methods.

    Ours     a SmallPeer on the log of a host
    Floor    the standard library's sqlite3, the same documents as JSON text, as durable
    Ditto    the public SDK, where the user has it installed; it commits to the disk's
             cache (synchronous = NORMAL), so a power cut may take its last writes

Run as a program, it says how much memory and disk one side needs: `sides.py ours 10000`.
Each side imports only what its user would, so that the other's weight is not counted.
"""

import asyncio
import gc
import importlib.util
import json
import os
import re
import sqlite3
import sys
import tempfile
from time import perf_counter, process_time

SENSOR_COUNT = 100  # WHERE sensor = … finds 1 %
ARRAY_SIZE = 1_000  # documents that one statement inserts
WATCHED = "s042"
DITTO = "dittolive-ditto"  # as pip knows it

INSERT = "INSERT INTO readings DOCUMENTS (:fields)"
UPDATE = "UPDATE readings SET temp = :temp WHERE _id = :id"
BY_ID = "SELECT * FROM readings WHERE _id = :id"
BY_TEXT = "SELECT * FROM readings WHERE sensor = :sensor"
BY_RANGE = "SELECT * FROM readings WHERE seq < :seq"


def document(number):
    """Return a reading of about 76 bytes of JSON."""
    return {
        "_id": f"r{number:07}",
        "sensor": f"s{number % SENSOR_COUNT:03}",
        "temp": 15 + number % 1_999 / 100,
        "seq": number,
        "ok": number % 7 != 0,
    }


class Peer:
    """The statements, which are the same for us and for Ditto."""

    def insert(self, fields):
        """Insert one document, or a list of them in one transaction; durable on return."""
        self.execute(INSERT, {"fields": fields})

    def update(self, change):
        """change: (id, temp)"""
        self.execute(UPDATE, {"id": change[0], "temp": change[1]})

    def by_id(self, id):
        return self.execute(BY_ID, {"id": id})

    def by_text(self, sensor):
        return self.execute(BY_TEXT, {"sensor": sensor})

    def by_range(self, seq):
        return self.execute(BY_RANGE, {"seq": seq})

    def all(self, _):
        return self.execute("SELECT * FROM readings", {})

    def create_indexes(self):
        self.execute("CREATE INDEX by_sensor ON readings (sensor)", {})
        self.execute("CREATE INDEX by_seq ON readings (seq)", {})


class Ours(Peer):
    def __init__(self, path):
        from edge_peer.config import Config
        from edge_peer.peer import SmallPeer

        self._peer = SmallPeer(
            Config(
                {
                    "app_id": "00" * 16,
                    "device": {"id": "00" * 8, "name": "bench"},
                    "storage": {"path": path, "quota_bytes": 1 << 34, "documents_max": 1 << 24},
                    "links": [],
                }
            )
        )

    def execute(self, statement, arguments):
        return self._peer.execute(statement, arguments).items

    def delays(self, documents):
        """Return [(CPU time, time)] in s from each write to the callback of a query it changes."""
        delays = []
        observer = self._peer.observe(
            BY_TEXT, {"sensor": WATCHED}, lambda rows, diff: delays.append(since(started))
        )
        for fields in documents:
            gc.collect()
            started = now()
            self.insert(fields)
        observer.cancel()
        return delays[1:]  # the first tells what is there

    def close(self):
        self._peer.store.log.close()


class Floor:
    def __init__(self, path):
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE readings (id TEXT PRIMARY KEY, body TEXT)")

    def insert(self, fields):
        documents = fields if isinstance(fields, list) else [fields]
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO readings VALUES (?, ?)",
            ((fields["_id"], json.dumps(fields)) for fields in documents),
        )
        self._db.execute("COMMIT")

    def update(self, change):
        id, temp = change
        self._db.execute(
            "UPDATE readings SET body = json_set(body, '$.temp', ?) WHERE id = ?", (temp, id)
        )

    def by_id(self, id):
        return self._bodies("SELECT body FROM readings WHERE id = ?", id)

    def by_text(self, sensor):
        return self._bodies("SELECT body FROM readings WHERE body ->> '$.sensor' = ?", sensor)

    def by_range(self, seq):
        return self._bodies("SELECT body FROM readings WHERE body ->> '$.seq' < ?", seq)

    def all(self, _):
        return self._bodies("SELECT body FROM readings")

    def create_indexes(self):
        self._db.execute("CREATE INDEX by_sensor ON readings (body ->> '$.sensor')")
        self._db.execute("CREATE INDEX by_seq ON readings (body ->> '$.seq')")

    def delays(self, documents):
        """The least that one can do who has no observers: look again after each write."""
        delays = []
        for fields in documents:
            gc.collect()
            started = now()
            self.insert(fields)
            self.by_text(WATCHED)
            delays.append(since(started))
        return delays

    def close(self):
        self._db.close()

    def _bodies(self, statement, *arguments):
        return [json.loads(body) for (body,) in self._db.execute(statement, arguments)]


class Ditto(Peer):
    def __init__(self, path):
        import ditto

        ditto.DittoLogger.is_enabled = False
        os.mkdir(path)
        self._loop = asyncio.new_event_loop()
        self._peer = self._wait(
            ditto.Ditto.open(
                ditto.DittoConfig(
                    database_id="00000000-0000-4000-8000-000000000000",
                    connect=ditto.DittoConfigConnect.small_peers_only(),
                    persistence_directory=path,
                )
            )
        )

    def execute(self, statement, arguments):
        with self._wait(self._peer.store.execute(statement, arguments)) as result:
            return [item.value for item in result]

    def delays(self, documents):
        return self._wait(self._delays(documents))

    async def _delays(self, documents):
        called = asyncio.Event()
        observer = self._peer.store.register_observer(
            BY_TEXT, {"sensor": WATCHED}, lambda result: called.set()
        )
        await called.wait()
        delays = []
        for fields in documents:
            called.clear()
            gc.collect()
            started = now()
            await self._peer.store.execute(INSERT, {"fields": fields})
            await called.wait()
            delays.append(since(started))
        observer.cancel()
        return delays

    def close(self):
        self._wait(self._peer.close())
        self._loop.close()

    def _wait(self, awaitable):
        async def wait():
            return await awaitable

        return self._loop.run_until_complete(wait())


SIDES = {"ours": Ours, "reference": Floor, "ditto": Ditto}


def is_installed(name):
    return name != "ditto" or importlib.util.find_spec("ditto") is not None


def fill(side, start, end):
    """Insert documents start to end, many at a time."""
    for first in range(start, end, ARRAY_SIZE):
        side.insert([document(i) for i in range(first, min(first + ARRAY_SIZE, end))])


def now():
    return process_time(), perf_counter()


def since(started):
    return process_time() - started[0], perf_counter() - started[1]


def peak_memory_bytes():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) << 10


def disk_bytes(folder):
    return sum(
        os.path.getsize(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
    )


def main():
    name, count = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        side = SIDES[name](os.path.join(folder, "store"))
        fill(side, 0, count)
        assert len(side.by_text(WATCHED)) == count // SENSOR_COUNT
        memory_bytes = peak_memory_bytes()
        side.close()
        print(json.dumps({"memory": memory_bytes, "disk": disk_bytes(folder)}))


if __name__ == "__main__":
    main()
