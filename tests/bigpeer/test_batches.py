"""Both stores of a Big Peer take batches in any order, twice and at once (batch_contract.py)."""

import os
from itertools import count

import batch_contract
import pytest

from edge_peer.bigpeer import stores
from edge_peer.host import system

WORKER_COUNT = 3
_numbers = count(1)
needs_postgres = pytest.mark.skipif(not os.environ.get("POSTGRES"), reason="`make test-postgres`")


def opened(place):
    return stores.open_store(place, b"big", system.wall_ms, system.entropy)


@pytest.fixture(scope="module")
def database():
    from postgres_server import Postgres

    database = Postgres()
    yield database
    database.stop()


@pytest.fixture
def workers(database):
    place = {"url": database.url, "schema": f"batches_{next(_numbers)}"}
    workers = [opened(place) for _ in range(WORKER_COUNT)]
    yield workers
    for worker in workers:
        worker.log.close()


@pytest.mark.parametrize("name", sorted(batch_contract.CHECKS))
def test_a_file_of_sqlite(name, tmp_path):
    store = opened({"path": str(tmp_path / "store.db")})
    batch_contract.CHECKS[name]([store])
    store.log.close()


@needs_postgres
@pytest.mark.parametrize("name", sorted(batch_contract.CHECKS))
def test_workers_on_one_postgresql_database(name, workers):
    batch_contract.CHECKS[name](workers)
