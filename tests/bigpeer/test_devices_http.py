"""Devices over HTTP: what they report, from wherever it came, whatever it is."""

import pytest

REPORT = {
    "name": "attic",
    "relay": True,
    "links": [["lan", "big peer"], ["serial", "board"]],
    "documents": 5,
    "used_bytes": 100,
    "quota_bytes": 1000,
    "evicted": 2,
    "unsynced": 3,
    "lost_writes": 0,
    "firmware": "MicroPython 1.27.0, Raspberry Pi Pico",
    "wear_percent": 1,
    "lifetime_days": None,
}


@pytest.fixture(autouse=True)
def reports(server):
    """report(id, fields): what a device would write."""
    server.execute("DELETE FROM __small_peer_info")

    def report(id, fields):
        document = {"_id": id} | fields
        insert = "INSERT INTO __small_peer_info DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"
        server.execute(insert, d=document)

    return report


def devices(server, **query):
    response = server.ask("GET", f"/apps/{server.big.app_id}/devices", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_device_shows_as_it_reports(server, reports):
    reports("00" * 8, REPORT)
    found = devices(server)
    assert found["next"] is None
    (device,) = found["devices"]
    assert device.pop("reportedAt").endswith("Z")
    assert device == {
        "id": "00" * 8,
        "name": "attic",
        "relay": True,
        "linked": False,
        "lastSeenAt": None,
        "certificate": None,
        "firmware": "MicroPython 1.27.0, Raspberry Pi Pico",
        "unsynced": 3,
        "lostWrites": 0,
        "wearPercent": 1,
        "lifetimeDays": None,
        "update": None,
        "onTrial": False,
        "documents": 5,
        "usedBytes": 100,
        "quotaBytes": 1000,
        "evicted": 2,
        "links": [
            {"medium": "lan", "neighbour": "big peer"},
            {"medium": "serial", "neighbour": "board"},
        ],
    }


def test_many_devices_come_page_by_page(server, reports):
    ids = [f"{number:016x}" for number in range(5)]
    for id in ids:
        reports(id, REPORT)
    seen, after = [], ""
    while after is not None:
        page = devices(server, after=after, limit=2)
        seen += [one["id"] for one in page["devices"]]
        after = page["next"]
    assert seen == ids


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "٣", "9" * 30])
def test_a_limit_is_a_sensible_number(server, limit):
    path = f"/apps/{server.big.app_id}/devices"
    assert server.ask("GET", path, params={"limit": limit}).status_code == 400


@pytest.mark.parametrize(
    "report",
    [
        {"name": 5, "relay": "yes", "links": "none", "documents": "many", "quota_bytes": None},
        {"links": [1, [2], ["a", "b", "c"], [3, 4], {"a": 1}], "used_bytes": True},
        {"name": "x" * 5000, "links": [["m", "n"]] * 200},
        {"other": {"name": {"name": 1}}},
    ],
)
def test_a_report_may_say_anything(server, reports, report):
    reports("odd", report)
    (device,) = devices(server)["devices"]
    assert device["relay"] is False and len(device["links"]) <= 64
    assert device["name"] is None or len(device["name"]) == 64
    assert device["documents"] is None


def test_devices_are_for_administrators(server):
    everything = {"everything": True}
    fields = {"name": "x", "permissions": {"read": everything, "write": everything}}
    key = server.ask("POST", f"/apps/{server.big.app_id}/keys", json=fields).json()["key"]
    assert server.ask("GET", f"/apps/{server.big.app_id}/devices", key).status_code == 403
