"""The map of the mesh, from what relays tell of their links and what devices report."""

import json

from edge_peer.bigpeer import mesh_view
from edge_peer.bigpeer.devices_http import graph_of
from edge_peer.bigpeer.feed import Device


def entry(number, name, hops, *links):
    found = [
        {"author": f"{to:016x}", "name": its, "medium": medium, "quality": quality}
        for to, its, medium, quality in links
    ]
    return {"author": f"{number:016x}", "name": name, "hops": hops, "links": found}


def device(number, **report):
    return Device(number.to_bytes(8), report, 0, 0, 0)


def drawn(entries, devices=()):
    (series,) = mesh_view.graph(graph_of(entries), list(devices))["series"]
    json.dumps(series)
    edges = {(int(one["source"], 16), int(one["target"], 16)): one for one in series["links"]}
    return {int(one["id"], 16): one for one in series["data"]}, edges


BIG = entry(1, "big peer", 0, (2, "gateway", "lan", 3), (2, "gateway", "mqtt", 1))
GATEWAY = entry(2, "gateway", 1, (1, "big peer", "lan", 2), (3, "pump", "serial", 1))


def test_a_link_is_one_whichever_end_tells_of_it_and_over_what():
    peers, edges = drawn([BIG, GATEWAY], [device(2, name="gateway", relay=True)])
    assert {ends: one["value"] for ends, one in edges.items()} == {
        (1, 2): "lan, mqtt",
        (2, 3): "serial",
    }
    assert [peers[n]["symbolSize"] for n in (1, 2, 3)] == [34, 22, 14]
    assert [edges[ends]["lineStyle"]["type"] for ends in ((1, 2), (2, 3))] == ["solid", "dashed"]


def test_who_hears_nothing_is_known_from_the_other_end():
    graph = graph_of([BIG, GATEWAY])
    assert graph["peers"][-1] == {"id": f"{3:016x}", "name": "pump", "hops": 2}
    assert [one["quality"] for one in graph["links"]] == [2, 1, 1]  # the worse end counts


def test_two_of_one_name_are_two_dots():
    twins = entry(1, "big peer", 0, (2, "pump", "lan", 3), (3, "pump", "lan", 3))
    peers, edges = drawn([twins], [device(2, name="pump"), device(3, name="pump")])
    assert [one["name"] for one in peers.values()] == ["big peer", "pump", "pump"]
    assert len(edges) == 2


def test_a_device_that_is_not_linked_stands_beside_the_others():
    reports = ({"name": "attic"}, {"name": 5}, {"name": {}, "relay": 7})
    peers, edges = drawn([entry(1, "b", 0)], [device(9 + n, **r) for n, r in enumerate(reports)])
    assert [one["category"] for one in peers.values()] == [0, 3, 3, 3] and not edges
    assert peers[9]["name"] == "attic" and peers[10]["name"] == f"{10:016x}"[:8]


def test_of_a_crowd_no_more_is_drawn_than_can_be_seen():
    crowd = entry(1, "b", 0, *[(n, f"d{n}", "lan", 3) for n in range(2, 1000)])
    peers, edges = drawn([crowd])
    assert len(peers) == mesh_view.PEER_COUNT_MAX == len(edges) + 1


def test_without_a_graph_there_is_nothing_to_draw():
    assert drawn([]) == ({}, {})
