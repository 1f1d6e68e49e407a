"""Certificates decide on real links: what is refused, who is cut off, who is renewed."""

import asyncio
import time

import pytest

from edge_peer.config import Config
from edge_peer.core.errors import ConfigError
from edge_peer.host import authority, private_file
from edge_peer.host.permissions import packed
from edge_peer.peer import SmallPeer
from edge_peer.security import identity
from edge_peer.security.certificate import DEVICE, EPOCH_S

LIMIT_S = 20
SITE_A = packed(
    {"read": {"everything": True}, "write": {"queriesByCollection": {"readings": ["site = 'A'"]}}}
)


def now_s():
    return int(time.time()) - EPOCH_S


@pytest.fixture
def server(start, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_peer.bigpeer.tenant.INTERVAL_S", 0.05)
    return start(tmp_path / "big")


@pytest.fixture
def app(server):
    app = authority.App(server.big.options.data / "big.app")
    app.unlock()
    yield app
    app.close()


def peer_of(app, server, folder, days=30, begins_s=0):
    made = app.admit("attic", DEVICE, SITE_A, days, now_s() + begins_s, False)
    path = folder / "identity.json"
    private_file.write(path, identity.to_text(made))
    return reopened(server, path)


def reopened(server, path):
    storage = {"path": str(path.with_name("attic.db"))}
    links = [{"kind": "lan", "host": "127.0.0.1", "port": server.big.sync_port}]
    return SmallPeer(Config({"identity": str(path), "storage": storage, "links": links}))


def run_until(peer, condition):
    async def running():
        task = asyncio.create_task(peer.run())
        try:
            async with asyncio.timeout(LIMIT_S):
                while not condition():
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(running())


def test_a_write_that_is_not_allowed_is_refused_and_told(app, server, tmp_path):
    peer = peer_of(app, server, tmp_path)
    good = peer.execute("INSERT INTO readings DOCUMENTS ({'site': 'A'})").ids
    bad = peer.execute("INSERT INTO readings DOCUMENTS ({'site': 'B'})").ids
    run_until(peer, lambda: peer.status().get("refused"))
    rows = server.execute("SELECT _id FROM readings")["items"]
    assert [row["_id"] for row in rows] == good
    assert peer.refused() == [
        {
            "collection": "readings",
            "_id": bad[0],
            "reason": "the author's certificate does not allow it",
        }
    ]
    peer.store.log.close()
    again = reopened(server, tmp_path / "identity.json")
    assert again.status()["refused"] == 1


def test_a_revoked_device_is_cut_off_and_does_not_come_back(app, server, tmp_path):
    peer = peer_of(app, server, tmp_path)
    peer.execute("INSERT INTO readings DOCUMENTS ({'site': 'A'})")
    run_until(peer, lambda: not peer.store.unsynced_count())
    app.revoke("attic", now_s())
    run_until(peer, lambda: server.big.guard.list_version == 1)
    peer.execute("INSERT INTO readings DOCUMENTS ({'site': 'A', 'late': true})")
    logged = []
    peer._system = Spy(peer._system, logged)
    run_until(peer, lambda: len(logged) > 1)
    assert len(server.execute("SELECT * FROM readings")["items"]) == 1
    assert not server.big.links.status()


def test_a_list_beside_the_identity_is_taken_at_the_start(app, server, tmp_path):
    peer = peer_of(app, server, tmp_path)
    peer.store.log.close()
    raw = app.revoke("attic", now_s())
    (tmp_path / "revoked.hex").write_text(raw.hex() + "\n")
    again = reopened(server, tmp_path / "identity.json")
    assert again._guard.is_revoked(again._guard.certificate.serial)
    again.store.log.close()
    (tmp_path / "revoked.hex").write_text(raw.hex()[:-1])
    with pytest.raises(ConfigError, match="revoked.hex"):
        reopened(server, tmp_path / "identity.json")


class Spy:
    """A system whose log lines a test reads along."""

    def __init__(self, system, lines):
        self._system = system
        self.log = lines.append

    def __getattr__(self, name):
        return getattr(self._system, name)


def test_a_certificate_is_renewed_before_it_ends(app, server, tmp_path):
    """It began 25 of its 30 days ago."""
    peer = peer_of(app, server, tmp_path, days=30, begins_s=-25 * 86_400)
    before = peer._guard.certificate
    peer.execute("INSERT INTO readings DOCUMENTS ({'site': 'A'})")
    run_until(peer, lambda: not peer.store.unsynced_count())
    server.big._registrar._look_s = 0  # an hour has passed
    run_until(peer, lambda: peer._guard.certificate != before)
    peer.store.log.close()
    again = reopened(server, tmp_path / "identity.json")
    renewed = again._guard.certificate
    assert renewed.serial > before.serial and renewed.key == before.key
    assert renewed.expiry_s > before.expiry_s
    again.execute("INSERT INTO readings DOCUMENTS ({'site': 'A'})")
    run_until(again, lambda: not again.store.unsynced_count())
