"""
A Big Peer whose documents are in PostgreSQL: the same answers, and a database that goes.

`make test-postgres` runs it, with the PostgreSQL of this system.
"""

import json
import os
import threading

import pytest
from statements import run, scripts

from edge_peer.bigpeer import backup
from edge_peer.bigpeer import database as databases
from edge_peer.bigpeer.distribute import distribute
from edge_peer.bigpeer.people import set_password
from edge_peer.bigpeer.postgres_tables import SHARD_COUNT
from edge_peer.bigpeer.stores import open_log
from edge_peer.core.errors import ConfigError
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.host import codec

pytestmark = pytest.mark.skipif(not os.environ.get("POSTGRES"), reason="`make test-postgres`")

SCRIPTS = dict(scripts())


@pytest.fixture(scope="module")
def database():
    from postgres_server import Postgres

    database = Postgres()
    yield database
    database.stop()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_statement_is_answered_as_the_table_says(database, name):
    place = {"url": database.url, "schema": f"dql_{list(SCRIPTS).index(name)}"}
    store = Store(
        lambda evict, before_erase: open_log(place, evict, before_erase),
        b"device", lambda: None, os.urandom,
    )  # fmt: skip
    run(
        SCRIPTS[name],
        Executor(store, codec).execute,
        store.log.has_indexes,
        lambda: store.learn_durable({store.author: store.own_seq}),
    )
    store.log.close()


def test_a_restart_keeps_everything_and_apps_stay_apart(start, tmp_path, database):
    server = start(tmp_path, store=database.url)
    server.execute("INSERT INTO r DOCUMENTS (:rows)", rows=[{"n": n} for n in range(100)])
    plant = server.ask("POST", "/apps", json={"name": "plant"}).json()
    body = {"statement": "INSERT INTO r DOCUMENTS ({'n': 1})"}
    assert server.ask("POST", "/store/execute", plant["key"], json=body).status_code == 200
    author = server.big.store.author
    server.stop()
    with pytest.raises(ConfigError, match="say --store"):
        start(tmp_path)
    again = start(tmp_path, store=database.url)
    assert again.big.store.author == author
    assert again.execute("SELECT COUNT(*) AS n FROM r")["items"] == [{"n": 100}]
    body = {"statement": "SELECT COUNT(*) AS n FROM r"}
    assert again.ask("POST", "/store/execute", plant["key"], json=body).json()["items"] == [
        {"n": 1}
    ]
    assert not (tmp_path / "store.db").exists()


def test_what_is_acknowledged_survives_crashes_of_the_database(
    start, tmp_path, database, monkeypatch
):
    monkeypatch.setattr(databases, "RETRY_S", 0.05)
    server = start(tmp_path, store=database.url)
    acknowledged, refused, stop = [], [], threading.Event()

    def write():
        for number in range(1_000_000):
            if stop.is_set():
                return
            answer = server.post(
                {"statement": f"INSERT INTO r DOCUMENTS ({{'_id': '{number}', 'n': 1}})"}
            )
            (acknowledged if answer.status_code == 200 else refused).append(str(number))
            if answer.status_code != 200:
                assert answer.json()["error"]["code"] == "storage"

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            goal = len(acknowledged) + 100
            while len(acknowledged) < goal:
                server.ask("GET", "/apps")
            database.halt("immediate")
            goal = len(refused) + 10
            while len(refused) < goal:
                server.ask("GET", "/apps")
            assert server.client.get("/health").status_code == 503
            database.start()
        goal = len(acknowledged) + 100
        while len(acknowledged) < goal:
            server.ask("GET", "/apps")
    finally:
        stop.set()
        writer.join()
    found = [row["_id"] for row in server.execute("SELECT _id FROM r")["items"]]
    assert set(acknowledged) <= set(found) <= set(acknowledged) | set(refused)
    assert len(found) == len(set(found))


def doors_of(server):
    """Return the names of keys and of webhooks, and who has which password."""
    big = server.big
    kept = server.do(
        lambda: (big.keys.all(), big.webhooks.all(), big.vault.rows("SELECT * FROM person"))
    )
    names = [[one.name for one in some] for some in kept[:2]]
    return *names, [row[:2] for row in kept[2]]


def test_an_app_moves_from_its_files_and_back_by_a_backup(start, tmp_path, database):
    server = start(tmp_path / "data")
    rows = [{"_id": str(n), "n": n} for n in range(1300)]
    for at in range(0, 1300, 500):
        server.execute("INSERT INTO r DOCUMENTS (:rows)", rows=rows[at : at + 500])
    server.do(lambda: set_password(server.big.vault, "ada", "a hash", 1))
    key = server.do(lambda: server.big.keys.create("program", None)[1])
    hook = {"name": "all", "url": "http://127.0.0.1:1/", "filter": {"everything": True}}
    path = f"/apps/{server.big.app_id}/webhooks"
    assert server.ask("POST", path, json=hook).status_code in (200, 201)
    author = server.big.store.author
    server.stop()
    with pytest.raises(ConfigError, match="big move"):
        start(tmp_path / "data", store=database.url)
    assert backup.move(tmp_path / "data", database.url) > 1300
    server = start(tmp_path / "data", store=database.url)
    assert server.big.store.author == author
    assert server.execute("SELECT * FROM r ORDER BY n")["items"] == rows
    assert doors_of(server) == (["api-key", "program"], ["all"], [("ada", "a hash")])
    server.execute("DELETE FROM r WHERE n >= 1000")
    server.do(lambda: server.big.keys.create("later", None))
    lines = server.ask("POST", "/backup", json={"name": "one"}).text.splitlines()
    assert "folder" in json.loads(lines[-1])
    server.stop()
    copy = start(tmp_path / "data/backups/one")
    assert copy.execute("SELECT * FROM r ORDER BY n")["items"] == rows[:1000]
    assert doors_of(copy) == (["api-key", "program", "later"], ["all"], [("ada", "a hash")])
    assert copy.ask("GET", path, key).status_code == 200


def test_a_database_that_was_put_back_makes_another_author(start, tmp_path, database):
    server = start(tmp_path, store=database.url)
    server.execute("INSERT INTO r DOCUMENTS ({'n': 1})")
    author = server.big.store.author
    server.stop()
    (tmp_path / backup.RENEW).touch()
    again = start(tmp_path, store=database.url)
    assert again.big.store.author != author
    assert again.execute("SELECT n FROM r")["items"] == [{"n": 1}]


def test_without_citus_distribute_says_that_all_stays_on_one_node(start, tmp_path, database):
    server = start(tmp_path, store=database.url)
    server.execute("INSERT INTO r DOCUMENTS (:rows)", rows=[{"n": n} for n in range(200)])
    assert "one node" in distribute(database.url)
    schema = f"edge_{server.big.app_id}"
    shards = database.ask(f"SELECT count(DISTINCT shard) FROM {schema}.doc")
    assert 50 < shards <= SHARD_COUNT
    with pytest.raises(ConfigError):
        distribute("postgresql://[")
