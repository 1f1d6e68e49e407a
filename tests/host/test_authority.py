"""An app's authority: its folder, what it issues, and what a crash leaves."""

import os
import signal
import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_peer.core.errors import ConfigError, StorageError
from edge_peer.host import authority_key, private_file
from edge_peer.host.authority import App, create, key_pair
from edge_peer.host.permissions import EVERYTHING, packed
from edge_peer.security import revocation
from edge_peer.security.certificate import DEVICE, NEVER_S, message_of

NOW_S = 200_000_000
ALL = packed(EVERYTHING)


@pytest.fixture
def app(tmp_path):
    app = create(tmp_path / "factory.app")
    app.unlock()
    yield app
    app.close()


def admit(app, name="pump", days=30, replaces=False):
    return app.admit(name, DEVICE, ALL, days, NOW_S, replaces)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def check_signature(app, certificate):
    public = Ed25519PublicKey.from_public_bytes(app.public)
    public.verify(certificate.raw[-64:], message_of(app.app_id, certificate.raw[:-64]))


def test_only_the_owner_reads_what_an_app_is_made_of(app, tmp_path):
    folder = tmp_path / "factory.app"
    assert mode_of(folder) == 0o700
    assert {path.name: mode_of(path) for path in folder.iterdir()} == {
        "authority.json": 0o600,
        "ledger.db": 0o600,
    }


def test_an_app_that_is_there_stays(app, tmp_path):
    with pytest.raises(ConfigError, match="--force"):
        create(tmp_path / "factory.app")
    assert App(tmp_path / "factory.app").app_id == app.app_id
    assert [path.name for path in tmp_path.iterdir()] == ["factory.app"]


def test_force_moves_an_app_aside_whole(app, tmp_path):
    admit(app)
    new = create(tmp_path / "factory.app", force=True)
    old = next(path for path in tmp_path.iterdir() if path.suffix == ".old")
    assert App(old).app_id == app.app_id != new.app_id
    assert len(App(old).ledger.all()) == 1 and not new.ledger.all()


def test_a_device_gets_a_key_and_a_certificate_that_say_the_same(app):
    identity = admit(app)
    certificate = identity.certificate
    assert (certificate.key, certificate.is_negative) == key_pair(identity.seed)
    assert certificate.not_before_s < NOW_S < certificate.expiry_s == NOW_S + 30 * 86_400
    assert certificate.permissions == ALL and certificate.serial == 1
    assert identity.app_id == app.app_id
    check_signature(app, certificate)


def test_the_x25519_key_is_the_ed25519_key_in_other_coordinates():
    """u = (1 + y) / (1 - y), RFC 7748, 4.1."""
    prime = 2**255 - 19
    for seed in (bytes(32), b"\x07" * 32, b"\xff" * 32):
        agreeing, is_negative = key_pair(seed)
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        number = int.from_bytes(public, "little")
        y = number % 2**255
        assert int.from_bytes(agreeing, "little") == (1 + y) * pow(1 - y, -1, prime) % prime
        assert is_negative == bool(number >> 255)


def test_all_devices_of_an_app_share_its_network_key(app):
    one, two = admit(app, "one"), admit(app, "two")
    assert one.network_keys == two.network_keys and list(one.network_keys) == [1]
    assert one.seed != two.seed


def test_a_name_is_given_once(app):
    admit(app)
    with pytest.raises(ConfigError, match="already"):
        admit(app)
    assert len(app.ledger.all()) == 1


def test_a_device_that_is_replaced_is_revoked(app):
    old, new = admit(app), admit(app, replaces=True)
    listed = revocation.decode(app.ledger.revocation_list())
    assert listed.serials == (old.certificate.serial,) != (new.certificate.serial,)


def test_a_renewed_certificate_is_of_the_same_key(app):
    old = admit(app).certificate
    new = app.renew("pump", 0, NOW_S + 1000)
    assert (new.key, new.name, new.permissions) == (old.key, old.name, old.permissions)
    assert new.serial == 2 and new.expiry_s == NEVER_S
    check_signature(app, new)


def test_permissions_change_with_a_renewed_certificate(app):
    admit(app)
    assert app.renew("pump", 1, NOW_S, b"").permissions == b""
    assert app.renew("pump", 1, NOW_S).permissions == b""


def test_revoking_voids_all_certificates_of_a_device(app):
    admit(app, "other")
    admit(app)
    app.renew("pump", 30, NOW_S)
    raw = app.revoke("pump", NOW_S + 5)
    listed = revocation.decode(raw)
    assert (listed.version, listed.issued_s, listed.serials) == (1, NOW_S + 5, (2, 3))
    public = Ed25519PublicKey.from_public_bytes(app.public)
    public.verify(raw[-64:], revocation.message_of(app.app_id, raw[:-64]))
    with pytest.raises(ConfigError, match="no device pump"):
        app.revoke("pump", NOW_S + 6)
    admit(app)  # the name is free again


def test_all_that_is_older_than_a_serial_is_voided_without_being_named(app):
    for name in ("one", "two", "three"):
        admit(app, name)
    app.renew("two", 30, NOW_S)
    listed = revocation.decode(app.revoke_below(4, NOW_S))
    assert (listed.floor, listed.serials) == (4, ())
    assert [one.revoked_s is None for one in app.ledger.all()] == [False, False, False, True]
    listed = revocation.decode(app.revoke("two", NOW_S))  # the floor stays
    assert (listed.version, listed.floor, listed.serials) == (2, 4, (4,))
    for floor in (0, 6):
        with pytest.raises(ConfigError, match="as high"):
            app.revoke_below(floor, NOW_S)


def test_what_has_expired_leaves_the_list(app):
    admit(app, "short", days=1)
    admit(app, "long", days=100)
    app.revoke("short", NOW_S)
    listed = revocation.decode(app.revoke("long", NOW_S + 2 * 86_400))
    assert (listed.version, listed.serials) == (2, (2,))


def test_a_mistake_takes_no_serial(app):
    with pytest.raises(ConfigError, match="name"):
        admit(app, "x" * 25)
    with pytest.raises(ConfigError, match="65 bytes"):
        app.admit("y", DEVICE, bytes(65), 1, NOW_S, False)
    assert admit(app).certificate.serial == 1


def test_a_passphrase_locks_the_key(tmp_path):
    app = create(tmp_path / "locked.app", "correct horse")
    assert app.is_locked
    for wrong in (None, "", "wrong"):
        with pytest.raises(ConfigError, match="passphrase"):
            app.unlock(wrong)
    app.unlock("correct horse")
    check_signature(app, admit(app).certificate)
    text = (tmp_path / "locked.app" / "authority.json").read_text()
    assert '"sealed"' in text and text.count('"seed"') == 1


def test_a_key_file_that_is_damaged_is_told_without_what_is_in_it(app, tmp_path):
    path = tmp_path / "factory.app" / "authority.json"
    good = path.read_text()
    seed = authority_key.read(path).seed.hex()
    for damaged in ("", "{}", "[1]", good[:-9], good.replace(seed, seed[2:])):
        path.write_text(damaged)
        with pytest.raises(ConfigError, match="damaged") as caught:
            App(tmp_path / "factory.app")
        assert seed[4:12] not in str(caught.value)
    path.write_text(good.replace(seed, "00" * 32))
    with pytest.raises(ConfigError, match="not that of its public key"):
        App(tmp_path / "factory.app").unlock()
    assert seed not in repr(authority_key.read(path))


def test_a_ledger_that_is_lost_is_not_made_again(app, tmp_path):
    (tmp_path / "factory.app" / "ledger.db").unlink()
    with pytest.raises(StorageError, match="missing"):
        App(tmp_path / "factory.app")


def test_a_private_file_is_never_overwritten_by_mistake(tmp_path):
    path = tmp_path / "identity.json"
    private_file.write(path, "one")
    with pytest.raises(ConfigError, match="--force"):
        private_file.write(path, "two")
    assert path.read_text() == "one" and mode_of(path) == 0o600
    private_file.write(path, "two", force=True)
    assert path.read_text() == "two" and os.listdir(tmp_path) == ["identity.json"]


ISSUE = """
import sys
from pathlib import Path
from edge_peer.host.authority import App
app = App(Path(sys.argv[1]))
app.unlock()
for number in range(1000):
    one = app.admit(sys.argv[2] + str(number), 1, b"", 1, 1_000_000, False)
    print(one.certificate.serial, flush=True)
"""


def test_a_serial_that_was_told_is_never_given_again_whoever_is_killed(app, tmp_path):
    told = []
    for attempt in range(3):
        run = subprocess.Popen(
            [sys.executable, "-c", ISSUE, str(tmp_path / "factory.app"), f"{attempt}-"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5):
            told.append(int(run.stdout.readline()))
        run.send_signal(signal.SIGKILL)
        told += [int(line) for line in run.stdout.read().split()]
        run.wait()
    issued = [one.certificate.serial for one in app.ledger.all()]
    assert len(told) == len(set(told)) and set(told) <= set(issued)
    assert issued == list(range(1, len(issued) + 1))
