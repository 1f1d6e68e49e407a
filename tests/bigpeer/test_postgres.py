"""
PostgresLog: the contract of every log, and a server that goes and comes.

`make test-postgres` runs it, with the PostgreSQL of this system.
"""

import os
from itertools import count

import log_contract
import pytest

from edge_peer.bigpeer import database as databases
from edge_peer.bigpeer import postgres
from edge_peer.core.errors import ConfigError, StorageError
from edge_peer.core.limits import WHOLE

pytestmark = pytest.mark.skipif(not os.environ.get("POSTGRES"), reason="`make test-postgres`")

QUOTA_BYTES = 16_384
DOCUMENT_COUNT_MAX = 150
_numbers = count(1)


@pytest.fixture(scope="module")
def database():
    from postgres_server import Postgres

    database = Postgres()
    yield database
    database.stop()


@pytest.fixture
def medium(database):
    """Return open_log(evict, before_erase); called again it opens the same schema again."""
    opened = []
    schema = f"test_{next(_numbers)}"

    def open_log(evict=log_contract.keep_all, before_erase=log_contract.nothing, limits=None):
        if opened:
            opened.pop().close()
        limits = limits or {WHOLE: (QUOTA_BYTES, DOCUMENT_COUNT_MAX)}
        opened.append(postgres.PostgresLog(database.url, schema, limits, evict, before_erase))
        return opened[0]

    yield open_log
    opened.pop().close()


@pytest.mark.parametrize("name", sorted(log_contract.CHECKS))
def test_it_keeps_the_contract_of_every_log(medium, name):
    log_contract.CHECKS[name](medium)


@pytest.mark.parametrize("name", sorted(log_contract.LIMIT_CHECKS))
def test_it_keeps_the_contract_of_limits(medium, name):
    log_contract.LIMIT_CHECKS[name](medium)


def test_two_schemas_know_nothing_of_each_other(database, medium):
    medium().commit([("c", "a", 1, b"A")])
    other = postgres.PostgresLog(
        database.url, f"test_{next(_numbers)}", {}, log_contract.keep_all, log_contract.nothing
    )
    assert log_contract.contents(other)[0] == []
    other.close()


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_what_was_committed_outlives_the_server_and_the_log_goes_on(
    database, medium, how, monkeypatch
):
    monkeypatch.setattr(databases, "RETRY_S", 0.01)
    log = medium()
    log.commit([("c", "a", 1, b"A")])
    database.halt(how)
    try:
        for _ in range(2):
            with pytest.raises(StorageError, match="PostgreSQL"):
                log.commit([("c", "b", 2, b"B")])
            with pytest.raises(StorageError, match="PostgreSQL"):
                log.get("c", "a")
    finally:
        database.start()
    while log.base.is_away:
        pass
    assert log.get("c", "a") == b"A" and log.arrival_max == 1
    log.commit([("c", "b", 3, b"B")])
    assert [put[2] for put in log_contract.contents(log)[0]] == [1, 3]


@pytest.mark.parametrize("settings", [{}, {"url": 5}, {"url": "x", "schema": "a b"}])
def test_settings_that_are_none_are_refused(settings):
    with pytest.raises(ConfigError):
        postgres.open_log(settings, log_contract.keep_all, log_contract.nothing)
