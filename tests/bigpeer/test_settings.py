"""What a Big Peer keeps beside its store."""

import pytest

from edge_peer.bigpeer.settings import Settings, load
from edge_peer.core.errors import ConfigError

APP = "0123456789abcdef0123456789abcdef"


def test_a_first_start_makes_an_app_and_a_key(tmp_path):
    config, key = load(Settings(tmp_path / "new/folder"))
    assert len(config.app_id) == 16
    assert len(key) >= 32
    assert load(Settings(tmp_path / "new/folder"))[1] == key


def test_the_next_start_is_the_same_peer(tmp_path):
    first, _ = load(Settings(tmp_path))
    again, _ = load(Settings(tmp_path))
    assert (again.app_id, again.device_id) == (first.app_id, first.device_id)


def test_only_its_owner_reads_the_key(tmp_path):
    load(Settings(tmp_path))
    assert (tmp_path / "api-key").stat().st_mode & 0o777 == 0o600


def test_two_folders_have_two_keys(tmp_path):
    assert load(Settings(tmp_path / "a"))[1] != load(Settings(tmp_path / "b"))[1]


def test_the_folder_of_another_app_is_refused(tmp_path):
    load(Settings(tmp_path, APP))
    assert load(Settings(tmp_path, APP))[0].app_id.hex() == APP
    with pytest.raises(ConfigError, match=f"belongs to app {APP}"):
        load(Settings(tmp_path, "f" * 32))


def test_an_app_id_that_is_none_is_not_kept(tmp_path):
    with pytest.raises(ConfigError, match="app_id"):
        load(Settings(tmp_path, "not hex"))
    assert not (tmp_path / "big.json").exists()
    load(Settings(tmp_path, APP))


def test_damaged_files_say_what_to_mend(tmp_path):
    load(Settings(tmp_path))
    (tmp_path / "api-key").write_text("\n")
    with pytest.raises(ConfigError, match="delete it for a new key"):
        load(Settings(tmp_path))
    (tmp_path / "big.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        load(Settings(tmp_path))


def test_a_folder_that_cannot_be_used_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use"):
        load(Settings(tmp_path / "file"))
