"""The table of statements, vectors/dql.json, on SQLite."""

import os

import pytest
from statements import run, scripts

from edge_peer.core.execute import Executor
from edge_peer.core.store import Store
from edge_peer.host import codec, storage

SCRIPTS = dict(scripts())


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


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_statement_is_answered_as_the_table_says(store, name):
    if name == "evict" and not hasattr(store.log, "drop"):
        pytest.skip("this log does not drop documents by name yet")
    run(
        SCRIPTS[name],
        Executor(store, codec).execute,
        getattr(store.log, "has_indexes", False),
        lambda: store.learn_durable({store.author: store.own_seq}),
    )
