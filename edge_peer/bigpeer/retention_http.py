"""
How long documents stay, for administrators (retention.py).

    GET    /api/v4/apps/{appID}/retention                {"policies": {collection: POLICY}}
    PUT    /api/v4/apps/{appID}/retention/{collection}   POLICY, in and out
    DELETE /api/v4/apps/{appID}/retention/{collection}   204

    POLICY: {"keepDays": 30, "rollUp": null | {"everyS": 3600, "fields": ["temp"],
             "by": ["device"], "into": "readings_hourly"}}

What is older is deleted within ten minutes, everywhere.
"""

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from edge_peer.bigpeer.answers import encode, json_response
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.requests import body_of, object_in

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

BODY_BYTES_MAX = 16_384


async def list_policies(big: "Tenant", request: Request) -> Response:
    return json_response(encode({"policies": big.retention.policies}))


async def put(big: "Tenant", request: Request) -> Response:
    collection = request.path_params["collection"]
    policy = object_in(await body_of(request, BODY_BYTES_MAX), "keepDays")
    try:
        big.retention.set(collection, policy)
    except ValueError as error:
        raise Refusal(400, "request", str(error)) from error
    return json_response(encode(big.retention.policies[collection]))


async def remove(big: "Tenant", request: Request) -> Response:
    collection = request.path_params["collection"]
    if collection not in big.retention.policies:
        raise Refusal(404, "retention", "there is no such policy")
    big.retention.set(collection, None)
    return Response(status_code=204)
