"""What a Big Peer keeps beside its store."""

import pytest

from edge_peer.bigpeer.settings import load, open_keys
from edge_peer.bigpeer.vault import Vault
from edge_peer.core.errors import ConfigError, StorageError
from edge_peer.host.keys import read_secret
from edge_peer.security.certificate import BIG_PEER
from edge_peer.security.identity import from_text

APP = "0123456789abcdef0123456789abcdef"


def app_of(folder):
    """Return the identity that a Big Peer of this folder starts with."""
    return from_text(read_secret(load(folder).identity))


@pytest.fixture
def keys_of():
    """keys_of(folder) -> Keys, as a Big Peer opens them."""
    vaults = []

    def open_one(folder):
        load(folder)
        vaults.append(Vault(folder / "doors.db"))
        return open_keys(folder, vaults[-1])

    yield open_one
    for vault in vaults:
        vault.close()


def test_a_first_start_makes_an_app_and_an_administrators_key(tmp_path, keys_of):
    folder = tmp_path / "new/folder"
    made = app_of(folder)
    assert made.certificate.role == BIG_PEER and made.certificate.name == "big peer"
    keys = keys_of(folder)
    plain = (folder / "api-key").read_text().strip()
    assert len(plain) >= 32
    assert keys.find(plain).is_administrator
    assert keys_of(folder).find(plain).id == keys.find(plain).id


def test_the_next_start_is_the_same_peer(tmp_path):
    first, again = app_of(tmp_path), app_of(tmp_path)
    assert (again.app_id, again.seed) == (first.app_id, first.seed)


def test_only_their_owner_reads_the_files(tmp_path, keys_of):
    keys_of(tmp_path)
    secret = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "store.db"]
    assert {"api-key", "doors.db", "identity.json"} <= {path.name for path in secret}
    for path in secret:
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_the_files_but_one_hold_no_key(tmp_path, keys_of):
    keys = keys_of(tmp_path)
    _, plain = keys.create("shop", None)
    first = (tmp_path / "api-key").read_text().strip()
    for path in tmp_path.glob("doors.db*"):
        assert plain.encode() not in path.read_bytes()
        assert first.encode() not in path.read_bytes()


def test_two_folders_have_two_keys(tmp_path, keys_of):
    keys_of(tmp_path / "a"), keys_of(tmp_path / "b")
    assert (tmp_path / "a/api-key").read_text() != (tmp_path / "b/api-key").read_text()


# The one key of before


def test_the_key_of_a_big_peer_of_before_is_an_administrators(tmp_path, keys_of):
    old = "W9n7dJkqLr0aXv3pQeZtYhUs1mBcGf5i"
    load(tmp_path)
    (tmp_path / "api-key").write_text(old + "\n")
    keys = keys_of(tmp_path)
    assert keys.find(old).is_administrator
    assert [key.name for key in keys.all()] == ["api-key"]
    assert (tmp_path / "api-key").read_text() == old + "\n"


def test_the_file_may_go_and_the_key_stays(tmp_path, keys_of):
    keys_of(tmp_path)
    plain = (tmp_path / "api-key").read_text().strip()
    (tmp_path / "api-key").unlink()
    assert keys_of(tmp_path).find(plain)
    assert not (tmp_path / "api-key").exists()


def test_a_revoked_key_does_not_come_back_with_its_file(tmp_path, keys_of):
    keys = keys_of(tmp_path)
    plain = (tmp_path / "api-key").read_text().strip()
    assert keys.revoke(keys.find(plain).id)
    again = keys_of(tmp_path)
    assert again.find(plain) is None and again.all() == []


# Mistakes


def test_the_folder_of_another_app_is_refused(tmp_path):
    app_id = app_of(tmp_path).app_id.hex()
    assert load(tmp_path, app_id).identity == str(tmp_path / "identity.json")
    with pytest.raises(ConfigError, match=f"belongs to app {app_id}"):
        load(tmp_path, "f" * 32)


def test_a_new_folder_for_an_app_that_is_elsewhere_needs_its_identity(tmp_path):
    with pytest.raises(ConfigError, match="device create"):
        load(tmp_path, APP)
    assert not (tmp_path / "identity.json").exists() and not (tmp_path / "big.app").exists()


def test_a_start_that_failed_in_the_middle_is_made_good(tmp_path):
    first = app_of(tmp_path)
    (tmp_path / "identity.json").unlink()
    again = app_of(tmp_path)
    assert again.app_id == first.app_id and again.seed != first.seed
    assert again.certificate.serial > first.certificate.serial


def test_damaged_files_say_what_to_mend(tmp_path, keys_of):
    load(tmp_path)
    (tmp_path / "api-key").write_text("\n")
    with pytest.raises(ConfigError, match="is empty; delete it"):
        keys_of(tmp_path)
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        load(tmp_path)


def test_a_vault_that_is_none_is_refused(tmp_path):
    (tmp_path / "doors.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match="doors.db"):
        Vault(tmp_path / "doors.db")


def test_a_folder_that_cannot_be_used_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use"):
        load(tmp_path / "file")


def test_a_store_without_an_identity_gets_no_new_app(tmp_path):
    (tmp_path / "store.db").touch()
    with pytest.raises(ConfigError, match="identity.json is missing"):
        load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["store.db"]
