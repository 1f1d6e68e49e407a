"""The map of the mesh, from reports that may say anything."""

import json

from edge_peer.bigpeer import mesh_view
from edge_peer.bigpeer.feed import Device
from edge_peer.bigpeer.views import Moment

MOMENT = Moment(0, b"own", frozenset())


def device(name, links, relay=False):
    return Device(name.encode(), {"name": name, "links": links, "relay": relay}, 0, 0, 0)


def drawn(devices, own=()):
    (series,) = mesh_view.graph(devices, MOMENT, list(own))["series"]
    json.dumps(series)
    edges = {(one["source"], one["target"]): one["value"] for one in series["links"]}
    return {one["name"]: one["symbolSize"] for one in series["data"]}, edges


def test_a_link_is_one_whichever_end_tells_of_it_and_over_what():
    peers, edges = drawn(
        [
            device(
                "gateway", [["lan", "big peer"], ["mqtt", "big peer"], ["serial", "pump"]], True
            ),
            device("pump", [["serial", "gateway"]]),
        ],
        [{"neighbour": "gateway", "medium": "lan"}],
    )
    assert edges == {("big peer", "gateway"): "lan, mqtt", ("gateway", "pump"): "serial"}
    assert peers["big peer"] > peers["gateway"] > peers["pump"]


def test_reports_may_say_anything():
    for links in (None, 5, "x", [1, [2], [3, 4], ["lan", None], ["lan", ""], {"a": 1}]):
        assert drawn([device("odd", links)])[1] == {}


def test_of_a_crowd_no_more_is_drawn_than_can_be_seen():
    crowd = [device(f"d{number}", [["lan", "big peer"]]) for number in range(1000)]
    assert len(drawn(crowd)[0]) == mesh_view.PEER_COUNT_MAX
