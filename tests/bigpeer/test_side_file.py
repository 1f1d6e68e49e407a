"""Side files of an older version: brought up whole, or not at all."""

import shutil

import pytest

from edge_peer.bigpeer.people import People
from edge_peer.bigpeer.sightings import SightingFile
from edge_peer.bigpeer.vault import Vault
from edge_peer.bigpeer.webhooks import WebhookFile, Webhooks
from edge_peer.core.errors import StorageError

HOOK = """
    INSERT INTO webhook
    VALUES ('a', 'shop', 'http://x', 'whsec_', '{"everything": true}', 7, 0, 1)
"""


def older(kind, version):
    """Return the file as it was at that version."""
    return type(kind.__name__, (kind,), {"steps": kind.steps[:version]})


def broken(kind, place):
    """Return the file with one statement, counted over all steps, that fails."""
    steps, seen = [], 0
    for step in kind.steps:
        parts = step.split(";")
        if seen <= place < seen + len(parts):
            parts[place - seen] = "this is no SQL"
        seen += len(parts)
        steps.append(";".join(parts))
    return type(kind.__name__, (kind,), {"steps": tuple(steps)}), seen


@pytest.mark.parametrize("kind", [Vault, WebhookFile, SightingFile])
def test_what_stops_in_any_statement_of_a_step_starts_there_again(tmp_path, kind):
    for version in range(len(kind.steps)):
        base = tmp_path / f"{version}.db"
        if version:
            older(kind, version)(base).close()
        place, count = sum(len(step.split(";")) for step in kind.steps[:version]), None
        while count is None or place < count:
            path = tmp_path / f"{version}-{place}.db"
            if version:
                shutil.copy(base, path)
            failing, count = broken(kind, place)
            with pytest.raises(StorageError):
                failing(path)
            file = kind(path)
            assert file._pragma("user_version") == len(kind.steps)
            file.close()
            place += 1


def test_webhooks_of_the_first_version_go_on_where_they_were(tmp_path):
    path = tmp_path / "webhooks.db"
    first = older(WebhookFile, 1)(path)
    first.run(HOOK)
    first.run("INSERT INTO dead VALUES ('a', 'c', 'd', 3, 4, 'why')")
    first.close()
    webhooks = Webhooks(WebhookFile(path), lambda: 0)
    (one,) = webhooks.all()
    assert (one.cursor, one.old_values, one.fresh_until) == (7, False, 0)
    assert [dead.id for dead in webhooks.dead("a")] == ["d"] and not webhooks.revived("a", 9)
    assert webhooks.deliveries("a") == []
    webhooks.close()


def test_a_person_of_the_second_version_is_still_there(tmp_path):
    path = tmp_path / "doors.db"
    vault = older(Vault, 2)(path)
    vault.run("INSERT INTO person VALUES ('ada', 'x', 1)")
    vault.close()
    vault = Vault(path)
    assert People(vault, lambda: 0).any()
    vault.close()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    Vault(tmp_path / "a.db").close()
    with pytest.raises(StorageError, match="something else"):
        WebhookFile(tmp_path / "a.db")
