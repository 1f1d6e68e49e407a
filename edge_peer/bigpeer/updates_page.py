"""
The portal's page about roll-outs of new code: who shall run what, and how far that is.

`edge-peer update` writes a document of `edge_updates` for each device (flash/updating.py);
devices report the number that they tried last, and write into `edge_crashes` what went
wrong. From these three follows the state:

    waiting       it has not tried that number yet
    on trial      it runs, and has yet to prove itself
    running       it has
    rolled back   it did not: what was there before runs again
    refused       it was not for that board, not whole, or not signed by the authority
"""

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import Response

from edge_peer.bigpeer.devices_http import CRASHES, reports
from edge_peer.bigpeer.keys_http import time_text
from edge_peer.bigpeer.shell import Visit
from edge_peer.core import document as documents
from edge_peer.core.query.view import view
from edge_peer.host import codec
from edge_peer.security.certificate import EPOCH_S, NEVER_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_peer.bigpeer.tenant import Tenant
    from edge_peer.core.document import Document

UPDATES = "edge_updates"
SHOWN_COUNT_MAX = 500
ENDS = {"rolled back": "rolled back", "update refused": "refused"}


class End(NamedTuple):
    stamp: int
    state: str
    text: str


async def respond(visit: Visit) -> Response:
    tenant = visit.tenant
    ends = _ends(tenant)
    reported = {one["name"]: one for one in reports(tenant, "")}
    rows = []
    for id, document in islice(_documents(tenant, UPDATES), SHOWN_COUNT_MAX):
        device = reported.get(id)
        about = {"name": id, "id": device["id"] if device else ""}
        rows.append(about | _state(document, device, ends.get(id)))
    tally = Counter(row["state"] for row in rows)
    return visit.shown("updates", rows=rows, tally=sorted(tally.items()))


def state_of(tenant: "Tenant", device: dict[str, Any]) -> dict[str, Any] | None:
    """Return the state of the update that a device shall run, if there is one."""
    name = device["name"] or ""
    document = tenant.store.get(UPDATES, name)
    return None if document is None else _state(document, device, _ends(tenant).get(name))


def _documents(tenant: "Tenant", collection: str) -> "Iterator[tuple[str, Document]]":
    for id, body in sorted(tenant.store.scan(collection)):
        document = documents.decode(body)
        if not documents.is_deleted(document):
            yield id, document


def _ends(tenant: "Tenant") -> dict[str, End]:
    """Return how the last update of each device ended, where that was not well."""
    ends: dict[str, End] = {}
    for _, document in _documents(tenant, CRASHES):
        row = view(document, codec.unpack)
        name, state = row.get("device"), ENDS.get(str(row.get("what")))
        if isinstance(name, str) and state is not None:
            end = End(_stamp(document), state, str(row.get("text", "")))
            ends[name] = max(end, ends.get(name, end))
    return ends


def _state(document: "Document", device: dict[str, Any] | None, end: End | None) -> dict[str, Any]:
    """A clock of a device is never behind what it has heard, so an end has a later stamp."""
    row = view(document, codec.unpack)
    number = row.get("number")
    number = number if isinstance(number, int) else 0
    at = time_text((number + EPOCH_S) * 1000) if 0 < number < NEVER_S else None
    found = {"number": number, "at": at, "why": ""}
    if end is not None and end.stamp > _stamp(document):
        return found | {"state": end.state, "why": end.text}
    tried = None if device is None else device["update"]
    if tried is None or tried < number:
        return found | {"state": "waiting"}
    return found | {"state": "on trial" if device and device["onTrial"] else "running"}


def _stamp(document: "Document") -> int:
    stamp: int = max(cell.stamp for cell in document.values())
    return stamp
