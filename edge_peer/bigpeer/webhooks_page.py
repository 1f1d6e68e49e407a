"""
The portal's page about webhooks: how far each is, how its last deliveries went, what it
could not tell, and new ones.

A secret is in the page that answers the form, and in no other.
"""

import json
from typing import Any

from starlette.responses import Response

from edge_peer.bigpeer.keys_http import time_text
from edge_peer.bigpeer.shell import Visit
from edge_peer.bigpeer.webhooks import Webhook
from edge_peer.bigpeer.webhooks_http import deliveries_of, map_of

SHOWN_COUNT = 20  # deliveries and dead of each webhook; the API has more


async def respond(visit: Visit) -> Response:
    tenant, fields = visit.tenant, visit.fields
    if not visit.is_form():
        return _page(visit)
    id = fields.get("id", "")
    if fields.get("action") == "remove":
        tenant.webhooks.remove(id)
    elif fields.get("action") == "replay":
        cursor = fields.get("from", "0").strip()
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):
            return _page(visit, status=400, message="a transaction is a whole number")
        newest = tenant.transaction_id()
        tenant.webhooks.replay(id, min(int(cursor), newest), newest)
    elif fields.get("action") == "revive":
        tenant.webhooks.revive(id)
    else:
        try:
            made = _create(visit)
        except ValueError as error:
            return _page(visit, status=400, message=str(error), fields=fields)
        tenant.deliverer.changed(made.id)
        return _page(visit, status=201, made=made)
    tenant.deliverer.changed(id)
    return visit.back("webhooks")


def _create(visit: Visit) -> Webhook:
    fields, tenant = visit.fields, visit.tenant
    try:
        filter = json.loads(fields.get("filter", ""))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the filter is not JSON: {error}") from error
    name, url = fields.get("name", "").strip(), fields.get("url", "").strip()
    old_values = "old_values" in fields
    return tenant.webhooks.create(name, url, filter, tenant.transaction_id(), old_values)


def _page(visit: Visit, *, status: int = 200, **values: Any) -> Response:
    tenant = visit.tenant
    shown = []
    for one in tenant.webhooks.all():
        dead = [(time_text(d.at_ms), d) for d in tenant.webhooks.dead(one.id, SHOWN_COUNT)]
        words = json.dumps(one.filter.fields["read"])
        tried = deliveries_of(tenant, one.id)[:SHOWN_COUNT]
        shown.append(map_of(tenant, one) | {"dead": dead, "words": words, "deliveries": tried})
    fields = {"filter": '{"everything": true}'} | values.pop("fields", {})
    empty = {"message": "", "made": None}
    return visit.shown("webhooks", status, webhooks=shown, fields=fields, **(empty | values))
