"""`edge-peer update`: an archive and its documents at a real Big Peer."""

import hashlib
import json

import pytest

from edge_peer.core.errors import ConfigError
from edge_peer.host import authority
from edge_tools import update
from edge_tools.api import Client
from edge_tools.errors import ApiError

CODE = b"code" * 3_000


@pytest.fixture
def app(tmp_path):
    made = authority.create(tmp_path / "factory.app")
    yield made
    made.close()


def bundle_of(folder, app_id, name):
    path = folder / f"{name}.bundle"
    (path / "files/a").mkdir(parents=True)
    (path / "files/a/app.mpy").write_bytes(CODE)
    files = {"a/app.mpy": {"bytes": len(CODE), "sha256": hashlib.sha256(CODE).hexdigest()}}
    about = {"format": 1, "board": "RPI_PICO", "app_id": app_id, "device": name, "files": files}
    (path / "bundle.json").write_text(json.dumps(about))
    return path


def client(server):
    return Client(f"http://127.0.0.1:{server.big.http_port}", server.api_key)


def test_each_device_is_told_of_one_archive_that_the_authority_has_signed(server, app, tmp_path):
    for name in ("pump-1", "pump-2", "fan-1"):
        bundle_of(tmp_path, app.app_id.hex(), name)
    update.run([tmp_path], tmp_path / "factory.app", client(server), "pump-*", 100)
    rows = server.execute("SELECT * FROM edge_updates ORDER BY _id")["items"]
    assert [row["_id"] for row in rows] == ["pump-1", "pump-2"]
    assert rows[0]["archive"] == rows[1]["archive"]  # the same code is stored once
    response = server.client.get(
        f"/api/v4/attachments/{rows[0]['archive']['id']}",
        headers={"Authorization": f"Bearer {server.api_key}"},
    )
    assert response.content.startswith(update.MAGIC) and response.content.endswith(CODE)
    app.unlock()
    signed = app.sign_update(rows[0]["number"], hashlib.sha256(response.content).digest())
    assert rows[0]["signature"] == signed.hex()


def test_a_bundle_of_another_app_is_not_signed(server, app, tmp_path):
    bundle_of(tmp_path, "00" * 16, "other")
    with pytest.raises(ConfigError, match="another app"):
        update.run([tmp_path / "other.bundle"], tmp_path / "factory.app", client(server), "*", 100)
    assert not server.execute("SELECT * FROM edge_updates WHERE _id = 'other'")["items"]


def test_a_wrong_key_is_said(server, app, tmp_path):
    bundle_of(tmp_path, app.app_id.hex(), "pump")
    wrong = Client(f"http://127.0.0.1:{server.big.http_port}", "nobody's")
    with pytest.raises(ApiError, match="401"):
        update.run([tmp_path], tmp_path / "factory.app", wrong, "*", 100)
