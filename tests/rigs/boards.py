"""MicroPython processes as peers, for tests of their links."""

from pathlib import Path

from peers import identity_file, until

from edge_tools import virtual_board

SENSOR = """
import asyncio

async def main(peer):
    peer.execute("INSERT INTO readings DOCUMENTS (:d)", {"d": [{"n": n} for n in range(%d)]})
"""
READER = """
import asyncio

async def main(peer):
    peer.subscribe("SELECT * FROM readings")
    while True:
        count = peer.store.log.totals("readings")[0]
        print("readings", count)
        await asyncio.sleep(0.2)
"""


class Boards:
    def __init__(self, folder):
        self._folder = folder
        self.all = []

    def start(self, name, application, link, files=None, extra_heap_bytes=0):
        """Start a board with that application and link; `files` lie beside it, by name."""
        (self._folder / f"{name}.py").write_text(application)
        identity = Path(identity_file(self._folder, name))
        config = {
            "identity": "identity.json",
            "storage": {"path": "flash.img", "blocks": 16, "documents_max": 100},
            "links": [link],
            "info_interval_s": 0,
        }
        files = (files or {}) | {"identity.json": identity.read_text()}
        source = self._folder / f"{name}.py"
        board = virtual_board.make(self._folder / name, config, source, files)
        board.start(extra_heap_bytes)
        self.all.append(board)
        return board

    async def says(self, board, line):
        """Wait until it has printed that line."""
        try:
            await until(lambda: line in board.process.tail().splitlines(), line)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{board.process.tail()}") from error

    def stop(self):
        for board in self.all:
            board.process.stop()
