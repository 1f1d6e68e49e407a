"""
The primary is lost under load, its standby takes over: nothing acknowledged is lost.

Who decides that it takes over (Patroni, a person) is not in this test. `make test-postgres`
runs it, with the PostgreSQL of this system.
"""

import os
import threading
import time

import pytest

from edge_peer.bigpeer import database as databases

pytestmark = pytest.mark.skipif(not os.environ.get("POSTGRES"), reason="`make test-postgres`")

WRITER_COUNT = 4
BATCH = 5
URL = "postgresql:///postgres?host={},{}&user=edge&target_session_attrs=read-write"


class Writer(threading.Thread):
    """Inserts over HTTP until `stop`; knows what was acknowledged, and when."""

    def __init__(self, server, name):
        super().__init__()
        self.acknowledged, self.refused_count, self.at_s = set(), 0, []
        self._server, self._name, self._stopped = server, name, threading.Event()

    def run(self):
        number = 0
        while not self._stopped.is_set():
            ids = [f"{self._name}-{number + n}" for n in range(BATCH)]
            number += BATCH
            rows = [{"_id": id, "n": 1} for id in ids]
            body = {"statement": "INSERT INTO r DOCUMENTS (:rows)", "args": {"rows": rows}}
            if self._server.post(body).status_code == 200:
                self.acknowledged |= set(ids)
                self.at_s.append(time.monotonic())
            else:
                self.refused_count += 1

    def stop(self):
        self._stopped.set()
        self.join()


def test_a_primary_that_is_killed_takes_nothing_with_it(start, tmp_path, monkeypatch):
    from postgres_server import Postgres

    monkeypatch.setattr(databases, "RETRY_S", 0.05)
    primary = Postgres()
    standby = Postgres(primary)
    server = start(tmp_path, store=URL.format(primary.host, standby.host))
    told = []
    server.big.store.on_commit(lambda puts, gone: told.extend(put[1] for put in puts))
    writers = [Writer(server, f"w{number}") for number in range(WRITER_COUNT)]
    for writer in writers:
        writer.start()

    def wait(condition):
        while not all(condition(writer) for writer in writers):
            server.ask("GET", "/apps")

    try:
        wait(lambda writer: len(writer.acknowledged) >= 200)
        primary.halt("immediate")
        wait(lambda writer: writer.refused_count > 0)
        standby.promote()
        before = {writer: len(writer.acknowledged) for writer in writers}
        wait(lambda writer: len(writer.acknowledged) >= before[writer] + 200)
    finally:
        for writer in writers:
            writer.stop()
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    found = [row["_id"] for row in server.execute("SELECT _id FROM r")["items"]]
    assert acknowledged <= set(found) and len(found) == len(set(found))
    assert len(told) >= len(acknowledged)
    at_s = sorted(at_s for writer in writers for at_s in writer.at_s)
    gap_s = max(b - a for a, b in zip(at_s, at_s[1:], strict=False))
    print(f"acknowledged {len(acknowledged)}, lost 0, {gap_s:.1f} s without acknowledgements")
    server.stop()
    standby.stop()
    primary.stop()
