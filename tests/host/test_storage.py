"""SqliteLog: the contract of every log, one process at a time, and disks that fail."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import log_contract
import pytest
from helpers import Random
from users import ordinary_user

from edge_peer.core.errors import ConfigError, StorageError, StoreFull
from edge_peer.core.log import META
from edge_peer.host import storage

ROOT = Path(__file__).parents[2]
QUOTA_BYTES = 16_384
DOCUMENT_COUNT_MAX = 150


@pytest.fixture
def medium(tmp_path):
    """Return open_log(evict, before_erase); called again it opens the same file again."""
    opened = []

    def open_log(evict=log_contract.keep_all, before_erase=log_contract.nothing):
        if opened:
            opened.pop().close()
        opened.append(
            storage.SqliteLog(
                tmp_path / "log.db", evict, before_erase, QUOTA_BYTES, DOCUMENT_COUNT_MAX
            )
        )
        return opened[0]

    yield open_log
    opened.pop().close()


@pytest.mark.parametrize("name", sorted(log_contract.CHECKS))
def test_it_keeps_the_contract_of_every_log(medium, name):
    log_contract.CHECKS[name](medium)


# Opening


def open_path(path, **config):
    return storage.open_log(
        {"path": str(path)} | config, log_contract.keep_all, log_contract.nothing
    )


def test_configuration_sets_the_bounds_and_has_defaults(tmp_path):
    log = open_path(tmp_path / "a.db", quota_bytes=5000, documents_max=7)
    assert log.status()["quota_bytes"] == 5000 and log.status()["documents_max"] == 7
    log.close()
    log = open_path(tmp_path / "b.db")
    assert log.status()["quota_bytes"] == 256 * 1024 * 1024
    assert log.status()["documents_max"] == 1_000_000
    assert log.document_bytes_max == 256 * 1024
    log.close()


@pytest.mark.parametrize(
    "config",
    [{}, {"path": 7}, {"path": "x", "quota_bytes": 0}, {"path": "x", "documents_max": "1"}],
)
def test_a_mistake_in_the_configuration_is_named(config):
    with pytest.raises(ConfigError):
        storage.open_log(config, log_contract.keep_all, log_contract.nothing)


def test_a_store_that_is_open_cannot_be_opened_again(tmp_path):
    first = open_path(tmp_path / "log.db")
    first.commit([("c", "a", 1, b"A")])
    for _ in range(2):
        with pytest.raises(StorageError, match="another process has it open"):
            open_path(tmp_path / "log.db")
    first.commit([("c", "b", 2, b"B")])
    first.close()
    again = open_path(tmp_path / "log.db")
    assert [put[1] for put in again.since(0, 9)] == ["a", "b"]
    again.close()


WRITER = """
import sys
import tempfile
from edge_peer.host import storage
log = storage.open_log({"path": sys.argv[1]}, lambda *_: False, lambda: [])
while True:
    numbers = (log.arrival_max + 1, log.arrival_max + 2)
    log.commit([("c", "%d" % number, number, b"x") for number in numbers])
    print(log.arrival_max, flush=True)
"""


def test_a_killed_process_has_lost_nothing_and_locks_nobody_out(tmp_path):
    path = tmp_path / "log.db"
    acknowledged = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(20):
            acknowledged = int(writer.stdout.readline())
        with pytest.raises(StorageError, match="another process"):
            open_path(path)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        log = open_path(path)
        arrivals = [put[2] for put in log.since(0, 10_000)]
        assert arrivals == list(range(1, log.arrival_max + 1))
        assert len(arrivals) >= acknowledged and len(arrivals) % 2 == 0
        log.close()


def test_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "log.db"
    open_path(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {storage.VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="newer version"):
        open_path(path)
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE things (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="something else"):
        open_path(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "name, text",
    [("notes.txt", "something else"), ("", "cannot be opened"), ("no/log.db", "folder")],
)
def test_a_path_that_cannot_be_used_says_why(tmp_path, name, text):
    (tmp_path / "notes.txt").write_text("Not a database, and long enough to see that. " * 50)
    with pytest.raises(StorageError, match=text):
        open_path(tmp_path / name)


def test_a_read_only_file_says_so():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.db")
        open_path(path).close()
        path.chmod(0o444)
        os.chmod(folder, 0o777)
        with ordinary_user(), pytest.raises(StorageError, match="read-only"):
            open_path(path)


def test_a_damaged_file_says_so(tmp_path):
    path = tmp_path / "log.db"
    log = open_path(path)
    log.commit([("c", "%d" % i, i, bytes(500)) for i in range(1, 200)])
    log.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StorageError, match="damaged"):
        list(open_path(path).scan("c"))


# Writing


def test_a_full_disk_stores_nothing_and_is_over_when_there_is_room(medium):
    log = medium()
    log.commit([("c", "a", 1, bytes(1000))])
    before = log_contract.contents(log)
    pages = log._pragma("page_count")
    log._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(3):
        with pytest.raises(StorageError, match="disk is full") as caught:
            log.commit([("c", "%d" % i, i, bytes(2000)) for i in range(2, 7)])
        assert not isinstance(caught.value, StoreFull)
        assert log_contract.contents(log) == before
    log._db.execute(f"PRAGMA max_page_count = {pages + 100}")
    log.commit([("c", "%d" % i, i, bytes(2000)) for i in range(2, 7)])
    assert log.document_count() == 6


def test_an_error_while_documents_go_lets_none_go(medium):
    failing = [True]

    def before_erase():
        if failing:
            raise RuntimeError
        return [(META, "e", 0, b"E")]

    log = medium(log_contract.keep_none, before_erase)
    arrival = 1
    with pytest.raises(RuntimeError):
        while True:
            log.commit([("c", "%d" % arrival, arrival, bytes(100))])
            arrival += 1
    assert [put[2] for put in log_contract.contents(log)[0]] == list(range(1, arrival))
    failing.clear()
    log.commit([("c", "%d" % arrival, arrival, bytes(100))])
    assert log.get("c", "1") is None and log.get(META, "e") == b"E"


def test_an_arrival_number_that_is_taken_is_refused_with_nothing_changed(medium):
    log = medium()
    log.commit([("c", "a", 1, b"A"), ("c", "b", 2, b"B")])
    before = log_contract.contents(log)
    with pytest.raises(StorageError):
        log.commit([("c", "d", 3, b"D"), ("c", "a", 2, b"new")])
    assert log_contract.contents(log) == before


def test_a_scan_goes_on_while_documents_come_and_change(medium):
    log = medium()
    log.commit([("c", "%03d" % i, i, b"old") for i in range(1, 131)])
    seen = []
    for id, _ in log.scan("c"):
        seen.append(id)
        arrival = log.arrival_max + 1
        log.commit([("c", "%03d" % (1 + arrival * 7 % 130), arrival, b"new")])
    assert seen == ["%03d" % i for i in range(1, 131)]


def test_its_totals_are_those_of_its_rows(medium):
    log = medium(lambda collection, id, body, may_lose: body[0] % 2 == 0)
    random = Random(5)
    for arrival in range(1, 500):
        body = random.bytes(1 + random.below(300))
        try:
            log.commit([(random.choice("cd"), "%d" % random.below(200), arrival, body)])
        except StoreFull:
            log.evict_again()
        if random.below(60) == 0:
            log = medium(lambda collection, id, body, may_lose: body[0] % 2 == 0)
        sizes = [storage._size(put[1], len(put[3])) for put in log.since(0, 1000)]
        assert (log.document_count(), log.status()["used_bytes"]) == (len(sizes), sum(sizes)), (
            "seed 5, arrival %d" % arrival
        )
    assert log.evicted_count > 0
