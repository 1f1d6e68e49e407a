"""What the portal knows, from what devices wrote into a store."""

import asyncio

import pytest

from edge_peer.bigpeer import feed as feeds
from edge_peer.bigpeer.feed import Feed, thin
from edge_peer.core import document as documents
from edge_peer.core.clock import stamp_of
from edge_peer.core.store.store import Store
from edge_peer.host import codec, storage, system
from edge_peer.peer import INFO_COLLECTION

ATTIC, KITCHEN = b"attic---", b"kitchen-"
NOON_MS = 1_750_000_000_000
CONFIG = {"quota_bytes": 1 << 24, "documents_max": 100_000}


@pytest.fixture
def store(tmp_path):
    config = CONFIG | {"path": str(tmp_path / "store.db")}
    return Store(
        lambda evict, before_erase: storage.open_log(config, evict, before_erase),
        b"big",
        system.wall_ms,
        system.entropy,
        keeps_all=True,
    )


@pytest.fixture
def feed(store):
    return Feed(store, codec.unpack)


class Writer:
    """Puts documents into a store as if a device had synced them."""

    def __init__(self, store, author, clock_ms=NOON_MS):
        self._store, self._author, self._clock_ms = store, author, clock_ms
        self._seq = 0

    def write(self, collection, id, **fields):
        self._seq += 1
        values = documents.flatten(fields, codec.pack)
        stamp = stamp_of(self._clock_ms + 1000 * self._seq) + 1
        document = documents.make(values, stamp, self._author, self._seq)
        self._store.merge([(collection, id, document)])


def look(feed):
    """Look until there is nothing new; return the devices by author."""
    version = None
    while version != feed.version:
        version = feed.version
        asyncio.run(feed.catch_up())
    return {device.author: device for device in feed.devices()}


def test_an_empty_store_has_nothing_to_show(feed):
    assert look(feed) == {}
    assert feed.collections() == feed.fields("readings") == []
    assert feed.lines("readings", "temp") == {}
    assert feed.rate() == 0


def test_a_device_is_its_report_and_what_it_delivered(store, feed):
    attic = Writer(store, ATTIC)
    attic.write(INFO_COLLECTION, ATTIC.hex(), name="attic", documents=2)
    attic.write("readings", "1", temp=20)
    attic.write("readings", "2", temp=21)
    device = look(feed)[ATTIC]
    assert device.report == {"name": "attic", "documents": 2}
    assert device.delivered_count == 2
    assert device.reported_ms == NOON_MS + 1000
    assert device.heard_ms == NOON_MS + 3000
    assert feed.name_of(ATTIC) == "attic"


def test_a_device_that_never_reported_is_there_too(store, feed):
    Writer(store, KITCHEN).write("readings", "1", temp=20)
    assert look(feed)[KITCHEN].report == {}
    assert feed.name_of(KITCHEN) == KITCHEN.hex()[:8]


def test_later_looks_add_what_is_new(store, feed):
    attic = Writer(store, ATTIC)
    attic.write("readings", "1", temp=20)
    look(feed)
    version = feed.version
    assert look(feed)[ATTIC].delivered_count == 1
    assert feed.version == version
    attic.write("readings", "2", temp=21)
    attic.write("readings", "1", note="the first one, corrected")
    assert look(feed)[ATTIC].delivered_count == 2
    assert feed.version > version


def test_only_the_newest_of_a_large_store_is_read(store, feed, monkeypatch):
    monkeypatch.setattr(feeds, "HISTORY_COUNT_MAX", 10)
    attic = Writer(store, ATTIC)
    for i in range(30):
        attic.write("readings", str(i), temp=i)
    assert look(feed)[ATTIC].delivered_count == 10
    assert not feed.complete
    assert [value for _, value in feed.lines("readings", "temp")[ATTIC.hex()[:8]]][-1] == 29


def test_a_line_is_named_by_what_documents_say(store, feed):
    attic = Writer(store, ATTIC)
    attic.write("readings", "1", temp=20, sensor="south")
    attic.write("readings", "2", temp=21, sensor="north", device="roof")
    attic.write("readings", "3", temp=22)
    attic.write(INFO_COLLECTION, ATTIC.hex(), name="attic")
    look(feed)
    assert list(feed.lines("readings", "temp")) == ["attic", "roof · north", "south"]


def test_fields_are_the_numbers_nested_ones_too(store, feed):
    Writer(store, ATTIC).write(
        "readings", "1", ts=1, temp=20.5, on=True, note="x", raw=b"1", air={"co2": 400, "ok": None}
    )
    look(feed)
    assert feed.collections() == ["readings"]
    assert feed.fields("readings") == ["air.co2", "temp"]


def test_time_is_the_documents_own_or_else_the_writes(store, feed):
    attic = Writer(store, ATTIC)
    attic.write("readings", "own", temp=1, ts=1_700_000_000)
    attic.write("readings", "stamp", temp=2)
    attic.write("readings", "ts of no clock", temp=3, ts=12)
    look(feed)
    (points,) = feed.lines("readings", "temp").values()
    assert points == [(1_700_000_000_000, 1), (NOON_MS + 2000, 2), (NOON_MS + 3000, 3)]


def test_a_board_without_a_clock_is_heard_when_it_arrives(store, feed):
    look(feed)
    Writer(store, ATTIC, clock_ms=0).write("readings", "1", temp=20)
    device = look(feed)[ATTIC]
    assert abs(device.heard_ms - system.wall_ms()) < 60_000
    assert look(Feed(store, codec.unpack))[ATTIC].heard_ms is None


def test_lines_and_points_are_bounded(store, feed):
    writer = Writer(store, ATTIC)
    for i in range(feeds.LINE_COUNT_MAX + 5):
        for n in range(3):
            writer.write("readings", f"{i} {n}", temp=n, sensor=f"{i:02}")
    look(feed)
    lines = feed.lines("readings", "temp")
    assert len(lines) == feeds.LINE_COUNT_MAX
    assert f"{feeds.LINE_COUNT_MAX + 4:02}" in lines and "00" not in lines


def test_thinning_keeps_the_extremes_and_the_order():
    points = [(float(i), float(i % 7)) for i in range(5000)]
    points[2500] = (2500.0, 99.0)
    points[3100] = (3100.0, -99.0)
    kept = thin(points, 100)
    assert len(kept) <= 100
    assert kept == sorted(kept)
    assert (2500.0, 99.0) in kept and (3100.0, -99.0) in kept
    assert thin(points[:50], 100) == points[:50]


def test_a_report_under_a_strange_id_is_left_out(store, feed):
    Writer(store, ATTIC).write(INFO_COLLECTION, "not hex", name="x")
    assert look(feed) == {}
