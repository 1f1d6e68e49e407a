"""Serial ports that come and go, as ptys with the names of ports."""

import asyncio

import pytest
from peers import Peer, running, until

from edge_peer.core.errors import ConfigError
from edge_peer.host import serial, system
from edge_tools.cable import Cable


def test_boards_are_found_as_they_are_plugged_in_and_missed_when_pulled(gateway, tmp_path):
    async def linked(board, cable):
        medium, channel = await serial.connect({"port": cable.paths[0]}, board.links.local)
        await board.links.run(medium, channel)

    async def main():
        cables, boards = [Cable() for _ in range(2)], [Peer(name) for name in "ab"]
        ports = [tmp_path / f"ttyACM{number}" for number in range(2)]
        (tmp_path / "ttyACM9").write_text("no port")
        settings = {"kind": "serial", "ports": [f"{tmp_path}/ttyACM*"]}
        async with running(serial.keep(settings, gateway.links, system)):
            for number, (cable, board) in enumerate(zip(cables, boards, strict=True)):
                board.insert(10, first=10 * number)
                async with running(linked(board, cable)):
                    ports[number].symlink_to(cable.paths[1])
                    wanted = 10 * (number + 1)
                    await until(lambda wanted=wanted: len(gateway.numbers()) == wanted, "readings")
                ports[number].unlink()
        for cable in cables:
            cable.close()

    asyncio.run(main())


def test_ports_that_make_no_sense_are_told(gateway):
    for wrong in ("/dev/ttyACM*", [7]):
        with pytest.raises(ConfigError):
            asyncio.run(serial.keep({"ports": wrong}, gateway.links, system))


def test_a_port_that_another_program_has_is_told_and_left_to_it(gateway):
    async def main():
        cable = Cable()
        settings = {"port": cable.paths[0]}
        _, channel = await serial.connect(settings, gateway.links.local)
        with pytest.raises(OSError, match="another program"):
            await serial.connect(settings, gateway.links.local)
        await channel.close()
        _, channel = await serial.connect(settings, gateway.links.local)
        await channel.close()
        cable.close()

    asyncio.run(main())
