"""
The map of the mesh as options of a chart: who is linked to whom, over what.

A link is known from either end's report, and from this Big Peer's own. Reports name a
neighbour, so that is what peers are here: two that are called the same are one dot.
"""

from typing import Any

from edge_peer.bigpeer.feed import Device
from edge_peer.bigpeer.views import COLOURS, NAME_CHARS_MAX, Moment

PEER_COUNT_MAX = 300  # more dots are no map
LINKS_OF_ONE_MAX = 64
BIG_PEER = "big peer"

Pair = tuple[str, str]


def graph(devices: list[Device], moment: Moment, own: list[dict[str, Any]]) -> dict[str, Any]:
    """own: this Big Peer's links, as `Links.status` tells them."""
    relays = {_name(one) for one in devices if one.report.get("relay") is True}
    media: dict[Pair, set[str]] = {}
    for link in own:
        _join(media, BIG_PEER, link.get("neighbour"), link.get("medium"))
    peers = {BIG_PEER: None} | {
        _name(one): None for one in devices if one.author != moment.own_author
    }
    for one in devices:
        links = one.report.get("links")
        pairs = links[:LINKS_OF_ONE_MAX] if isinstance(links, list | tuple) else ()
        for pair in pairs:
            if isinstance(pair, list | tuple) and len(pair) == 2:
                _join(media, _name(one), pair[1], pair[0])
    for ends in media:
        peers |= dict.fromkeys(ends)
    shown = list(peers)[:PEER_COUNT_MAX]
    edges = [ends for ends in sorted(media) if set(ends) <= set(shown)]
    return {
        "tooltip": {},
        "series": [
            {
                "type": "graph",
                "layout": "force",
                "roam": True,
                "force": {"repulsion": 260, "edgeLength": 110, "gravity": 0.12},
                "label": {"show": True, "position": "bottom", "color": "#8a94a6"},
                "edgeLabel": {"show": True, "formatter": "{c}", "fontSize": 10, "color": "#8a94a6"},
                "lineStyle": {"color": "#8a94a6", "width": 1.5},
                "data": [_dot(name, name in relays) for name in shown],
                "links": [
                    {"source": a, "target": b, "value": ", ".join(sorted(media[a, b]))}
                    for a, b in edges
                ],
            }
        ],
    }


def _join(media: dict[Pair, set[str]], one: str, other: object, medium: object) -> None:
    if isinstance(other, str) and other and isinstance(medium, str):
        ends = (one, other[:NAME_CHARS_MAX])
        media.setdefault((min(ends), max(ends)), set()).add(medium[:NAME_CHARS_MAX])


def _dot(name: str, is_relay: bool) -> dict[str, Any]:
    place = 0 if name == BIG_PEER else 1 if is_relay else 2
    size = (34, 22, 14)[place]
    return {"name": name, "symbolSize": size, "itemStyle": {"color": COLOURS[place]}}


def _name(device: Device) -> str:
    name = device.report.get("name")
    return name[:NAME_CHARS_MAX] if isinstance(name, str) and name else device.author.hex()[:8]
