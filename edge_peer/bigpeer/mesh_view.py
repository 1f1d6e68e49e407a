"""
The map of the mesh as options of a chart: who is linked to whom, over what, how well.

Peers and links are those of `presence` (devices_http.py), so two of one name are two dots.
Who has reported and is in no link stands beside the others, faint.
"""

from typing import Any

from edge_peer.bigpeer.feed import Device
from edge_peer.bigpeer.views import COLOURS, NAME_CHARS_MAX

PEER_COUNT_MAX = 300  # more dots are no map
_GREY = "#8a94a6"
_KINDS = ("Big Peer", "relay", "device", "not linked")
_SIZES = (34, 22, 14, 10)
_COLOURS = (*COLOURS[:3], _GREY)
_DASHED_BELOW = 2  # a quality: more than a tenth of the frames were sent twice


def graph(presence: dict[str, Any], devices: list[Device]) -> dict[str, Any]:
    """presence: as the API has it, this Big Peer first."""
    own = presence["peers"][0]["id"] if presence["peers"] else ""
    relays = {one.author.hex() for one in devices if one.report.get("relay") is True}
    names = {one["id"]: one["name"] or one["id"][:8] for one in presence["peers"]}
    kinds = {id: 0 if id == own else 1 if id in relays else 2 for id in names}
    for one in devices:
        id = one.author.hex()
        if id not in names and one.report:
            names[id], kinds[id] = _name(one), 3
    shown = set(list(names)[:PEER_COUNT_MAX])
    media: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for link in presence["links"]:
        a, b = link["peers"]
        if a in shown and b in shown:
            media.setdefault((a, b), []).append(link)
    return {
        "tooltip": {},
        "series": [
            {
                "type": "graph",
                "layout": "force",
                "roam": True,
                "force": {"repulsion": 260, "edgeLength": 110, "gravity": 0.12},
                "label": {"show": True, "position": "bottom", "color": _GREY},
                "edgeLabel": {"show": True, "formatter": "{c}", "fontSize": 10, "color": _GREY},
                "lineStyle": {"color": _GREY, "width": 1.5},
                "categories": [
                    {"name": kind, "itemStyle": {"color": colour}}
                    for kind, colour in zip(_KINDS, _COLOURS, strict=True)
                ],
                "data": [
                    {
                        "id": id,
                        "name": names[id][:NAME_CHARS_MAX],
                        "category": kinds[id],
                        "symbolSize": _SIZES[kinds[id]],
                    }
                    for id in names
                    if id in shown
                ],
                "links": [_edge(ends, links) for ends, links in sorted(media.items())],
            }
        ],
    }


def _edge(ends: tuple[str, str], links: list[dict[str, Any]]) -> dict[str, Any]:
    best = max(link["quality"] for link in links)
    return {
        "source": ends[0],
        "target": ends[1],
        "value": ", ".join(sorted(link["medium"] for link in links)),
        "lineStyle": {"type": "dashed" if best < _DASHED_BELOW else "solid"},
    }


def _name(device: Device) -> str:
    name = device.report.get("name")
    return name if isinstance(name, str) and name else device.author.hex()[:8]
