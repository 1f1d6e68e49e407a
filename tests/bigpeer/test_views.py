"""The portal's pieces: what devices say never becomes markup, and numbers read well."""

import pytest

from edge_peer.bigpeer import views
from edge_peer.bigpeer.feed import Device

EVIL = "<img src=x onerror=alert(1)>\"'"
MOMENT = views.Moment(1_000_000_000_000, b"self----", frozenset([b"linked--"]))


def row(report, author=b"attic---", heard_ms=None):
    return views.devices([Device(author, report, None, 5, heard_ms)], MOMENT)


@pytest.mark.parametrize(
    "report",
    [
        {"name": EVIL},
        {"name": "x", "links": [[EVIL, EVIL]]},
        {"documents": EVIL, "used_bytes": EVIL, "quota_bytes": EVIL, "evicted": EVIL},
        {"relay": EVIL},
    ],
)
def test_what_a_device_says_of_itself_is_text(report):
    html = row(report)
    assert "<img" not in html and 'onerror=alert(1)>"' not in html


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"name": 5, "links": 7, "documents": None, "evicted": [], "relay": "yes"},
        {"links": [1, [], ["lan"], ["lan", 5], {"a": 1}]},
        {"used_bytes": 5, "quota_bytes": 0},
        {"used_bytes": float("nan"), "quota_bytes": float("inf")},
        {"used_bytes": -5, "quota_bytes": 10, "documents": 1e300},
        {"used_bytes": 5, "quota_bytes": True},
    ],
)
def test_a_report_may_say_anything(report):
    assert "<table>" in row(report)


def test_a_quota_is_a_bar():
    html = row({"used_bytes": 900, "quota_bytes": 1000})
    assert "width:90%" in html and "90 % of 1000 B" in html


def test_a_link_names_what_its_neighbour_calls_itself_as_text():
    link = dict.fromkeys(("sent", "received", "refused", "repeated_frames", "damaged_frames"), 0)
    html = views.links([link | {"medium": "lan", "neighbour": EVIL}])
    assert "<img" not in html
    assert "No link is open" in views.links([])


@pytest.mark.parametrize(
    ("author", "silence_ms", "state"),
    [
        (b"linked--", 10**9, "linked"),
        (b"attic---", 60_000, "recent"),
        (b"attic---", 600_000, "quiet"),
        (b"attic---", 10**8, "silent"),
    ],
)
def test_a_dot_tells_how_fresh_a_device_is(author, silence_ms, state):
    assert f'class="dot {state}"' in row({}, author, MOMENT.now_ms - silence_ms)


def test_rows_are_bounded():
    many = [Device(i.to_bytes(8, "big"), {}, None, 1, 1) for i in range(1000)]
    html = views.devices(many, MOMENT)
    assert html.count("<tr>") == views.DEVICE_COUNT_MAX + 1
    assert "900 more" in html


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.0 B"), (999, "999 B"), (1536, "1.5 KiB"), (64 << 30, "64 GiB")]
)
def test_sizes_read_well(value, text):
    assert views.size(value) == text


@pytest.mark.parametrize(
    ("ago_s", "text"),
    [(-5, "just now"), (3, "just now"), (42, "40 s ago"), (60, "1 min ago"), (7300, "2 h ago")],
)
def test_ages_read_well(ago_s, text):
    assert views.age(1_000_000 - 1000 * ago_s, 1_000_000) == text
    assert views.age(None, 0) == "time unknown"


def test_a_chart_has_one_line_for_each_name():
    options = views.chart({"attic": [(1, 2.0), (2, 3.0)], "roof": []})
    assert [series["name"] for series in options["series"]] == ["attic", "roof"]
    assert options["series"][0]["data"] == [(1, 2.0), (2, 3.0)]
