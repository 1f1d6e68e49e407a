"""Secrets at rest on a host: who can read them, what a power cut leaves, and where they show."""

import asyncio
import json
import logging
import os
import traceback

import pytest
from peers import identity_file, running, until
from test_peer import config
from typer.testing import CliRunner

from edge_peer import ConfigError, SmallPeer
from edge_peer.bigpeer.ingress import listen
from edge_peer.core.errors import StorageError
from edge_peer.host.keys import Shelf, read_secret
from edge_tools.cli import app as command


def test_only_their_owner_reads_what_is_on_a_shelf(tmp_path):
    shelf = Shelf(str(tmp_path / "keys"))
    shelf.write("random", b"secret")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys/random").stat().st_mode & 0o777 == 0o600
    assert shelf.read("random") == b"secret" and shelf.read("other") is None
    shelf.write("random", b"another")
    assert shelf.read("random") == b"another" and shelf.names() == ["random"]
    shelf.remove("random")
    shelf.remove("random")
    assert shelf.names() == []


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    shelf = Shelf(str(tmp_path / "keys"))
    shelf.write("random", b"old")
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:

            def fail(*arguments):
                raise OSError("the disk is full")

            patch.setattr(os, call, fail)
            with pytest.raises(StorageError, match="random"):
                shelf.write("random", b"new")
        assert shelf.read("random") == b"old" and shelf.names() == ["random"]


def test_an_identity_that_others_can_read_is_refused(tmp_path):
    path = identity_file(tmp_path, "porch")
    for mode in (0o640, 0o604, 0o666):
        os.chmod(path, mode)
        with pytest.raises(ConfigError, match="others can read"):
            read_secret(path)
    os.chmod(path, 0o600)
    assert "seed" in read_secret(path)


def test_a_damaged_identity_is_told_without_what_is_in_it(tmp_path):
    path = identity_file(tmp_path, "attic")
    with open(path) as file:
        text = file.read()
    fields = json.loads(text)
    secrets = [fields["seed"], *fields["network_keys"].values()]
    cases = [text[:-9], text.replace(fields["seed"], fields["seed"][:-2] + "zz")]
    cases.append(text.replace(fields["certificate"], fields["certificate"][:-2]))
    cases += [text.replace(secrets[1], secrets[1][2:]), "[" + text + "]"]
    for case in cases:
        with open(path, "w") as file:
            file.write(case)
        with pytest.raises(ConfigError) as caught:
            SmallPeer.open(config_of(tmp_path, path))
        said = "".join(traceback.format_exception(caught.value))
        assert not any(secret[4:40] in said for secret in secrets)


def config_of(folder, identity, **changes):
    return config(folder, **{"identity": identity} | changes)


def test_nothing_secret_is_logged_shown_or_inspected(tmp_path, big, caplog):
    """A peer that links, syncs and loses its link says nothing of its keys anywhere."""
    caplog.set_level(logging.DEBUG)
    shown = []

    async def main():
        server = await listen(lambda: [big.links], "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        path = config(tmp_path, links=[{"kind": "lan", "host": "127.0.0.1", "port": port}])
        peer = SmallPeer.open(path)
        peer.execute("INSERT INTO readings DOCUMENTS ({n: 1})")
        async with running(peer.run()):
            await until(lambda: peer.status()["unsynced"] == 0, "everything durable")
            keyring = peer._links.local.keyring
            session = peer._links.pumps[0].session
            things = [peer, keyring, keyring._identity, session, session._channel]
            things += [session._channel._sealer, keyring._tickets[0], peer._links.local]
            shown.extend(f"{thing!r} {thing}" for thing in things)
            shown.append(json.dumps(peer.status()))
            found = secrets_of(tmp_path, keyring)
        server.close()
        peer.store.log.close()
        return found

    secrets = asyncio.run(main())
    assert len(secrets) > 6
    inspected = CliRunner().invoke(command, ["inspect", str(tmp_path / "store.db")]).output
    said = "\n".join([caplog.text, *shown, inspected])
    assert "linked to" in said and "readings" in inspected
    for secret in secrets:
        assert secret.hex() not in said and repr(secret)[2:-1] not in said
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert not any(secret in stored for secret in secrets)


def secrets_of(folder, keyring):
    with open(folder / "porch.json") as file:
        fields = json.load(file)
    found = [bytes.fromhex(fields["seed"])]
    found += [bytes.fromhex(key) for key in fields["network_keys"].values()]
    ticket = keyring._tickets[0]
    found += [keyring._private, ticket._auth, *ticket._chains]
    return [*found, keyring._shelf.read("random")]
