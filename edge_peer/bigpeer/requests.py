"""
What the HTTP API is asked: JSON bodies of bounded size, read within a bounded time.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from edge_peer.bigpeer.refusal import Refusal

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

BODY_BYTES_MAX = 1 << 20  # some thousand readings; what is written at once makes others wait
BODY_WAIT_S = 30
TRANSACTION_WAIT_S = 10


async def body_of(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Raises Refusal for one that is too large, or does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise Refusal(413, "size", f"a request has at most {bytes_max} bytes")
    except (TimeoutError, ClientDisconnect) as error:
        raise Refusal(408, "request", "the request did not arrive whole") from error
    return bytes(body)


def object_in(body: bytes, what: str) -> dict[str, Any]:
    """what: the member that it must have, for those who sent something else."""
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "request", f"the request is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refusal(400, "request", f'the request must be a JSON object with "{what}"')
    return fields


def statement_in(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return statement and arguments."""
    fields = object_in(body, "statement")
    statement, arguments = fields.get("statement"), fields.get("args")
    if not isinstance(statement, str):
        raise Refusal(400, "request", '"statement" must be the text of a DQL statement')
    if not isinstance(arguments, dict | None):
        raise Refusal(400, "request", '"args" must be an object: {"name": value} for each :name')
    return statement, arguments or {}


async def wait_for_transaction(big: "Tenant", headers: Mapping[str, str]) -> None:
    text = headers.get("x-edge-txn-id", headers.get("x-ditto-txn-id"))
    if text is None:
        return
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal(400, "request", "X-EDGE-TXN-ID takes a transactionId, a whole number")
    try:
        async with asyncio.timeout(TRANSACTION_WAIT_S):
            await big.wait_for_transaction(int(text))
    except TimeoutError as error:
        reached = f"this Big Peer has reached transaction {big.transaction_id()}, not {text}"
        raise Refusal(412, "behind", reached) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
