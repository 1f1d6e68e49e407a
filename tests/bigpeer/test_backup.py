"""A backup is made while the Big Peer runs, and is a Big Peer."""

import json
import threading

import pytest

from edge_peer.bigpeer import backup
from edge_peer.core.errors import ConfigError
from edge_tools import backups


def made(server, name="one"):
    response = server.ask("POST", "/backup", json={"name": name})
    assert response.status_code == 200, response.text
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert "error" not in lines[-1], lines[-1]
    return lines


def test_a_backup_has_everything_and_starts_as_another_author(start, tmp_path):
    server = start(tmp_path / "data")
    rows = [{"_id": f"{n:05}", "n": n} for n in range(1200)]
    for at in range(0, 1200, 400):
        server.execute("INSERT INTO r DOCUMENTS (:rows)", rows=rows[at : at + 400])
    server.execute("CREATE INDEX by_n ON r (n)")
    server.execute("DELETE FROM r WHERE n = 7")
    files = {"file": ("a.bin", b"x" * 5000)}
    token = server.ask("POST", "/attachments/upload", files=files).json()
    server.execute("INSERT INTO r DOCUMENTS (:d)", d={"_id": "photo", "photo": token})
    plant = server.ask("POST", "/apps", json={"name": "plant"}).json()
    body = {"statement": "INSERT INTO parts DOCUMENTS ({'n': 1})"}
    server.ask("POST", "/store/execute", plant["key"], json=body)

    lines = made(server)
    assert lines[-1]["copied"] == lines[-1]["of"] and len(lines) > 3
    later = server.execute("INSERT INTO r DOCUMENTS ({'_id': 'later', 'n': 1})")
    server.stop()

    backup.restore(tmp_path / "data/backups/one", tmp_path / "again")
    again = start(tmp_path / "again")
    assert (again.big.app_id, again.api_key) == (server.big.app_id, server.api_key)
    assert again.big.store.author != server.big.store.author
    kept = [row for row in rows if row["n"] != 7]
    assert again.execute("SELECT * FROM r WHERE n IS NOT MISSING ORDER BY n")["items"] == kept
    assert again.ask("GET", f"/attachments/{token['id']}").content == b"x" * 5000
    assert "by_n" in json.dumps(again.execute("EXPLAIN SELECT * FROM r WHERE n = 5"))
    body = {"statement": "SELECT n FROM parts"}
    assert again.ask("POST", "/store/execute", plant["key"], json=body).json()["items"] == [
        {"n": 1}
    ]
    assert again.execute("SELECT * FROM r WHERE _id = 'later'")["items"] == []
    next_one = again.execute("INSERT INTO r DOCUMENTS ({'_id': 'next', 'n': 1})")
    assert next_one["transactionId"] <= later["transactionId"] + 2
    author = again.big.store.author
    again.stop()
    assert start(tmp_path / "again").big.store.author == author


def test_what_comes_meanwhile_is_whole_or_not_there(start, tmp_path):
    server = start(tmp_path / "data")
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            rows = [{"_id": f"{number}-{n}", "n": number} for n in range(50)]
            server.execute("INSERT INTO r DOCUMENTS (:rows)", rows=rows)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for name in ("a", "b"):
            made(server, name)
    finally:
        stop.set()
        writer.join()
    server.stop()
    for name in ("a", "b"):
        copy = start(tmp_path / "data/backups" / name)
        found = copy.execute("SELECT n, COUNT(*) AS count FROM r GROUP BY n")["items"]
        assert all(one["count"] == 50 for one in found)
        assert copy.big.store.arrival >= copy.big.store.known(server.big.store.author)
        copy.stop()


def test_only_who_may_do_everything_makes_one_and_by_a_name(server):
    plant = server.ask("POST", "/apps", json={"name": "plant"}).json()
    assert server.ask("POST", "/backup", plant["key"], json={"name": "x"}).status_code == 403
    for name in ("", "../x", "a/b", ".hidden", 5, "x" * 65, None):
        assert server.ask("POST", "/backup", json={"name": name}).status_code == 400
    made(server, "taken")
    assert server.ask("POST", "/backup", json={"name": "taken"}).status_code == 409


def test_the_command_works_beside_a_big_peer_and_without_it(start, tmp_path, capsys):
    server = start(tmp_path / "data")
    server.execute("INSERT INTO r DOCUMENTS ({'n': 1})")
    backups.make(tmp_path / "data", "running", server.url)
    server.stop()
    backups.make(tmp_path / "data", "stopped", server.url)
    for name in ("running", "stopped"):
        copy = start(tmp_path / "data/backups" / name)
        assert copy.execute("SELECT n FROM r")["items"] == [{"n": 1}]
        copy.stop()
    assert "opens everything" in capsys.readouterr().out


def test_nothing_is_restored_over_something(tmp_path):
    with pytest.raises(ConfigError, match="no backup"):
        backup.restore(tmp_path, tmp_path / "data")
    (tmp_path / backup.RENEW).touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").touch()
    with pytest.raises(ConfigError, match="not empty"):
        backup.restore(tmp_path, tmp_path / "data")
