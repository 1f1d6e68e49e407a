"""
What a Big Peer does for the authority of its app, where that lies beside it and is not locked.

It publishes what `edge-peer device renew` and `revoke` have written into the ledger, and
renews by itself what ends soon: each certificate whose last third has begun, of every device
that it has heard of. The new one has the same rules and is valid for as long as the old one
was. It goes through the mesh to its device (security/gate.py), which need not be touched.
"""

from __future__ import annotations

from pathlib import Path

from edge_peer.core.errors import ConfigError
from edge_peer.host.authority import DAY_S, SKEW_S, App
from edge_peer.security.certificate import NEVER_S, Certificate
from edge_peer.security.guard import Guard

INTERVAL_S = 10  # between two looks at whether the ledger has changed
LOOK_S = 3_600  # and between two at what ends soon


class Registrar:
    def __init__(self, folder: Path, guard: Guard) -> None:
        """Raises ConfigError, StorageError; the authority must be of the guard's app."""
        self._app = App(folder)
        self._guard = guard
        self._look_s = 0
        if self._app.app_id[:4] != guard.certificate.app:
            raise ConfigError(f"{folder} is of another app than this Big Peer")
        self.name = self._app.name
        self.can_renew = not self._app.is_locked
        if self.can_renew:
            self._app.unlock()

    def close(self) -> None:
        self._app.close()

    def tick(self, now_s: int) -> None:
        """Publish what is new; now_s: seconds since 2020. Raises StorageError."""
        if not self._app.ledger.has_changed() and now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_S
        raw = self._app.ledger.revocation_list()
        if raw is not None:
            self._guard.take_list(raw)
        newest = {}
        for one in self._app.ledger.all():  # the oldest first
            if one.revoked_s is None:
                newest[one.certificate.key] = one.certificate
        for author, incarnation, shown in self._guard.judge.authors():
            last = newest.get(shown.key)
            if last is not None and self.can_renew and _ends_soon(last, now_s):
                last = self._app.renew(last.name, _days(last), now_s)
            if last is not None and last.serial > shown.serial:
                self._guard.judge.publish(author, incarnation, last)


def _ends_soon(certificate: Certificate, now_s: int) -> bool:
    """Say whether the last third of its time has begun, and not ended."""
    life_s = certificate.expiry_s - certificate.not_before_s
    return bool(
        certificate.expiry_s != NEVER_S
        and certificate.expiry_s - life_s // 3 <= now_s <= certificate.expiry_s
    )


def _days(certificate: Certificate) -> int:
    life_s: int = certificate.expiry_s - certificate.not_before_s - SKEW_S
    return max(1, round(life_s / DAY_S))
