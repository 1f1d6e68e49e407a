"""
The portal's pieces as text: HTML fragments and chart options, from what feed.py knows.

Nothing here touches the browser or the store. Names and reports come from devices,
which may say anything: every text passes escape(), every number is checked.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

from edge_peer.bigpeer.feed import HISTORY_COUNT_MAX, Device, Point, is_number

DEVICE_COUNT_MAX = 100  # rows; who was heard last comes first
LINK_COUNT_MAX = 100
LINKS_SHOWN_MAX = 6  # of one device
NAME_CHARS_MAX = 40
RECENT_MS = 120_000  # twice as long as a device lets pass between reports
QUIET_MS = 3_600_000

_FRESHNESS = {
    "linked": "linked to this Big Peer right now",
    "recent": "heard within two minutes",
    "quiet": "heard within the hour",
    "silent": "not heard for an hour or longer",
}

# Told apart on a light and on a dark ground, by the colour-blind too (after Okabe and Ito).
COLOURS = ["#0f8fb3", "#e8833a", "#2f9e6e", "#b565a7", "#c9a227", "#d1495b", "#5c7cfa", "#868e96"]
_GREY = "#8a94a6"
_FAINT = "rgba(138, 148, 166, 0.22)"
_TIMES = {"year": "{yyyy}", "month": "{MMM} {yyyy}", "day": "{d} {MMM}", "hour": "{HH}:{mm}"}


@dataclass(frozen=True)
class Moment:
    """What is the same for all rows of one drawing."""

    now_ms: float
    own_author: bytes
    linked: frozenset[bytes]  # authors with an open link to this Big Peer


def tiles(facts: list[tuple[str, str, str]]) -> str:
    """facts: (what, how much, more about it)"""
    return "".join(
        f'<div class="tile"><div class="what">{escape(what)}</div>'
        f'<div class="much">{escape(much)}</div><div class="more">{escape(more)}</div></div>'
        for what, much, more in facts
    )


# Devices


def devices(found: list[Device], moment: Moment, complete: bool = True) -> str:
    """complete: `delivered` counts every document of the store."""
    shown = sorted(found[:DEVICE_COUNT_MAX], key=lambda one: _order(one, moment))
    rows = "".join(_device_row(one, moment) for one in shown)
    more = len(found) - DEVICE_COUNT_MAX
    note = f'<p class="note">and {count(more)} more, not heard for longer</p>' if more > 0 else ""
    if not complete:
        note += f'<p class="note">Delivered: among the newest {count(HISTORY_COUNT_MAX)}.</p>'
    head = _head("Device", "#Delivered", "#Stored", "Quota", "#Evicted", "Links", "#Last report")
    return f"<table>{head}<tbody>{rows}</tbody></table>{note}"


def _order(device: Device, moment: Moment) -> tuple[bool, str, bytes]:
    """By name, so that rows stay where they are."""
    return (device.author == moment.own_author, str(device.report.get("name")), device.author)


def _device_row(device: Device, moment: Moment) -> str:
    report = device.report
    own = device.author == moment.own_author
    name = "HTTP API" if own else _text(report.get("name")) or "unnamed"
    tag = '<span class="tag">relay</span>' if report.get("relay") is True else ""
    state = _freshness(device, moment)
    title = _FRESHNESS[state]
    head = (
        f'<span class="dot {state}" role="img" title="{title}" aria-label="{title}"></span>'
        f'<span class="name">{name}</span>'
        f'{tag}<span class="author">{device.author.hex()[:8]}</span>'
    )
    cells = [
        ("", "title", head),
        ("Delivered", "number", count(device.delivered_count)),
        ("Stored", "number", _reported(report, "documents")),
        ("Quota", "", _quota(report)),
        ("Evicted", "number", _reported(report, "evicted")),
        ("Links", "", _device_links(report)),
        ("Last report", "number", age(device.reported_ms, moment.now_ms) if report else "–"),
    ]
    return _row(cells)


def _freshness(device: Device, moment: Moment) -> str:
    if device.author in moment.linked or device.author == moment.own_author:
        return "linked"
    silence_ms = moment.now_ms - (device.heard_ms or 0)
    return "recent" if silence_ms < RECENT_MS else "quiet" if silence_ms < QUIET_MS else "silent"


def _quota(report: dict[str, Any]) -> str:
    used, quota = report.get("used_bytes"), report.get("quota_bytes")
    if not is_number(used) or not is_number(quota) or not quota:
        return "–"
    percent = max(0, min(100, round(100 * used / quota)))
    return (  # of one colour: a full board is a good one, it evicts what is synced
        f'<span class="bar"><i style="width:{percent}%"></i></span>'
        f'<span class="part">{percent} % of {size(quota)}</span>'
    )


def _device_links(report: dict[str, Any]) -> str:
    links = report.get("links")
    pairs = [one for one in links if _is_pair(one)] if isinstance(links, list) else []
    shown = "".join(
        f'<span class="chip"><b>{_text(medium)}</b> {_text(neighbour)}</span>'
        for medium, neighbour in pairs[:LINKS_SHOWN_MAX]
    )
    more = len(pairs) - LINKS_SHOWN_MAX
    return (shown + (f'<span class="chip">+{more}</span>' if more > 0 else "")) or "–"


def _is_pair(link: object) -> bool:
    return isinstance(link, list | tuple) and len(link) == 2


def _reported(report: dict[str, Any], name: str) -> str:
    value = report.get(name)
    return count(value) if is_number(value) else "–"


# Links


def links(found: list[dict[str, Any]]) -> str:
    if not found:
        return '<p class="note">No link is open right now. Devices connect by themselves.</p>'
    head = _head(
        "Neighbour", "Medium", "#Received", "#Sent", "#Refused", "#Repeated frames", "#Damaged"
    )
    rows = "".join(
        _row(
            [
                ("", "title", f'<span class="name">{_text(link["neighbour"]) or "unnamed"}</span>'),
                ("Medium", "", f'<span class="chip"><b>{_text(link["medium"])}</b></span>'),
                ("Received", "number", count(link["received"])),
                ("Sent", "number", count(link["sent"])),
                ("Refused", "number", count(link["refused"])),
                ("Repeated frames", "number", count(link["repeated_frames"])),
                ("Damaged", "number", count(link["damaged_frames"])),
            ]
        )
        for link in found[:LINK_COUNT_MAX]
    )
    more = len(found) - LINK_COUNT_MAX
    note = f'<p class="note">and {count(more)} more</p>' if more > 0 else ""
    return f"<table>{head}<tbody>{rows}</tbody></table>{note}"


# The first steps


def first_steps(app_id: str, site: str, host: str, sync_port: int, local: bool) -> str:
    """site: as the browser calls this server; local: only this computer reaches it."""
    note = "It listens to this computer only; its option <code>--host</code> changes that."
    peer = (
        '{"app_id": "' + app_id + '",\n'
        ' "device": {"id": "01", "name": "my first device"},\n'
        ' "storage": {"path": "edge.db", "quota_bytes": 10000000, "documents_max": 10000},\n'
        ' "links": [{"kind": "lan", "host": "' + host + '", "port": ' + str(sync_port) + "}]}"
    )
    http = (
        f"curl {site}/api/v4/store/execute \\\n"
        '  -H "Authorization: Bearer $API_KEY" \\\n'
        '  -d \'{"statement": "INSERT INTO readings DOCUMENTS (:r)",\n'
        '       "args": {"r": {"sensor": "attic", "temp": 21.5}}}\''
    )
    return (
        "<h2>Nothing has arrived yet</h2>"
        "<p>This Big Peer is up and waits for its first device. This page fills by itself.</p>"
        "<h3>1 · Let a device sync</h3>"
        "<p>Give it this <code>edge.json</code>, each device with an id of its own; on a computer "
        "start it with <code>edge-peer run edge.json</code>.</p>"
        f"<pre>{escape(peer)}</pre>"
        + (f'<p class="note">{note}</p>' if local else "")
        + "<h3>2 · Or write the first reading yourself</h3>"
        f"<pre>{escape(http)}</pre>"
        "<h3>3 · Or look at a whole system first</h3>"
        "<pre>edge-peer demo</pre>"
    )


# The chart


def chart(lines: dict[str, list[Point]]) -> dict[str, Any]:
    """Return ECharts options; without a point a chart stays empty."""
    return {
        "animation": False,
        "color": COLOURS,
        "grid": {"left": 8, "right": 16, "top": 44, "bottom": 8, "containLabel": True},
        "legend": {
            "type": "scroll",
            "top": 4,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 14,
            "itemHeight": 4,
            "textStyle": {"color": _GREY},
            "pageTextStyle": {"color": _GREY},
            "pageIconColor": _GREY,
        },
        "tooltip": {
            "trigger": "axis",
            "confine": True,
            "backgroundColor": "rgba(24, 30, 38, 0.94)",
            "borderWidth": 0,
            "textStyle": {"color": "#e6eaf0", "fontSize": 12},
            "axisPointer": {"lineStyle": {"color": _GREY}},
        },
        "xAxis": {
            "type": "time",
            "axisLabel": {"color": _GREY, "hideOverlap": True, "formatter": _TIMES},
            "axisLine": {"lineStyle": {"color": _FAINT}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "scale": True,
            "axisLabel": {"color": _GREY},
            "splitLine": {"lineStyle": {"color": _FAINT}},
        },
        "series": [
            {
                "name": name,
                "type": "line",
                "showSymbol": len(points) < 3,
                "symbolSize": 6,
                "lineStyle": {"width": 2},
                "emphasis": {"disabled": True},
                "data": points,
            }
            for name, points in lines.items()
        ],
    }


# Text


def count(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f")  # a narrow space, as ISO 80000-1 has it


def size(bytes_count: float) -> str:
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while bytes_count >= 1024 and len(units) > 1:
        bytes_count /= 1024
        del units[0]
    return f"{bytes_count:.{0 if bytes_count >= 10 else 1}f} {units[0]}"


def age(at_ms: float | None, now_ms: float) -> str:
    """Say how long ago that was, in steps that rarely change."""
    if at_ms is None:
        return "time unknown"
    seconds = max(0.0, now_ms - at_ms) / 1000
    if seconds < 10:
        return "just now"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds // 10 * 10:.0f} s ago"


def _text(value: object) -> str:
    return escape(value[:NAME_CHARS_MAX]) if isinstance(value, str) else ""


def _head(*names: str) -> str:
    """A name that begins with # stands above numbers."""
    cells = "".join(
        f'<th class="{"number" if name[0] == "#" else ""}">{name.lstrip("#")}</th>'
        for name in names
    )
    return f"<thead><tr>{cells}</tr></thead>"


def _row(cells: list[tuple[str, str, str]]) -> str:
    """cells: (the column's name for narrow screens, class, HTML)"""
    inner = "".join(
        f'<td class="{kind}" data-name="{name}"><span>{html}</span></td>'
        for name, kind, html in cells
    )
    return f"<tr>{inner}</tr>"
