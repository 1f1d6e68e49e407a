"""The table of statements, vectors/dql.json, on SQLite."""

import os

import pytest
from statements import run, scripts

from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.host import codec, storage

SCRIPTS = dict(scripts())
INDEXES = (["n"], ["temp"], ["site", "n"], ["note"], ["pos\0x"], ["pos"], ["open"], ["hits"])


@pytest.fixture
def store(tmp_path):
    store = Store(
        lambda evict, before_erase: storage.open_log(
            {"path": str(tmp_path / "store.db")}, evict, before_erase
        ),
        b"device",
        lambda: None,
        os.urandom,
    )
    yield store
    store.log.close()


@pytest.mark.parametrize("is_indexed", [False, True], ids=["plain", "indexed"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_statement_is_answered_as_the_table_says(store, name, is_indexed):
    if is_indexed:
        collection = chr(ord("a") + list(SCRIPTS).index(name))
        for number, paths in enumerate(INDEXES):
            store.log.create_index(f"of_test_{number}", collection, paths)
    run(
        SCRIPTS[name],
        Executor(store, codec).execute,
        store.log.has_indexes,
        lambda: store.learn_durable({store.author: store.own_seq}),
    )


def test_an_index_is_used_but_for_what_a_batch_has_not_written_yet(store):
    execute = Executor(store, codec).execute
    execute("INSERT INTO x DOCUMENTS (:rows)", {"rows": [{"n": n} for n in range(100)]})
    execute("CREATE INDEX by_n ON x (n)")

    def plan():
        return execute("EXPLAIN SELECT * FROM x WHERE n = :n", {"n": 7}).items[0]["plan"]

    def count():
        return len(execute("SELECT * FROM x WHERE n = 7").items)

    assert "by_n" in plan() and count() == 1
    with store.batch():
        execute("INSERT INTO x DOCUMENTS ({n: 7})")
        assert "by_n" not in plan() and count() == 2
    assert "by_n" in plan() and count() == 2
