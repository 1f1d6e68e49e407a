"""SqliteLog: the contract of every log, one process at a time, and disks that fail."""

import os
import shutil
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
from edge_peer.core.limits import ATTACHMENTS, RELAYED, WHOLE
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.log import META
from edge_peer.core.store.store import Store
from edge_peer.host import codec, schema, storage

ROOT = Path(__file__).parents[2]
QUOTA_BYTES = 16_384
DOCUMENT_COUNT_MAX = 150


@pytest.fixture
def medium(tmp_path):
    """Return open_log(evict, before_erase); called again it opens the same file again."""
    opened = []

    def open_log(evict=log_contract.keep_all, before_erase=log_contract.nothing, limits=None):
        if opened:
            opened.pop().close()
        opened.append(
            storage.SqliteLog(
                tmp_path / "log.db",
                limits or {WHOLE: (QUOTA_BYTES, DOCUMENT_COUNT_MAX)},
                evict,
                before_erase,
            )
        )
        return opened[0]

    yield open_log
    opened.pop().close()


@pytest.mark.parametrize("name", sorted(log_contract.CHECKS))
def test_it_keeps_the_contract_of_every_log(medium, name):
    log_contract.CHECKS[name](medium)


@pytest.mark.parametrize("name", sorted(log_contract.LIMIT_CHECKS))
def test_it_keeps_the_contract_of_limits(medium, name):
    log_contract.LIMIT_CHECKS[name](medium)


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


def test_configuration_limits_collections_and_what_is_relayed(tmp_path):
    log = open_path(
        tmp_path / "a.db",
        collections={"c": {"documents_max": 5}, "d": {"policy": "refuse"}, "e": {"quota_bytes": 9}},
        relayed={"quota_bytes": 70, "documents_max": 3},
    )
    del log.limits[WHOLE], log.limits[ATTACHMENTS]
    assert log.limits == {"c": (None, 5), "d": (None, None), "e": (9, None), RELAYED: (70, 3)}
    log.close()


@pytest.mark.parametrize(
    "config, text",
    [
        ({"path": 7}, "the path of a file"),
        ({"quota_bytes": 0}, "documents_max are whole numbers above 0"),
        ({"documents_max": "1"}, "documents_max are whole numbers above 0"),
        ({"collections": []}, "storage.collections is"),
        ({"collections": {"c": 7}}, "storage.collections.c is"),
        ({"collections": {"c": {"quota_bytes": -1}}}, "storage.collections.c: quota_bytes and"),
        ({"collections": {"*": {}}}, "storage.collections.* is no name"),
        ({"collections": {"": {}}}, "storage.collections. is no name"),
        ({"collections": {"ä" * 33: {}}}, "is no name of a collection"),
        ({"collections": {"a\0b": {}}}, "is no name of a collection"),
        ({"collections": {str(i): {"documents_max": 1} for i in range(65)}}, "more than 64"),
        ({"relayed": 7}, "storage.relayed is"),
        ({"relayed": {"documents_max": 0.5}}, "storage.relayed: quota_bytes and"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(config, text):
    with pytest.raises(ConfigError) as caught:
        storage.open_log({"path": "x"} | config, log_contract.keep_all, log_contract.nothing)
    assert text in str(caught.value)


def test_a_configuration_without_a_path_is_refused():
    with pytest.raises(ConfigError, match="the path of a file"):
        storage.open_log({}, log_contract.keep_all, log_contract.nothing)


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
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
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


def test_a_name_with_half_a_surrogate_pair_is_nobodys(medium):
    log = medium()
    assert log.get("c", "\ud800") is None and log.get("\ud800", "a") is None
    assert list(log.scan("\ud800")) == []


# A store of an older version

OLDER = [ROOT / "tests" / "data" / f"store-{version}.db" for version in (1, 2)]
each_older = pytest.mark.parametrize("older", OLDER, ids=lambda path: path.stem)
# Opens the store argv[1] and is killed before its statement number argv[2] in the file.
KILLED = """
import os
import shutil
import signal
import sqlite3
import sys
from edge_peer.host import storage

class Connection(sqlite3.Connection):
    def executescript(self, script):
        for statement in script.split(";"):
            if statement.strip():
                left.pop() if left else os.kill(os.getpid(), signal.SIGKILL)
                self.execute(statement)

connect, left = sqlite3.connect, [0] * int(sys.argv[2])
sqlite3.connect = lambda path, **options: connect(path, factory=Connection, **options)
storage.open_log({"path": sys.argv[1]}, lambda *_: False, lambda: []).close()
"""


def check_older(path):
    """Look for everything that the stores of older versions were filled with."""
    log = open_path(path)
    assert log._pragma("user_version") == schema.VERSION
    puts, names, used_bytes, arrival_max = log_contract.contents(log)
    assert len(puts) == 41 and arrival_max == 45 and sorted(names) == ["größen", "readings"]
    assert log.totals("readings")[0] == 40 and log.totals("größen")[0] == 1
    assert used_bytes == log.totals("readings")[1] + log.totals("größen")[1]
    assert used_bytes == sum(schema.size_of(put[1], len(put[3])) for put in puts)
    assert log.totals(RELAYED) == (0, 0)
    store = Store(lambda evict, before_erase: log, b"\1\2", lambda: None, bytes)
    assert store.own_seq == 45
    run = Executor(store, codec).execute
    assert run("SELECT size FROM `größen` WHERE _id = 'ä/ü'").items == [{"size": 7}]
    expected = [
        {"_id": f"r{i:02}", "sensor": f"s{i % 4}", "value": i / 2, "at": {"room": i}}
        for i in range(40)
    ]
    for i in range(0, 40, 10):
        expected[i]["value"] = -1
    assert run("SELECT * FROM readings ORDER BY _id").items == expected
    run("INSERT INTO readings DOCUMENTS ({_id: 'new', value: 1})")
    assert log.totals("readings")[0] == 41
    log.close()


@each_older
def test_a_store_of_an_older_version_is_brought_up_with_all_that_is_in_it(tmp_path, older):
    path = Path(shutil.copy(older, tmp_path / "log.db"))
    check_older(path)
    log = open_path(path)
    assert log.totals("readings")[0] == 41
    log.close()


@each_older
def test_a_store_that_was_killed_while_it_was_brought_up_opens_again(tmp_path, older):
    kill_count = 0
    for statement_count in range(100):
        path = Path(shutil.copy(older, tmp_path / f"{statement_count}.db"))
        command = [sys.executable, "-c", KILLED, path, str(statement_count)]
        code = subprocess.run(command, cwd=ROOT).returncode
        check_older(path)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kill_count += 1
    assert kill_count > 7


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


def test_what_the_totals_lack_is_found_by_arrival_and_not_by_reading_all_documents(medium):
    log = medium()
    plan = log._rows("EXPLAIN QUERY PLAN " + schema.UNCOUNTED, 0)
    assert "PRIMARY KEY (rowid>?)" in plan[0][3]


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


def rows_of_groups(log):
    """Return what totals() says of each group, counted from the rows."""
    found = {}
    for name, id, body, relayed in log._db.execute("SELECT collection, id, body, relayed FROM doc"):
        for group in {WHOLE, name} | ({RELAYED} if relayed else set()):
            count, size = found.get(group, (0, 0))
            found[group] = (count + 1, size + schema.size_of(id, len(body)))
    return found


LIMITS = {
    WHOLE: (9000, 60),
    "c": (3000, 25),
    "d": (None, 20),
    "e": (1500, None),
    RELAYED: (2000, 9),
}


def test_totals_are_those_of_the_rows_whatever_came_before_a_kill(medium):
    log = medium()
    random = Random(7)
    arrival = 0
    for step in range(300):
        label = f"seed 7, step {step}"
        for _ in range(random.below(4)):
            arrival += 1
            key = (random.choice("cd*"), f"ä{random.below(20)}")
            if random.below(2):
                log.get(*key)
            if random.below(9) == 0:
                log.drop([key])
            relayed = [arrival] if random.below(3) == 0 else []
            log.commit([(*key, arrival, random.bytes(random.below(99)))], relayed)
        if random.below(9) == 0:
            log.commit([(META, "state", arrival, b"s")])
        if random.below(3) == 0:
            log = medium()
        rows = rows_of_groups(log)
        for group in (WHOLE, RELAYED, "c", "d"):
            assert log.totals(group) == rows.get(group, (0, 0)), label
        assert log.arrival_max == arrival, label


def test_every_limit_holds_and_every_total_is_that_of_its_rows(medium):
    def evict(collection, id, body, may_lose):
        return body[0] % 3 == 0 or (may_lose and body[0] % 3 == 1)

    log = medium(evict, limits=LIMITS)
    random = Random(5)
    full_count = 0
    for arrival in range(1, 24_000, 24):
        label = f"seed 5, arrival {arrival}"
        puts = []
        for number in range(arrival, arrival + 1 + random.below(random.choice((2, 3, 22)))):
            body = random.bytes(1 + random.below(300))
            puts.append((random.choice("cdef*"), f"ä{random.below(300)}", number, body))
        if random.below(5) == 0:
            puts.insert(random.below(len(puts)), (META, "state", arrival + 23, b"s"))
        relayed = [put[2] for put in puts if random.below(4) == 0]
        try:
            log.commit(puts, relayed)
        except StoreFull:
            full_count += 1
            log.evict_again()
        if random.below(9) == 0:
            log.drop([(random.choice("cdef*"), f"ä{random.below(300)}") for _ in range(3)])
        if random.below(60) == 0:
            log = medium(evict, limits=LIMITS)
        rows = rows_of_groups(log)
        for group in "cdef*":
            assert log.totals(group) == rows.get(group, (0, 0)), label
        assert log.totals(RELAYED) == rows.get(RELAYED, (0, 0)), label
        for group, (bytes_max, documents_max) in LIMITS.items():
            count, size = log.totals(group)
            assert size <= (bytes_max or size) and count <= (documents_max or count), label
    assert log.evicted_count > 0 and full_count > 0


def test_who_is_asked_is_in_the_group_that_is_full_and_first_without_loss(medium):
    asked = []

    def evict(collection, id, body, may_lose):
        asked.append((id, may_lose))
        return may_lose

    log = medium(evict, limits={WHOLE: (None, 1000), "c": (None, 3)})
    for arrival in range(1, 10):
        log.commit([("cd"[arrival % 2], f"{arrival}", arrival, b"")])
    assert asked == [("2", False), ("4", False), ("6", False), ("2", True)]
    assert log.evicted_count == 1 and log.get("c", "2") is None and log.totals("c")[0] == 3
    del asked[:]
    log.commit([("c", "10", 10, b"")])
    assert asked == [("8", False), ("4", True)]


def test_a_limit_below_what_is_stored_takes_what_makes_it_no_worse(medium):
    log = medium(limits={WHOLE: (None, 100)})
    log.commit([("c", f"{i}", i, bytes(100)) for i in range(1, 11)])
    log = medium(limits={WHOLE: (None, 100), "c": (500, 5)})
    with pytest.raises(StoreFull, match=r"collection c is full: .* of 500 bytes and 11 of 5 doc"):
        log.commit([("c", "11", 11, b"")])
    log.commit([("d", "a", 11, bytes(1000)), ("c", "1", 12, bytes(100))])
    log.commit([("c", "2", 13, b"")])
    with pytest.raises(StoreFull):
        log.commit([("c", "2", 14, b"x")])
    log = medium(log_contract.keep_none, limits={WHOLE: (None, 100), "c": (500, 5)})
    log.commit([("c", "12", 15, bytes(100))])
    assert log.totals("c")[1] <= 500 and log.get("c", "12") and log.get("d", "a")


def test_indexes_of_the_oldest_come_and_go_with_the_limits(medium):
    def indexes():
        rows = log._db.execute("SELECT name FROM sqlite_master WHERE name GLOB 'oldest*'")
        return sorted(row[0] for row in rows)

    log = medium(limits={"c": (None, 3), "C": (None, 3), "it's": (None, 3)})
    log.commit([("it's", "a", 1, b"")])
    assert indexes() == ["oldest_43", "oldest_63", "oldest_69742773"]
    log = medium(limits={"c": (None, 3)})
    assert indexes() == ["oldest_63"]
    log = medium()
    assert indexes() == []


def test_what_is_dropped_goes_with_the_entries_of_before_erase(medium):
    log = medium(before_erase=lambda: [(META, "e", 7, b"E")])
    log.commit([("c", "a", 1, b"A"), ("c", "b", 2, b"B"), ("d", "a", 3, b"C")])
    log.drop([("c", "a"), ("c", "none"), ("d", "a")])
    for _ in range(2):
        assert log_contract.contents(log)[0] == [("c", "b", 2, b"B")]
        assert log.get(META, "e") == b"E" and log.arrival_max == 7 and log.totals("d") == (0, 0)
        log = medium()


def test_limits_are_met_in_time_that_does_not_grow_with_other_collections(medium):
    limits = {WHOLE: (None, None), "c": (None, 10)}
    log = medium(log_contract.keep_none, limits=limits)
    log.commit([("other", f"{i}", i, b"") for i in range(1, 3000)])
    for arrival in range(3000, 3100):
        log.commit([("c", f"{arrival}", arrival, b"")])
        log.evict_again()
    assert log.evicted_count == 90
    steps = []
    log._db.set_progress_handler(lambda: steps.append(1000), 1000)  # instructions of SQLite's
    for arrival in range(3100, 3110):
        log.commit([("c", f"{arrival}", arrival, b"")])
        log.evict_again()
    assert sum(steps) <= 10_000
