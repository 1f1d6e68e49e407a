"""A Big Peer publishes what its app's authority has decided, and renews what ends soon."""

import pytest
from memory import MemoryLog, open_store

from edge_peer.bigpeer.registrar import Registrar
from edge_peer.core.errors import ConfigError
from edge_peer.core.ids import author_of
from edge_peer.host import authority, codec, crypto
from edge_peer.host.permissions import EVERYTHING, packed
from edge_peer.security.certificate import BIG_PEER, DEVICE, Time
from edge_peer.security.guard import Guard

NOW_S = 200_000_000
DAY_S = 86_400
INCARNATION = b"inc1"
ALL = packed(EVERYTHING)


class _Keys:
    def __init__(self, app):
        self._app = app

    def verify(self, signature, message):
        return crypto.verify(self._app.public, signature, message)


def guard_of(app, identity):
    store = open_store(MemoryLog(), identity.certificate.key, keeps_all=True)
    return Guard(
        store, identity.certificate, app.app_id, _Keys(app), codec.unpack, lambda: Time(NOW_S, 0)
    )


@pytest.fixture
def app(tmp_path):
    app = authority.create(tmp_path / "a.app")
    app.unlock()
    yield app
    app.close()


@pytest.fixture
def guard(app):
    return guard_of(app, app.admit("big", BIG_PEER, ALL, 0, NOW_S, False))


@pytest.fixture
def registrar(app, guard, tmp_path):
    registrar = Registrar(tmp_path / "a.app", guard)
    yield registrar
    registrar.close()


def heard_of(app, guard, days=30, name="pump"):
    """Admit a device whose certificate has come to the Big Peer; return that, and its author."""
    certificate = app.admit(name, DEVICE, ALL, days, NOW_S, False).certificate
    author = author_of(certificate.key, INCARNATION)
    guard.judge.publish(author, INCARNATION, certificate)
    return certificate, author


def test_a_certificate_is_renewed_when_its_last_third_begins(app, guard, registrar):
    old, author = heard_of(app, guard)
    registrar.tick(NOW_S + 19 * DAY_S)
    assert guard.judge.certificate_of(author) == old
    registrar.tick(NOW_S + 21 * DAY_S)
    new = guard.judge.certificate_of(author)
    assert (new.key, new.name, new.permissions) == (old.key, old.name, old.permissions)
    assert new.expiry_s == NOW_S + 51 * DAY_S
    registrar.tick(NOW_S + 22 * DAY_S)
    registrar.tick(NOW_S + 22 * DAY_S + 1)
    assert guard.judge.certificate_of(author) == new and len(app.ledger.all()) == 3


def test_what_somebody_has_renewed_by_hand_is_published(app, guard, registrar):
    _, author = heard_of(app, guard)
    new = app.renew("pump", 90, NOW_S + 5)
    registrar.tick(NOW_S + 10)
    assert guard.judge.certificate_of(author) == new


def test_what_never_ends_or_has_ended_or_is_revoked_is_not_renewed(app, guard, registrar):
    heard_of(app, guard, days=0, name="for ever")
    heard_of(app, guard, days=1, name="ended")
    heard_of(app, guard, name="revoked")
    app.revoke("revoked", NOW_S)
    registrar.tick(NOW_S + 25 * DAY_S)
    assert len(app.ledger.all()) == 4


def test_a_revocation_counts_at_the_next_look(app, guard, registrar):
    certificate, _ = heard_of(app, guard)
    registrar.tick(NOW_S)
    app.revoke("pump", NOW_S)
    assert not guard.is_revoked(certificate.serial)
    registrar.tick(NOW_S + 10)
    assert guard.is_revoked(certificate.serial)


def test_a_locked_authority_revokes_and_renews_by_hand_alone(tmp_path):
    app = authority.create(tmp_path / "locked.app", "open sesame")
    app.unlock("open sesame")
    guard = guard_of(app, app.admit("big", BIG_PEER, ALL, 0, NOW_S, False))
    _, author = heard_of(app, guard)
    registrar = Registrar(tmp_path / "locked.app", guard)
    registrar.tick(NOW_S + 25 * DAY_S)
    assert len(app.ledger.all()) == 2
    new = app.renew("pump", 10, NOW_S + 25 * DAY_S)
    registrar.tick(NOW_S + 26 * DAY_S)
    assert guard.judge.certificate_of(author) == new
    registrar.close()
    app.close()


def test_an_authority_of_another_app_is_refused(app, guard, tmp_path):
    authority.create(tmp_path / "b.app").close()
    with pytest.raises(ConfigError, match="another app"):
        Registrar(tmp_path / "b.app", guard)
