"""An SQLite store with bytes that nobody wrote: what is whole is served, and the rest told."""

import shutil
import sqlite3

import pytest
from helpers import Random

from edge_peer.core.errors import EdgeError, StorageError
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.host import codec, schema, storage

PAGE_SIZE = 4096
ROW_COUNT = 400
ALL = "SELECT * FROM readings"
BY_INDEX = "SELECT * FROM readings WHERE sensor = 's3'"


class Peer:
    def __init__(self, path):
        settings = {"path": str(path), "collections": {"readings": {"documents_max": 1000}}}
        self.store = Store(
            lambda evict, before_erase: storage.open_log(settings, evict, before_erase),
            b"\1\2",
            lambda: 1_700_000_000_000,
            bytes,
        )
        self.log = self.store.log
        self.execute = Executor(self.store, codec).execute

    def rows(self, text=ALL):
        return {row["_id"]: row for row in self.execute(text).items}

    def close(self):
        self.log.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The file of a closed store, and what is in it."""
    path = tmp_path_factory.mktemp("whole") / "store.db"
    peer = Peer(path)
    rows = [
        {"_id": f"r{i:03}", "sensor": f"s{i % 10}", "at": {"room": i}, "text": "ä" * (i % 30)}
        for i in range(ROW_COUNT)
    ]
    peer.execute("INSERT INTO readings DOCUMENTS (:rows)", {"rows": rows})
    peer.execute("INSERT INTO notes DOCUMENTS ({_id: 'n', text: :text})", {"text": "y" * 9000})
    peer.execute("CREATE INDEX by_sensor ON readings (sensor)")
    peer.execute("UPDATE readings SET at.room = 1000 WHERE _id = 'r007'")
    rows[7]["at"]["room"] = 1000
    peer.execute("DELETE FROM readings WHERE _id = 'r009'")
    peer.close()
    return path, {row["_id"]: row for row in rows if row["_id"] != "r009"}


@pytest.fixture
def damaged(whole, tmp_path):
    """Return open(change): change(data) damages the bytes of a copy of the file."""
    opened = []

    def open_damaged(change):
        while opened:
            opened.pop().close()
        path = tmp_path / "store.db"
        data = bytearray(whole[0].read_bytes())
        change(data)
        path.write_bytes(data)
        opened.append(Peer(path))
        return opened[0]

    yield open_damaged
    while opened:
        opened.pop().close()


HIDES_ONE = pytest.mark.xfail(
    strict=True,
    reason="step 163: byte 61753 ^ 219 hides a document from scans and looks by id, uncounted",
)


def places_of(path, name):
    """Return where the pages of a table or an index begin, but for its first."""
    with sqlite3.connect(path) as db:
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    db.close()
    data = path.read_bytes()
    page = data[(root[0] - 1) * PAGE_SIZE :][:PAGE_SIZE]
    assert page[0] in (2, 5), "it has more than one page"
    count = int.from_bytes(page[3:5], "big")
    cells = [int.from_bytes(page[12 + 2 * i :][:2], "big") for i in range(count)]
    return [(int.from_bytes(page[at : at + 4], "big") - 1) * PAGE_SIZE for at in cells]


def replaced(old, new):
    def change(data):
        assert data.count(old) >= 1
        data[:] = data.replace(old, new)

    return change


def blanked(start):
    def change(data):
        data[start : start + PAGE_SIZE] = bytes(PAGE_SIZE)

    return change


def check_any_byte(damaged, whole, seed, count):
    path, expected = whole
    random = Random(seed)
    size = path.stat().st_size
    served_count = reported_count = 0
    for step in range(count):
        place, bits = random.below(size), 1 + random.below(255)

        def flip(data, place=place, bits=bits):
            data[place] ^= bits

        label = f"seed {seed}, step {step}: byte {place} ^ {bits}"
        try:
            peer = damaged(flip)
            found = peer.rows()
            by_id = peer.execute(ALL + " WHERE _id = 'r123'").items
            put_count = len(peer.log.since(0, 10 * ROW_COUNT))
            by_index = peer.rows(BY_INDEX)
        except StorageError as error:
            assert "store.db" in str(error), label
            reported_count += 1
            continue
        assert by_id in ([], [expected["r123"]]), label
        for id, row in [*found.items(), *by_index.items()]:
            assert row == expected.get(id), label
        if len(found) < len(expected) or put_count < len(expected) + 2:
            assert peer.store.status()["damaged"] > 0, label
            reported_count += 1
        else:
            assert peer.log.status()["documents"] == len(expected) + 2, label
        served_count += 1
        with_errors(peer, label)
    assert served_count > count * 9 // 10 and reported_count > count // 10


def with_errors(peer, label):
    """What writes meet is a clear error, or nothing."""
    for statement in (
        "UPDATE readings SET at.room = 1 WHERE sensor = 's5'",
        "INSERT INTO readings DOCUMENTS ({_id: 'r500', sensor: 's1'})",
        "DELETE FROM readings WHERE sensor = 's2'",
    ):
        try:
            peer.execute(statement)
        except EdgeError as error:
            assert isinstance(error, StorageError) and "damaged" in str(error), label


def test_any_byte_may_be_wrong(damaged, whole):
    check_any_byte(damaged, whole, 3, 50)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [40, pytest.param(41, marks=HIDES_ONE), *range(42, 46)])
def test_any_of_many_bytes_may_be_wrong(damaged, whole, seed):
    check_any_byte(damaged, whole, seed, 250)


def test_a_document_that_is_damaged_is_passed_over_counted_and_written_anew(damaged, whole):
    peer = damaged(replaced(b"r123", b"r12\xff"))  # in the index and in the table
    expected = {id: row for id, row in whole[1].items() if id != "r123"}
    assert peer.rows() == expected
    assert peer.store.status()["damaged"] == 1
    peer = damaged(lambda data: data.__setitem__(data.index(b"s3") + 1, ord("4")))
    missing = set(whole[1]) - set(peer.rows())
    assert len(missing) == 1 and peer.store.status()["damaged"] == 1
    (id,) = missing
    assert peer.execute(ALL + " WHERE _id = :id", {"id": id}).items == []
    assert id not in peer.rows(BY_INDEX)
    assert id not in [put[1] for put in peer.log.since(0, 10 * ROW_COUNT)]
    peer.execute("INSERT INTO readings DOCUMENTS ({_id: :id, again: TRUE})", {"id": id})
    assert peer.rows()[id] == {"_id": id, "again": True} and len(peer.rows()) == len(whole[1])
    assert peer.store.status()["damaged"] == 0


@pytest.mark.parametrize("name", ["doc", "sqlite_autoindex_doc_1"])
def test_of_a_page_that_is_lost_only_its_own_documents_are(damaged, whole, name):
    path, expected = whole
    starts = places_of(path, name)
    peer = damaged(blanked(starts[1]))
    found = peer.rows()
    assert list(found) == sorted(found)
    assert all(row == expected[id] for id, row in found.items())
    assert len(found) >= len(expected) - PAGE_SIZE // 60
    assert (found == expected) == (name != "doc")  # an index has nothing of its own
    assert peer.store.status()["damaged"] > 0
    live = [put[1] for put in peer.log.since(0, 10 * ROW_COUNT) if put[1] in expected]
    assert set(live) == set(found)
    some = peer.log.since(0, 3)
    assert peer.log.since(some[-1][2], 1)[0][2] > some[-1][2]
    assert peer.rows(BY_INDEX) == {id: row for id, row in found.items() if row["sensor"] == "s3"}


def test_an_index_that_has_lost_documents_without_a_trace_is_not_trusted(damaged, whole):
    start = places_of(whole[0], "sqlite_autoindex_doc_1")[1]

    def cut(data):  # the page says that it holds one cell
        data[start + 3 : start + 5] = b"\0\1"

    peer = damaged(cut)
    peer.rows()  # which notices at its end
    assert peer.store.status()["damaged"] > 0
    assert peer.rows() == whole[1]


@pytest.mark.parametrize("name", ["*", "*relayed", "*attachments"])
def test_collections_that_are_called_like_groups_lack_nothing(damaged, whole, name):
    peer = damaged(lambda data: None)
    for _ in range(2):
        peer.execute(f"INSERT INTO `{name}` DOCUMENTS ({{a: 1}})")
        peer.store.attachments.attach(b"a" * 600, "text/plain")
    peer.execute("DELETE FROM notes")
    assert len(peer.execute(f"SELECT * FROM `{name}`").items) == 2
    assert peer.store.status()["damaged"] == 0
    assert peer.log.document_count() == ROW_COUNT + 3
    assert peer.log.totals("*attachments")[0] == 3  # two pieces of one blob, and that it is kept


def test_an_index_with_wrong_keys_is_made_anew(damaged, whole):
    start = places_of(whole[0], "sqlite_autoindex_doc_1")[1]

    def garble(data):
        page = data[start : start + PAGE_SIZE]
        assert b"r2" in page
        data[start : start + PAGE_SIZE] = page.replace(b"r2", b"rX")

    peer = damaged(garble)
    assert peer.rows() == whole[1]
    peer = damaged(garble)
    peer.execute("UPDATE readings SET at.room = 5")
    assert {row["at"]["room"] for row in peer.rows().values()} == {5}
    assert peer.rows().keys() == whole[1].keys()
    assert peer.log._rows("PRAGMA integrity_check") == [("ok",)]


def test_totals_that_are_damaged_are_counted_again_and_written(damaged, whole, tmp_path):
    path = tmp_path / "totals.db"
    shutil.copy(whole[0], path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE total SET documents = 999999 WHERE name = 'readings'")
    db.close()
    for _ in range(2):
        peer = Peer(path)
        assert peer.log.totals("readings")[0] == ROW_COUNT
        assert peer.log.totals("notes")[0] == 1 and peer.log.document_count() == ROW_COUNT + 1
        size = sum(schema.size_of(put[1], len(put[3])) for put in peer.log.since(0, 10_000))
        assert peer.log.status()["used_bytes"] == size
        peer.execute("INSERT INTO notes DOCUMENTS ({_id: 'n', text: 'z'}) ON ID CONFLICT DO UPDATE")
        peer.close()
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT name, documents, bytes, arrival_max, crc FROM total").fetchall()
    db.close()
    for name, documents, size, arrival_max, crc in rows:
        assert crc == schema.total_crc(name, documents, size, arrival_max)


def test_a_store_whose_own_entry_is_damaged_is_refused(whole, tmp_path):
    for column, value in (("body", "X'00'"), ("id", "'stake'")):
        path = tmp_path / f"{column}.db"
        shutil.copy(whole[0], path)
        with sqlite3.connect(path) as db:
            db.execute(f"UPDATE entry SET {column} = {value} WHERE id = 'state'")
        db.close()
        with pytest.raises(StorageError, match="the store's own entries are damaged"):
            Peer(path)


def test_what_is_damaged_is_not_asked_whether_it_may_go(tmp_path):
    def open_log(limit):
        return storage.SqliteLog(
            tmp_path / "s.db",
            {"c": (None, limit)},
            lambda *document: not asked.append(document),
            list,
        )

    asked = []
    log = open_log(None)
    log.commit([("c", f"{i}", i, b"whole") for i in range(1, 5)])
    log.close()
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("UPDATE doc SET body = X'00' WHERE arrival = 1")
    db.close()
    log = open_log(4)
    log.commit([("c", "5", 5, b"whole")])
    assert [document[1] for document in asked] == ["2"] and log.totals("c")[0] == 4
    log.close()
