"""
Admitting, renewing and revoking devices, where the app's authority lies beside the Big Peer.

Each call opens the authority anew, in a thread of its own: unlocking takes a fifth of a
second where there is a passphrase, which is forgotten with the call.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from edge_peer.bigpeer.refusal import Refusal
from edge_peer.core.errors import ConfigError
from edge_peer.host import permissions, system
from edge_peer.host.authority import App
from edge_peer.host.ledger import Issued
from edge_peer.security.certificate import EPOCH_S, ROLES, Certificate
from edge_peer.security.identity import Identity, to_text

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

Made = TypeVar("Made")

DAYS = 365
DAYS_MAX = 36_500
_KEY_DIGITS = re.compile("[0-9a-fA-F]{64}")
ROLE_NAMES = {number: name for name, number in ROLES.items()}


@dataclass(frozen=True)
class Wish:
    """What a device shall be. rules: as a certificate carries them, None for what it had."""

    name: str
    role: str = "device"
    rules: bytes | None = None
    days: int = DAYS  # 0: for ever
    replaces: bool = False  # a device of that name, which is revoked
    signs: bool = False  # what it sends through relays
    public: bytes | None = None  # its Ed25519 public key, where it keeps the private one


def wish(fields: dict[str, Any], name: Any) -> Wish:
    """Read what somebody asks for, in JSON. Raises Refusal."""
    role, days = fields.get("role", "device"), fields.get("days", DAYS)
    replaces, signs = fields.get("replaces", False), fields.get("signs", False)
    if not isinstance(name, str) or not name or "/" in name:
        raise Refusal(400, "request", '"name" is text without a slash')
    if not isinstance(role, str) or role not in ROLES:
        raise Refusal(400, "request", f'"role" is one of {", ".join(ROLES)}')
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= DAYS_MAX:
        raise Refusal(400, "request", f'"days" is a number up to {DAYS_MAX}; 0 is for ever')
    if not isinstance(replaces, bool) or not isinstance(signs, bool):
        raise Refusal(400, "request", '"replaces" and "signs" are true or false')
    try:
        wanted = fields.get("permissions")
        rules = None if wanted is None else permissions.packed(wanted)
    except ConfigError as error:
        raise Refusal(400, "request", str(error)) from error
    return Wish(name, role, rules, days, replaces, signs, _public_key(fields.get("publicKey")))


def _public_key(text: Any) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str) or not _KEY_DIGITS.fullmatch(text):
        raise Refusal(400, "request", '"publicKey" is 64 hexadecimal digits')
    return bytes.fromhex(text)


async def admit(tenant: "Tenant", wanted: Wish, passphrase: str | None) -> tuple[Certificate, str]:
    """Return a new device's certificate and its identity.json, which is nowhere else.

    Where the device has made its key itself, `seed` is empty there.
    """
    everything = permissions.packed(permissions.EVERYTHING)
    rules = everything if wanted.rules is None else wanted.rules

    def admitted(app: App) -> Identity:
        role = ROLES[wanted.role]
        terms = (role, rules, wanted.days, _now_s(), wanted.replaces, wanted.signs)
        return app.admit(wanted.name, *terms, wanted.public)

    identity = await _signed(tenant, passphrase, admitted)
    return identity.certificate, to_text(identity)


async def renew(tenant: "Tenant", wanted: Wish, passphrase: str | None) -> Certificate:
    """Issue a certificate anew; it goes to its device through the mesh."""
    return await _signed(
        tenant, passphrase, lambda app: app.renew(wanted.name, wanted.days, _now_s(), wanted.rules)
    )


async def revoke(tenant: "Tenant", name: str, passphrase: str | None) -> None:
    """Void all certificates of a device, at all peers as soon as they hear of it."""
    await _signed(tenant, passphrase, lambda app: app.revoke(name, _now_s()))


async def issued(tenant: "Tenant") -> list[Issued]:
    """Return what the authority has issued, the oldest first; nothing where it is not here."""
    if tenant.name is None:
        return []

    def read() -> list[Issued]:
        app = App(tenant.authority)
        try:
            return app.ledger.all()
        finally:
            app.close()

    return await asyncio.to_thread(read)


async def _signed(tenant: "Tenant", passphrase: str | None, make: Callable[[App], Made]) -> Made:
    """Raises Refusal, 409 for what cannot be."""
    if tenant.name is None:
        text = "this app's authority is not here: `edge-peer device …` works where it is"
        raise Refusal(409, "authority", text)

    def sign() -> Made:
        app = App(tenant.authority)
        try:
            app.unlock(passphrase)
            return make(app)
        finally:
            app.close()

    async with tenant.signing:
        try:
            made = await asyncio.to_thread(sign)
        except ConfigError as error:
            raise Refusal(409, "authority", str(error)) from error
    tenant.publish()
    return made


def _now_s() -> int:
    return system.wall_ms() // 1000 - EPOCH_S
