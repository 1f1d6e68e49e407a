"""The table of statements, vectors/dql.json, on a log in memory and on flash."""

from memory import open_store
from nor_flash import Flash
from statements import run, scripts

from edge_peer.core import codec
from edge_peer.core.query.execute import Executor
from edge_peer.core.store.log import WHOLE, FlashLog
from edge_peer.core.store.store import Store


def test_every_statement_is_answered_as_the_table_says():
    for _, steps in scripts():
        run_on(open_store(), steps)


def test_on_flash_too():
    for _, steps in scripts():
        run_on(open_on(Flash(12)), steps)


def open_on(flash):
    return Store(
        lambda evict, before_erase: FlashLog(flash, {WHOLE: (None, 200)}, evict, before_erase),
        b"device",
        lambda: None,
        lambda n: bytes(n),
    )


def run_on(store, steps):
    run(
        steps,
        Executor(store, codec).execute,
        False,
        lambda: store.learn_durable({store.author: store.own_seq}),
    )
