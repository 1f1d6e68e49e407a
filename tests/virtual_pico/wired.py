"""
A virtual Pico whose UART is wired to a gateway: a real peer, in this process.

    with Gateway(folder, identity) as gateway:
        with Pico(flash, uart=gateway.tty, usb=gateway.usb) as pico: …
        gateway.port                what its USB is for this computer
        gateway.rows("readings")
"""

import asyncio
import json
import threading
from pathlib import Path

from edge_peer import SmallPeer
from edge_peer.core.errors import EdgeError
from edge_peer.core.kinds import Attachment
from edge_peer.host import private_file
from edge_tools.cable import Cable

START_LIMIT_S = 30
CALL_LIMIT_S = 60


class Gateway:
    """It runs in a thread and an event loop of its own."""

    def __init__(self, folder: Path, identity: str, port: str = "") -> None:
        """identity: the text of a relay's identity.json. port: a real one, for a real board."""
        self._folder = folder
        self._port = port
        private_file.write(folder / "gateway.identity.json", identity, force=True)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> "Gateway":
        self._thread.start()
        if not self._started.wait(START_LIMIT_S):
            raise RuntimeError("the gateway did not start")
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def execute(self, statement: str, arguments: "dict | None" = None) -> list:
        """Run a statement in the gateway's own thread; return its rows."""
        done = asyncio.run_coroutine_threadsafe(self._execute(statement, arguments), self._loop)
        return done.result(CALL_LIMIT_S)

    def rows(self, collection: str) -> list:
        return self.execute(f"SELECT * FROM {collection}")

    def attach(self, data: bytes) -> Attachment:
        async def call() -> Attachment:
            return self._peer.attach(data)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(CALL_LIMIT_S)

    async def _execute(self, statement: str, arguments: "dict | None") -> list:
        return self._peer.execute(statement, arguments or {}).items

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        cable, usb = Cable(), Cable()
        self.tty = cable.paths[0]
        self.usb, self.port = usb.paths
        config = self._folder / "gateway.json"
        config.write_text(
            json.dumps(
                {
                    "identity": "gateway.identity.json",
                    "relay": True,
                    "storage": {"path": "gateway.db"},
                    "links": [{"kind": "serial", "port": self._port or cable.paths[1]}],
                }
            )
        )
        self._peer = SmallPeer.open(str(config))
        running = asyncio.create_task(self._peer.run())
        self._started.set()
        await self._ended.wait()
        running.cancel()
        try:
            await running
        except (asyncio.CancelledError, EdgeError):
            pass
        cable.close()
        usb.close()
