"""A large SELECT leaves everybody else their turn."""

import asyncio

import pytest

from edge_peer.bigpeer import slices
from edge_peer.bigpeer.permissions import EVERYTHING

COUNT = 20_000


@pytest.fixture
def filled(server):
    server.execute("DELETE FROM large")
    for at in range(0, COUNT, 2_000):
        rows = [{"n": n, "m": n % 7} for n in range(at, at + 2_000)]
        server.execute("INSERT INTO large DOCUMENTS (:rows)", rows=rows)
    return server


@pytest.mark.parametrize(
    "statement",
    ["SELECT COUNT(*) AS n FROM large WHERE n + m < 0", "SELECT n FROM large WHERE m = 9"],
)
def test_others_have_many_turns_while_it_looks(filled, statement):
    async def count_turns():
        turns = 0
        select = asyncio.create_task(filled.big.select(statement, {}, EVERYTHING))
        while not select.done():
            turns += 1
            await asyncio.sleep(0)
        return turns, (await select).items

    turns, items = filled.do(count_turns)
    assert turns > 5
    assert items in ([{"n": 0}], [])


def test_what_is_written_meanwhile_breaks_nothing(filled):
    async def both():
        select = asyncio.create_task(
            filled.big.select("SELECT n FROM large WHERE n >= 0", {}, EVERYTHING)
        )
        await asyncio.sleep(0)
        for n in range(50):
            filled.big.execute("INSERT INTO large DOCUMENTS (:d)", {"d": {"n": COUNT + n}})
            await asyncio.sleep(0)
        return (await select).items

    found = [row["n"] for row in filled.do(both)]
    assert set(range(COUNT)) <= set(found) and len(found) == len(set(found))


def test_who_is_cancelled_stops_and_an_error_comes_through(filled):
    async def cancelled():
        select = asyncio.create_task(
            filled.big.select("SELECT * FROM large WHERE n < 0", {}, EVERYTHING)
        )
        await asyncio.sleep(0)
        select.cancel()
        await asyncio.wait([select])
        return select.cancelled()

    assert filled.do(cancelled)
    answer = filled.post({"statement": "SELECT * FROM large WHERE n < :missing"})
    assert answer.status_code == 400


def test_a_turn_outside_is_none():
    slices.turn()
