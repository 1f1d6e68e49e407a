"""`edge-peer inspect`: what it says is so, nothing is written, and damage hides nothing whole."""

import json
import shutil
import sqlite3
import subprocess
import sys
from binascii import crc32
from contextlib import closing

import pytest
from helpers import Random
from nor_flash import BLOCK_SIZE, Flash
from users import ordinary_user

from edge_peer import SmallPeer
from edge_peer.core.limits import RELAYED, WHOLE
from edge_peer.core.store.log import FlashLog
from edge_peer.core.store.store import Store
from edge_peer.host import codec
from edge_tools import inspect, inspect_source, inspect_survey
from edge_tools.errors import ToolError

LIMIT_S = 60
BLOCK_COUNT = 8
NOW_MS = 1_700_000_000_000


def edge_peer(*arguments):
    """Return (code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_tools", "inspect", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def as_json(path):
    code, out, _ = edge_peer(path, "--json")
    return code, json.loads(out)


def survey(path):
    with inspect_source.opened(path) as source:
        return inspect_survey.survey(source)


def traces(folder):
    """Return all that writing could change in it."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.is_file()
    }


def board(flash, name=b"board", wall_ms=NOW_MS):
    return Store(
        lambda evict, before_erase: FlashLog(flash, {WHOLE: (None, 200)}, evict, before_erase),
        name,
        lambda: wall_ms,
        Random(1).bytes,
    )


def insert(store, collection, values):
    for value in values:
        store.write([(collection, None, {"v": codec.pack(value)})])


@pytest.fixture
def image(tmp_path):
    """30 readings and 2 logs of a board; the Big Peer has the first 20 readings."""
    flash = Flash(BLOCK_COUNT)
    store = board(flash)
    insert(store, "readings", range(20))
    store.learn_durable({store.author: store.own_seq})
    insert(store, "readings", range(20, 30))
    insert(store, "logs", ["up", "down"])
    store.save()
    (tmp_path / "image").mkdir()
    path = tmp_path / "image" / "flash.img"
    path.write_bytes(flash.image)
    return path, store, flash


@pytest.fixture
def gateway(tmp_path):
    """Ten readings, not synced, in a store that is open."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    config = {
        "app_id": "00" * 16,
        "device": {"id": "aabb", "name": "gateway"},
        "storage": {"path": "gateway.db"},
        "links": [],
    }
    (folder / "edge.json").write_text(json.dumps(config))
    peer = SmallPeer.open(str(folder / "edge.json"))
    for n in range(10):
        peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": {"n": n, "raw": b"\1"}})
    yield folder / "gateway.db", peer
    peer.store.log.close()


# What it says


def test_an_image_says_what_the_board_has_and_what_is_not_durable(image):
    path, store, flash = image
    code, found = as_json(path)
    status = store.status()
    assert code == 0
    assert (found["kind"], found["version"]) == ("flash log", 2)
    assert found["device_author"] == store.author.hex()
    assert found["used_bytes"] == status["used_bytes"]
    assert found["quota_bytes"] == status["quota_bytes"]
    assert (found["documents"], found["waiting"]) == (32, 12)
    assert found["collections"]["readings"]["waiting"] == 10
    assert found["collections"]["logs"]["documents"] == 2
    assert found["oldest_ms"] == found["newest_ms"] == NOW_MS
    author = found["authors"][store.author.hex()]
    assert (author["newest_seq"], author["known_seq"], author["durable_seq"]) == (32, 32, 20)
    assert (author["documents"], author["waiting"], author["evicted_seq"]) == (32, 12, 0)
    assert found["flash"]["erases"] == flash.erase_counts
    assert found["flash"]["used"] + found["flash"]["clean"] + found["flash"]["dirty"] == BLOCK_COUNT
    assert found["flash"]["erases_left"] == status["erases_left"]
    assert found["relayed"] == {"documents": 0, "bytes": 0}
    assert found["damage"] == []


def test_an_image_says_what_is_carried_for_others_and_how_long_it_lasts(image):
    path, store, flash = image
    theirs = [("c", "a", store.arrival + 1, store.log.since(0, 1)[0][3])]
    store.log.commit(theirs, [theirs[0][2]])
    path.write_bytes(flash.image)
    _, found = as_json(path)
    documents, size = store.log.totals(RELAYED)
    assert found["relayed"] == {"documents": documents, "bytes": size} and documents == 1
    _, said, _ = edge_peer(path)
    assert f"1 documents, {size} bytes" in said and "100.0%" in said
    assert f"{BLOCK_COUNT * 100_000 - sum(flash.erase_counts):,}" in said


def test_an_image_shows_evictions_wear_and_what_other_authors_wrote(image):
    path, store, flash = image
    other = board(Flash(BLOCK_COUNT), b"other")
    report = ("__small_peer_info", other.author.hex())
    other.write([(*report, {"name": codec.pack("[b]x\33[2J")})])
    store.merge([(*report, other.get(*report))])
    store.learn({other.author: 1})
    while not store.status()["evicted"] or max(flash.erase_counts) < 3:
        insert(store, "readings", ["x" * 200])
        store.learn_durable({store.author: store.own_seq})
    store.save()
    path.write_bytes(flash.image)
    _, found = as_json(path)
    assert found["device_author"] == store.author.hex()
    assert found["authors"][store.author.hex()]["evicted_seq"] == store.evicted[store.author]
    assert found["authors"][other.author.hex()]["known_seq"] == 1
    assert found["flash"]["erases"] == flash.erase_counts
    code, said, _ = edge_peer(path)
    assert code == 0
    assert "█" in said and f"{min(flash.erase_counts)} to {max(flash.erase_counts)}" in said
    assert "[b]x" in said and "\33" not in said


def test_a_blank_image_is_an_empty_store(tmp_path):
    path = tmp_path / "flash.img"
    path.write_bytes(b"\xff" * BLOCK_SIZE * BLOCK_COUNT)
    code, found = as_json(path)
    assert (code, found["documents"], found["device_author"]) == (0, 0, None)
    assert found["flash"]["clean"] == BLOCK_COUNT


def test_a_board_without_a_clock_has_no_times(tmp_path):
    flash = Flash(BLOCK_COUNT)
    insert(board(flash, wall_ms=None), "c", [1])
    path = tmp_path / "flash.img"
    path.write_bytes(flash.image)
    assert as_json(path)[1]["newest_ms"] is None
    assert "no clock was set" in edge_peer(path)[1]


def test_a_closed_store_is_read_in_place(gateway):
    path, peer = gateway
    peer.store.log.close()
    before = traces(path.parent)
    code, found = as_json(path)
    assert (code, found["documents"], found["waiting"], found["is_in_use"]) == (0, 10, 10, False)
    assert found["device_author"] == peer.store.author.hex()
    assert found["used_bytes"] == peer.store.status()["used_bytes"]
    assert edge_peer(path)[0] == 0
    assert traces(path.parent) == before


def test_a_store_is_read_while_a_peer_has_it_open_and_the_peer_goes_on(gateway):
    path, peer = gateway
    before = traces(path.parent)
    code, found = as_json(path)
    assert (code, found["documents"], found["is_in_use"]) == (0, 10, True)
    assert "has it open" in edge_peer(path)[1]
    assert traces(path.parent) == before
    peer.execute("INSERT INTO readings DOCUMENTS ({n: 10})")
    assert as_json(path)[1]["documents"] == 11


def test_everything_in_a_big_peers_store_is_durable(gateway):
    path, _ = gateway
    (path.parent / "doors.db").write_bytes(b"")
    _, found = as_json(path)
    assert (found["is_big_peer"], found["documents"], found["waiting"]) == (True, 10, 0)


def test_documents_are_json_lines_in_the_order_of_arrival(gateway):
    path, _ = gateway
    code, out, _ = edge_peer(path, "--documents", "readings", "--limit", "3")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(line["n"], line["raw"]) for line in lines] == [(0, "AQ=="), (1, "AQ=="), (2, "AQ==")]
    assert all(len(line["_id"]) == 19 for line in lines)


def test_a_collection_that_is_not_there_is_named_with_those_that_are(image):
    code, out, said = edge_peer(image[0], "--documents", "reading")
    assert (code, out) == (1, "")
    assert "reading;" in said and "logs, readings" in said


def test_inspecting_an_image_writes_nothing(image):
    before = traces(image[0].parent)
    for options in ([], ["--json"], ["--documents", "logs"]):
        assert edge_peer(image[0], *options)[0] == 0
    assert traces(image[0].parent) == before


# Bad input


def wrong_files(folder, image, gateway):
    (folder / "text").write_text("nothing of ours")
    (folder / "noise").write_bytes(Random(3).bytes(8 * BLOCK_SIZE))
    (folder / "empty").write_bytes(b"")
    (folder / "few.img").write_bytes(image[: 3 * BLOCK_SIZE])
    (folder / "newer.img").write_bytes(newer(image))
    (folder / "half.db").write_bytes(gateway.read_bytes()[:5000])
    (folder / "only-head.db").write_bytes(inspect_source.SQLITE_MAGIC)
    other, later = folder / "other.db", folder / "newer.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE t (a)")
    shutil.copy(gateway, later)
    with closing(sqlite3.connect(later)) as db:
        db.execute("PRAGMA user_version = 9")


def newer(image):
    """Return the image with heads of a later version, checksums and all."""
    image = bytearray(image)
    for start in range(0, len(image), BLOCK_SIZE):
        head = b"FLc9" + image[start + 4 : start + 8]
        image[start : start + 44] = head + crc32(head).to_bytes(4, "little") + bytes(32)
    return bytes(image)


@pytest.mark.slow
def test_what_is_no_store_is_called_what_it_is_in_one_line(tmp_path, image, gateway):
    gateway[1].store.log.close()
    wrong_files(tmp_path, bytes(image[2].image), gateway[0])
    for name, text in {
        "none": "no such file",
        ".": "folder",
        "text": "neither",
        "noise": "neither",
        "empty": "empty",
        "few.img": "6 to 1024 blocks",
        "newer.img": "newer version",
        "half.db": "damaged",
        "only-head.db": "something else",
        "other.db": "no store of edge-peer",
        "newer.db": "newer version",
    }.items():
        code, out, said = edge_peer(tmp_path / name)
        assert (code, out, said.count("\n")) == (1, "", 1), (name, said)
        assert text in said and str(tmp_path) in said, said


def test_a_file_that_may_not_be_read_is_one_line(image):
    image[0].chmod(0)
    with ordinary_user(), pytest.raises((ToolError, OSError), match="ermission") as caught:
        inspect.show(image[0], as_json=False)
    assert str(caught.value).count("\n") == 0


def test_a_damaged_image_shows_what_is_whole_and_ends_with_1(image):
    path, _, flash = image
    flash.image[600] ^= 1
    path.write_bytes(flash.image)
    code, out, said = edge_peer(path, "--json")
    found = json.loads(out)
    assert (code, said.count("\n")) == (1, 1)
    assert "1 damaged stretch" in said and found["damage"] == ["1 damaged stretch"]
    assert 28 <= found["documents"] < 32
    code, out, _ = edge_peer(path, "--documents", "logs")
    assert (code, len(out.splitlines())) == (1, 2)


def test_an_image_that_is_cut_short_shows_what_is_whole(image):
    path, _, flash = image
    path.write_bytes(flash.image[: 7 * BLOCK_SIZE + 100])
    code, found = as_json(path)
    assert (code, found["documents"]) == (1, 32)
    assert "cut short" in found["damage"][0]


def test_segments_that_are_missing_are_counted(image):
    path, store, flash = image
    while min(flash.erase_counts) == 0:
        insert(store, "readings", ["x" * 200])
        store.learn_durable({store.author: store.own_seq})
    assert survey_of(path, flash.image).damage == []
    used = inspect_source.FlashImage(bytes(flash.image))._ring.used()
    start = used[1] * BLOCK_SIZE
    flash.image[start : start + BLOCK_SIZE] = b"\xff" * BLOCK_SIZE
    assert "1 segment is missing" in survey_of(path, flash.image).damage


def survey_of(path, data):
    path.write_bytes(data)
    return survey(path)


def test_any_byte_of_an_image_may_be_wrong(image):
    path, _, flash = image
    random = Random(7)
    for _ in range(200):
        place = random.below(BLOCK_SIZE * 2)
        data = bytearray(flash.image)
        data[place] ^= 1 + random.below(255)
        found = survey_of(path, data).collections
        assert sum(one.documents for one in found.values()) >= 30, place


def test_any_byte_of_a_closed_sqlite_store_may_be_wrong(gateway):
    path, peer = gateway
    peer.store.log.close()
    whole = path.read_bytes()
    random = Random(7)
    shown_count = 0
    for _ in range(300):
        data = bytearray(whole)
        data[random.below(len(data))] ^= 1 + random.below(255)
        try:
            survey_of(path, data)
            shown_count += 1
        except ToolError as error:
            assert str(path) in str(error)
    assert shown_count > 200


def test_limit_without_documents_is_the_users_mistake(image):
    code, _, said = edge_peer(image[0], "--limit", "3")
    assert code == 2
    assert "--documents" in said


def test_help_teaches_with_an_example():
    code, out, _ = edge_peer("--help")
    assert code == 0
    assert "edge-peer inspect" in out.split("Example:")[1]
