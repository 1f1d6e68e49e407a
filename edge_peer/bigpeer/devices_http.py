"""
Devices over HTTP, for administrators: what they say of themselves, and who is linked here.

    GET /api/v4/apps/{appID}/devices?after=ID&limit=100

    {"devices": [{"id": 16 hexadecimal digits, "name", "relay", "linked": to this Big Peer,
                  "lastSeenAt": when it was linked here last, "reportedAt": TIME | null,
                  "firmware", "documents", "usedBytes", "quotaBytes", "evicted", "unsynced",
                  "lostWrites", "wearPercent", "lifetimeDays", "update": the number of the
                  newest code that it has tried, "onTrial": whether that has yet to prove itself,
                  "certificate": {"name", "serial", "role", "revoked"} | null,
                  "links": [{"medium", "neighbour": its name}, …]}, …],
     "next": the last id, for `after`, or null}

    GET /api/v4/apps/{appID}/devices/{id}    that, and {"log": [{"at", "what", "text"}, …]}, the
                  newest first: links that came and went here, and what it says of its crashes

    GET /api/v4/apps/{appID}/presence
    {"peers": [{"id", "name", "hops": from this Big Peer, which is the first}, …],
     "links": [{"peers": [id, id], "medium", "quality": 3, nothing was sent twice, to 0}, …]}

Reports are documents (`__small_peer_info`) that devices write, so anything may stand in
them: what is not of its kind is null. The graph of `presence` is what relays tell each other
of their links (core/sync/presence.py): it is of now, and is gone with the links.
"""

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from edge_peer.bigpeer.admission import ROLE_NAMES
from edge_peer.bigpeer.answers import encode, json_response
from edge_peer.bigpeer.feed import STAMP_MS_MIN, is_number
from edge_peer.bigpeer.keys_http import time_text
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.core import document as documents
from edge_peer.core.clock import unix_ms_of
from edge_peer.core.errors import StorageError
from edge_peer.core.query.view import view
from edge_peer.host import codec, system
from edge_peer.peer import INFO_COLLECTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_peer.bigpeer.tenant import Tenant
    from edge_peer.core.document import Document

PAGE_COUNT, PAGE_COUNT_MAX = 100, 1_000
LINK_COUNT_MAX = 64  # of one device
TEXT_CHARS_MAX = 64
_NUMBERS = {
    "documents": "documents",
    "usedBytes": "used_bytes",
    "quotaBytes": "quota_bytes",
    "evicted": "evicted",
    "unsynced": "unsynced",
    "lostWrites": "lost_writes",
    "wearPercent": "wear_percent",
    "lifetimeDays": "lifetime_days",
    "update": "update",
}
CRASHES = "edge_crashes"  # flash/running.py
CRASH_COUNT_MAX = 50


async def list_devices(big: "Tenant", request: Request) -> Response:
    after, text = request.query_params.get("after", ""), request.query_params.get("limit", "")
    if text and not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= PAGE_COUNT_MAX):
        raise Refusal(400, "request", f'"limit" is a number from 1 to {PAGE_COUNT_MAX}')
    limit = int(text) if text else PAGE_COUNT
    found = list(islice(reports(big, after), limit + 1))
    last = found[limit - 1]["id"] if len(found) > limit else None
    return json_response(encode({"devices": found[:limit], "next": last}))


async def show_device(big: "Tenant", request: Request) -> Response:
    found = device(big, request.path_params["id"])
    if found is None:
        raise Refusal(404, "device", "no such device has reported yet")
    return json_response(encode(found | {"log": log_of(big, found)}))


async def presence(big: "Tenant", request: Request) -> Response:
    return json_response(encode(graph_of(big.links.presence())))


def graph_of(entries: "list[dict[str, Any]]") -> dict[str, Any]:
    """Return each peer once, and each link once; entries: as `Links.presence` tells them."""
    peers = {one["author"]: _peer(one["author"], one["name"], one["hops"]) for one in entries}
    links: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        for link in entry["links"]:
            other = link["author"]
            peers.setdefault(other, _peer(other, link["name"], entry["hops"] + 1))
            ends = sorted((entry["author"], other))
            key = (ends[0], ends[1], link["medium"])
            links[key] = min(link["quality"], links.get(key, link["quality"]))
    edges = [{"peers": [a, b], "medium": medium, "quality": quality}
             for (a, b, medium), quality in sorted(links.items())]  # fmt: skip
    return {"peers": list(peers.values()), "links": edges}


def _peer(id: str, name: str, hops: int) -> dict[str, Any]:
    return {"id": id, "name": name, "hops": hops}


def device(big: "Tenant", id: str) -> dict[str, Any] | None:
    """Return what is known of one device, None where it has not reported."""
    document = big.store.get(INFO_COLLECTION, id)
    if document is None:
        return None
    return _device(id, document) | _seen_here(big, id, big.sightings.linked())


def log_of(big: "Tenant", device: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what happened to a device, the newest first."""
    lines = []
    with suppress(StorageError):  # a full disk
        big.sightings.look()  # what is of this moment, too
    try:
        events = big.sightings.events(bytes.fromhex(device["id"]))
    except ValueError:  # a document that is no device's
        events = []
    lines += [{"at": time_text(e.at_ms), "what": e.what, "text": e.medium} for e in events]
    statement = f"SELECT * FROM {CRASHES} WHERE device = :name ORDER BY _id DESC LIMIT :count"
    names = {"name": device["name"] or "", "count": CRASH_COUNT_MAX}
    for row in big.execute(statement, names).items:
        document = big.store.get(CRASHES, row["_id"])
        at_ms = unix_ms_of(max(cell.stamp for cell in document.values())) if document else 0
        at = time_text(int(at_ms)) if at_ms > STAMP_MS_MIN else None
        what, text = _text(row.get("what")) or "crash", row.get("text")
        lines.append({"at": at, "what": what, "text": text if isinstance(text, str) else ""})
    return sorted(lines, key=lambda line: line["at"] or "", reverse=True)


def reports(big: "Tenant", after: str) -> "Iterator[dict[str, Any]]":
    linked = big.sightings.linked()
    for id, body in big.store.scan(INFO_COLLECTION):  # in the order of ids
        if id > after:
            document = documents.decode(body)
            if not documents.is_deleted(document):
                yield _device(id, document) | _seen_here(big, id, linked)


def _seen_here(big: "Tenant", id: str, linked: set[bytes]) -> dict[str, Any]:
    """Return what this Big Peer itself knows of a device."""
    try:
        author = bytes.fromhex(id)
    except ValueError:  # a document that is no device's
        return {"linked": False, "lastSeenAt": None, "certificate": None}
    is_linked = author in linked
    seen_ms = system.wall_ms() if is_linked else big.sightings.seen_ms(author)
    return {
        "linked": is_linked,
        "lastSeenAt": time_text(seen_ms),
        "certificate": _certificate(big, author),
    }


def _certificate(big: "Tenant", author: bytes) -> dict[str, Any] | None:
    found = big.guard.judge.certificate_of(author)
    if found is None:
        return None
    return {
        "name": found.name,
        "serial": found.serial,
        "role": ROLE_NAMES[found.role],
        "revoked": big.guard.is_revoked(found.serial),
    }


def _device(id: str, document: "Document") -> dict[str, Any]:
    report = view(document, codec.unpack)
    stamp_ms = unix_ms_of(max(cell.stamp for cell in document.values()))
    numbers = {name: report.get(field) for name, field in _NUMBERS.items()}
    return {
        "id": id,
        "name": _text(report.get("name")),
        "relay": report.get("relay") is True,
        "onTrial": report.get("on_trial") is True,
        "firmware": _text(report.get("firmware")),
        "reportedAt": time_text(int(stamp_ms)) if stamp_ms > STAMP_MS_MIN else None,
        **{name: value if is_number(value) else None for name, value in numbers.items()},
        "links": _links(report.get("links")),
    }


def _links(links: object) -> list[dict[str, Any]]:
    pairs = links if isinstance(links, list | tuple) else []
    return [
        {"medium": _text(pair[0]), "neighbour": _text(pair[1])}
        for pair in pairs[:LINK_COUNT_MAX]
        if isinstance(pair, list | tuple) and len(pair) == 2
    ]


def _text(value: object) -> str | None:
    return value[:TEXT_CHARS_MAX] if isinstance(value, str) else None
