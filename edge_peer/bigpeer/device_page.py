"""
The portal's page about one device: what it reports, its links, its log.

    ?app=APPID&id=16 hexadecimal digits, as `devices` has it

`links` are what relays and this Big Peer know now, from either end (`presence`); where they
know of none, what the device has reported last.
"""

from typing import Any

from starlette.responses import Response

from edge_peer.bigpeer.devices_http import device, graph_of, log_of
from edge_peer.bigpeer.shell import Visit
from edge_peer.bigpeer.updates_page import state_of
from edge_peer.bigpeer.views import count, size

_QUALITY = ("bad", "poor", "fair", "good")


async def respond(visit: Visit) -> Response:
    found = device(visit.tenant, visit.request.query_params.get("id", ""))
    if found is None:
        return visit.back("devices")
    return visit.shown(
        "device",
        device=found,
        facts=_facts(found),
        percent=_percent(found["usedBytes"], found["quotaBytes"]),
        links=_links(visit, found),
        update=state_of(visit.tenant, found),
        log=log_of(visit.tenant, found),
    )


def _facts(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (what, how much, more about it), as the tiles of the first page."""
    used, quota = found["usedBytes"], found["quotaBytes"]
    stored = "–" if used is None else size(used)
    wear, days = found["wearPercent"], found["lifetimeDays"]
    lasts = "" if days is None else f"lasts {count(days)} days more, as it goes"
    lost = found["lostWrites"]
    return [
        ("Unsynced", _number(found["unsynced"]), "writes that only it has"),
        ("Documents", _number(found["documents"]), f"{_number(found['evicted'])} evicted"),
        ("Stored", stored, f"of {size(quota)}" if quota else ""),
        ("Flash used up", "–" if wear is None else f"{count(wear)} %", lasts),
        ("Lost writes", _number(lost), "dropped before they were safe" if lost else ""),
    ]


def _percent(used: float | None, quota: float | None) -> int:
    return max(0, min(100, round(100 * (used or 0) / quota))) if quota else 0


def _number(value: float | None) -> str:
    return "–" if value is None else count(value)


def _links(visit: Visit, found: dict[str, Any]) -> list[dict[str, str]]:
    graph = graph_of(visit.tenant.links.presence())
    names = {one["id"]: one["name"] for one in graph["peers"]}
    shown = []
    for link in graph["links"]:
        if found["id"] in link["peers"]:
            a, b = link["peers"]
            other = b if a == found["id"] else a
            quality = _QUALITY[link["quality"]]
            shown.append({"name": names[other] or other, "medium": link["medium"], "is": quality})
    if shown:
        return shown
    return [
        {"name": link["neighbour"] or "unnamed", "medium": link["medium"] or "?", "is": "reported"}
        for link in found["links"]
    ]
