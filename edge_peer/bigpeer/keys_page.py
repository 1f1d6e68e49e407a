"""
The portal's page about API keys, sessions and one's own password.

A new key is in the page that answers the form, and in no other. All of it passes
through templates that escape: names come from people and programs.
"""

import json
from typing import Any

from starlette.responses import RedirectResponse, Response

from edge_peer.bigpeer.keys_http import map_of
from edge_peer.bigpeer.limits import address_of
from edge_peer.bigpeer.permissions import Permissions
from edge_peer.bigpeer.shell import Visit
from edge_peer.host import system

DAY_MS = 86_400_000
DAYS_MAX = 36_500
SHOWN_COUNT_MAX = 500  # keys; `edge-peer big key list` shows all
_ALL = {"everything": True}
_CHOICES: dict[str, Any] = {"read": {"read": _ALL}, "write": {"read": _ALL, "write": _ALL}}
_EXAMPLE = {
    "read": {"everything": True, "queriesByCollection": {}},
    "write": {"everything": False, "queriesByCollection": {"readings": ["site == 'A'"]}},
}


async def respond(visit: Visit) -> Response:
    big, fields, session = visit.big, visit.fields, visit.session
    keys = visit.tenant.keys
    if not visit.is_form():
        return _page(visit)
    action = fields.get("action", "")
    if action == "create":
        try:
            key, plain = keys.create(fields.get("name", "").strip(), *_wanted(fields))
        except ValueError as error:
            return _page(visit, status=400, message=str(error), fields=fields)
        return _page(visit, status=201, new_key=plain, new_name=key.name)
    if action == "revoke":
        keys.revoke(fields.get("id", ""))
    elif action == "end":
        big.sessions.end_others(session)
    elif action == "password" and session.person is not None:
        return await _change_password(visit)
    return visit.back("keys")


async def _change_password(visit: Visit) -> Response:
    """It ends all sessions of the person, this one with them. Raises Refusal (429)."""
    big, fields, session = visit.big, visit.fields, visit.session
    assert session.person is not None
    address = address_of(visit.request.client)
    big.limits.check_wrong(address)
    try:
        if fields.get("password") != fields.get("again"):
            raise ValueError("the two new passwords differ")
        if not await big.people.knows(session.person, fields.get("current", "")):
            big.limits.was_wrong(address)
            raise ValueError("that is not your password")
        await big.people.change(session.person, fields.get("password", ""))
    except ValueError as error:
        return _page(visit, status=400, password_message=str(error))
    big.sessions.look_again()
    return RedirectResponse("./", 303)


def _wanted(fields: dict[str, str]) -> tuple[Permissions | None, int | None]:
    """Return permissions (None: an administrator's) and expiry. Raises ValueError."""
    choice, days = fields.get("may", ""), fields.get("days", "").strip()
    if days and not (days.isascii() and days.isdigit() and 0 < int(days[:9]) <= DAYS_MAX):
        raise ValueError(f"a key lasts 1 to {DAYS_MAX} days, or for ever where nothing is said")
    expires_ms = system.wall_ms() + int(days) * DAY_MS if days else None
    if choice == "administrator":
        return None, expires_ms
    if choice in _CHOICES:
        return Permissions(_CHOICES[choice]), expires_ms
    try:
        allowed = json.loads(fields.get("permissions", ""))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the permissions are not JSON: {error}") from error
    return Permissions(allowed), expires_ms


def _page(visit: Visit, *, status: int = 200, **values: Any) -> Response:
    keys = visit.tenant.keys.all()
    shown = [_row(map_of(key)) for key in keys[-SHOWN_COUNT_MAX:]]
    fields = values.pop("fields", {})
    if not fields.get("permissions"):
        fields["permissions"] = json.dumps(_EXAMPLE, indent=1)
    empty = {"message": "", "new_key": "", "new_name": "", "password_message": ""}
    return visit.shown(
        "keys", status, keys=shown, hidden_count=len(keys) - len(shown),
        is_person=visit.session.person is not None,
        others_count=visit.big.sessions.count() - 1, fields=fields, **(empty | values),
    )  # fmt: skip


def _row(key: dict[str, Any]) -> dict[str, Any]:
    if key["administrator"]:
        may = "everything, and manage keys"
    else:
        sides = {name: _words(side) for name, side in key["permissions"].items()}
        may = f"read {sides['read']}; write {sides['write']}"
    times = {name: (key[name] or "")[:16].replace("T", " ") for name in ("expiresAt", "lastUsedAt")}
    return key | {"may": may} | times


def _words(side: dict[str, Any]) -> str:
    if side["everything"]:
        return "everything"
    rules = side["queriesByCollection"].items()
    return ", ".join(f"{name} where {' or '.join(rule)}" for name, rule in rules) or "nothing"
