"""
Webhooks over HTTP, for administrators.

    GET    /api/v4/apps/{appID}/webhooks              {"webhooks": [WEBHOOK, …]}
    POST   /api/v4/apps/{appID}/webhooks              201, WEBHOOK and {"secret": "whsec_…"}
           {"name": "shop", "url": "https://…", "filter": FILTER, "from": TXN, "oldValues": true}
    DELETE /api/v4/apps/{appID}/webhooks/{id}         204
    POST   /api/v4/apps/{appID}/webhooks/{id}/replay  {"from": TXN}: what came after TXN, again
    GET    /api/v4/apps/{appID}/webhooks/{id}/dead    {"dead": [what could not be told, …]}
    POST   /api/v4/apps/{appID}/webhooks/{id}/dead/replay    202, {"count"}: that again, as it
                                                             is now
    GET    /api/v4/apps/{appID}/webhooks/{id}/deliveries
           {"deliveries": [{"txnId", "collection", "id", "at", "state": "told" | "dead" |
             "waiting", "status": of HTTP | null, "tries", "error": TEXT | null}, …]}

    FILTER: {"everything": true}, or {"queriesByCollection": {"readings": ["temp > 30"]}}
    "url" may be "mqtt:TOPIC", of the broker that the Big Peer is started with (publisher.py).
    Without "oldValues" each `oldValue` is null, and nobody is told to query again (telling.py).
    TXN: a transactionId; 0 is the beginning. Without "from" a new webhook begins now.

The secret is in the answer to the first POST and in no other.
"""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from edge_peer.bigpeer.answers import encode, json_response
from edge_peer.bigpeer.keys_http import time_text
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, object_in
from edge_peer.bigpeer.webhooks import Delivery, Webhook

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

BODY_BYTES_MAX = 65_536
_MEMBERS = {"name", "url", "filter", "from", "oldValues"}


async def list_webhooks(big: "Tenant", request: Request) -> Response:
    return json_response(encode({"webhooks": [map_of(big, one) for one in big.webhooks.all()]}))


async def create_webhook(big: "Tenant", request: Request) -> Response:
    fields = object_in(await body_of(request, BODY_BYTES_MAX), "url")
    name, url = fields.get("name"), fields.get("url")
    if not isinstance(name, str) or not isinstance(url, str) or not set(fields) <= _MEMBERS:
        raise Refusal(400, "request", 'a webhook has "name", "url", "filter" and maybe "from"')
    newest = big.transaction_id()
    cursor, old_values = _number(big, fields.get("from", newest)), fields.get("oldValues", True)
    if not isinstance(old_values, bool):
        raise Refusal(400, "request", '"oldValues" is true or false')
    fresh_until = 0 if cursor else newest
    try:
        webhook = big.webhooks.create(
            name, url, fields.get("filter"), cursor, old_values, fresh_until
        )
    except ValueError as error:
        raise Refusal(400, "request", str(error)) from error
    big.deliverer.changed(webhook.id)
    told = {"secret": webhook.secret} | map_of(big, webhook)
    return json_response(encode(told), 201)


async def remove_webhook(big: "Tenant", request: Request) -> Response:
    webhook = _webhook(big, request)
    big.webhooks.remove(webhook.id)
    big.deliverer.changed(webhook.id)
    return Response(status_code=204)


async def replay(big: "Tenant", request: Request) -> Response:
    webhook = _webhook(big, request)
    fields = object_in(await body_of(request, BODY_BYTES_MAX), "from")
    big.webhooks.replay(webhook.id, _number(big, fields.get("from")), big.transaction_id())
    big.deliverer.changed(webhook.id)
    return json_response(encode(map_of(big, _webhook(big, request))))


async def list_dead(big: "Tenant", request: Request) -> Response:
    dead = [
        {
            "collection": one.collection,
            "id": one.id,
            "txnId": one.txn,
            "at": time_text(one.at_ms),
            "error": one.error,
        }
        for one in big.webhooks.dead(_webhook(big, request).id)
    ]
    return json_response(encode({"dead": dead}))


async def replay_dead(big: "Tenant", request: Request) -> Response:
    webhook = _webhook(big, request)
    count = big.webhooks.revive(webhook.id)
    big.deliverer.changed(webhook.id)
    return json_response(encode({"count": count}), 202)


async def list_deliveries(big: "Tenant", request: Request) -> Response:
    return json_response(encode({"deliveries": deliveries_of(big, _webhook(big, request).id)}))


def deliveries_of(big: "Tenant", id: str) -> list[dict[str, Any]]:
    """Return what waits to be tried again, then what was told or given up, the newest first."""
    waiting = big.deliverer.progress(id).waiting.values()
    return [_delivery(one, "waiting") for one in waiting] + [
        _delivery(one, "dead" if one.error else "told") for one in big.webhooks.deliveries(id)
    ]


def _delivery(one: Delivery, state: str) -> dict[str, Any]:
    return {
        "txnId": one.txn,
        "collection": one.collection,
        "id": one.id,
        "at": time_text(one.at_ms),
        "state": state,
        "status": one.status or None,
        "tries": one.tries,
        "error": one.error or None,
    }


def _webhook(big: "Tenant", request: Request) -> Webhook:
    webhook = big.webhooks.by_id(request.path_params["id"])
    if webhook is None:
        raise Refusal(404, "webhook", "there is no such webhook")
    return webhook


def _number(big: "Tenant", value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Refusal(400, "request", '"from" is a transactionId, a whole number')
    return min(value, big.transaction_id())


def map_of(big: "Tenant", webhook: Webhook) -> dict[str, Any]:
    progress = big.deliverer.progress(webhook.id)
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "filter": webhook.filter.fields["read"],
        "oldValues": webhook.old_values,
        "createdAt": time_text(webhook.created_ms),
        "toldUpTo": webhook.cursor,
        "behind": max(0, big.transaction_id() - webhook.cursor),
        "paused": webhook.is_paused,
        "delivered": progress.delivered_count,  # since the start
        "failed": progress.failed_count,
        "lastError": progress.last_error or None,
    }
