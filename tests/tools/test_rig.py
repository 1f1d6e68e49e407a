"""
End to end, with real processes, ptys, sockets and a real broker: whatever happens to
wires and programs in between, every reading that a board accepted reaches the Big Peer,
once and unchanged.
"""

import asyncio
from pathlib import Path

import pytest

from edge_tools import readings
from edge_tools.rig import Plan, Rig

RESUMING = Path(__file__).parents[1] / "data/resuming_app.py"
LIMIT_S = 60  # for any single thing that is waited for

pytestmark = pytest.mark.slow


def play(tmp_path, plan, story):
    """Make a rig, run `await story(rig)` with it, and check what has arrived in the end."""

    async def main():
        rig = Rig(tmp_path, plan)
        try:
            await story(rig)
            await until_arrived(rig, len(rig.expected()))
            assert readings.complaints(rig.expected(), await rig.arrived()) == []
            rig.check()
        finally:
            await rig.stop()
        assert rig.crash_logs() == []

    asyncio.run(main())


async def until_arrived(rig, count):
    async def have_arrived():
        return (await rig.snapshot()).arrived_count() >= count

    await rig.until(have_arrived, LIMIT_S, f"{count} readings have arrived")


async def until_written(rig, count):
    """Wait until the boards say so; needs no Big Peer."""

    async def are_written():
        return rig.reports().inserted_count() >= count

    await rig.until(are_written, LIMIT_S, f"{count} readings are written")


def test_readings_arrive_over_serial_lines_that_damage_lose_and_invent_bytes(tmp_path):
    plan = Plan(
        board_count=2,
        row_count=100,
        rows_per_s=25,
        uplinks=("lan",),
        seed=7,
        noise_interval_bytes=180,
    )

    async def story(rig):
        await rig.start()
        await until_arrived(rig, 40)
        for cable in rig.cables:
            cable.unplug()
        await until_written(rig, 140)
        for cable in rig.cables:
            cable.plug()
        await until_arrived(rig, 200)
        assert sum(noise.count for noise in rig.noises) >= 8

    play(tmp_path, plan, story)


def test_readings_arrive_although_the_big_peer_is_killed_in_between(tmp_path):
    plan = Plan(2, 80, 25)

    async def story(rig):
        await rig.start()
        await until_arrived(rig, 40)
        rig.kill_big()
        await until_written(rig, 120)
        rig.start_big()
        await rig.until(rig.api_answers, LIMIT_S, "the API answers again")

    play(tmp_path, plan, story)


def test_readings_arrive_although_the_broker_comes_late(tmp_path):
    plan = Plan(1, 40, 40, uplinks=("mqtt",))

    async def story(rig):
        await rig.start(broker=False)
        await until_written(rig, 40)
        assert (await rig.snapshot()).arrived_count() == 0
        rig.start_broker()

    play(tmp_path, plan, story)


def test_readings_arrive_although_the_gateway_loses_power(tmp_path):
    plan = Plan(2, 80, 25)

    async def story(rig):
        await rig.start()
        await until_arrived(rig, 40)
        rig.kill_gateway()
        await until_written(rig, 100)
        rig.start_gateway()

    play(tmp_path, plan, story)


def test_readings_arrive_although_boards_lose_power_again_and_again(tmp_path):
    plan = Plan(2, 60, 25, uplinks=("lan",), application=RESUMING)

    async def story(rig):
        await rig.start()
        for count in (20, 50, 80):
            await until_arrived(rig, count)
            for board in rig.boards:
                board.process.kill()
                board.start()

    play(tmp_path, plan, story)
