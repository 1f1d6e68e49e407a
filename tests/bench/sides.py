"""
The two sides that tests/bench/store.py compares, behind the same methods.

    Ours     a SmallPeer on the log of a host
    Floor    the standard library's sqlite3, the same documents as JSON text, as durable

Run as a program, it prints how much memory one side needs: `sides.py ours 10000`.
Each side imports only what its user would, so that the other's weight is not counted.
"""

import json
import os
import re
import sqlite3
import sys
import tempfile

SENSOR_COUNT = 100  # WHERE sensor = … finds 1 %
ARRAY_SIZE = 1_000  # documents that one statement inserts


def document(number):
    """Return a reading of about 76 bytes of JSON."""
    return {
        "_id": f"r{number:07}",
        "sensor": f"s{number % SENSOR_COUNT:03}",
        "temp": 15 + number % 1_999 / 100,
        "seq": number,
        "ok": number % 7 != 0,
    }


class Ours:
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

    def insert(self, fields):
        """Insert one document, or a list of them in one transaction; durable on return."""
        self._peer.execute("INSERT INTO readings DOCUMENTS (:fields)", {"fields": fields})

    def by_id(self, id):
        return self._peer.execute("SELECT * FROM readings WHERE _id = :id", {"id": id}).items

    def where(self, sensor):
        return self._peer.execute(
            "SELECT * FROM readings WHERE sensor = :sensor", {"sensor": sensor}
        ).items

    def below(self, seq):
        return self._peer.execute("SELECT * FROM readings WHERE seq < :seq", {"seq": seq}).items

    def all(self):
        return self._peer.execute("SELECT * FROM readings").items

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

    def by_id(self, id):
        return self._bodies("SELECT body FROM readings WHERE id = ?", id)

    def where(self, sensor):
        return self._bodies("SELECT body FROM readings WHERE body ->> '$.sensor' = ?", sensor)

    def below(self, seq):
        return self._bodies("SELECT body FROM readings WHERE body ->> '$.seq' < ?", seq)

    def all(self):
        return self._bodies("SELECT body FROM readings")

    def close(self):
        self._db.close()

    def _bodies(self, statement, *arguments):
        return [json.loads(body) for (body,) in self._db.execute(statement, arguments)]


SIDES = {"ours": Ours, "reference": Floor}


def fill(side, start, end):
    """Insert documents start to end, many at a time."""
    for first in range(start, end, ARRAY_SIZE):
        side.insert([document(i) for i in range(first, min(first + ARRAY_SIZE, end))])


def peak_memory_bytes():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) << 10


def main():
    name, count = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        side = SIDES[name](os.path.join(folder, "store.db"))
        fill(side, 0, count)
        assert len(side.where("s042")) == count // SENSOR_COUNT
        print(peak_memory_bytes())


if __name__ == "__main__":
    main()
