"""
A real Big Peer on this computer's loopback, in a thread of its own.

NiceGUI knows one event loop in a process. So while a test has its page open, no other
server may start or stop.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import httpx
import pytest
from consumers import Consumer

from edge_peer.bigpeer.server import BigPeer
from edge_peer.bigpeer.settings import Settings
from edge_peer.host import system

LIMIT_S = 20


class Server:
    """A Big Peer that serves from construction until `stop`, on ports that were free."""

    def __init__(self, data: Path, now_ms: Callable = system.now_ms, **options) -> None:
        """now_ms: the clock of its limits. Raises what the Big Peer raised before it served."""
        self._now_ms = now_ms
        self._options = Settings(data, **({"http_port": 0, "sync_port": 0} | options))
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),))
        self._thread.start()
        assert self._ready.wait(LIMIT_S)
        if self._error is not None:
            self._thread.join(LIMIT_S)
            raise self._error
        self.url = f"http://127.0.0.1:{self.big.http_port}"
        self.client = httpx.Client(base_url=self.url, timeout=LIMIT_S)
        self.api_key = (data / "api-key").read_text().strip()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.client.close()
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()

    def do(self, function: Callable):
        """Call a function, or await a coroutine function, in the Big Peer's own event loop."""

        async def call():
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(LIMIT_S)

    def ask(self, method: str, path: str, key: str = "", **more) -> httpx.Response:
        """Send a request under /api/v4 with a key, the administrator's if none is given."""
        headers = {"Authorization": f"Bearer {key or self.api_key}"}
        return self.client.request(method, f"/api/v4{path}", headers=headers, **more)

    def post(self, body, **headers) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.api_key}"} | headers
        content = body if isinstance(body, bytes) else None
        json = None if isinstance(body, bytes) else body
        return self.client.post(
            "/api/v4/store/execute", content=content, json=json, headers=headers
        )

    def execute(self, statement: str, **arguments) -> dict:
        """Run a statement that has to succeed."""
        response = self.post({"statement": statement, "args": arguments})
        assert response.status_code == 200, response.text
        return response.json()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self.big = BigPeer(self._options, self._now_ms)
            self._task = asyncio.create_task(self.big.run())
            started = asyncio.create_task(self.big.started.wait())
            await asyncio.wait([self._task, started], return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            if self._task.done():
                self._task.result()
        except Exception as error:
            self._error = error
            return
        finally:
            self._ready.set()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
def start():
    """start(data, **settings) -> Server; all are stopped at the end."""
    servers = []

    def start_one(data: Path, **options) -> Server:
        servers.append(Server(data, **options))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for all tests of a file that keep to collections of their own.

    On the clock of its limits an hour passes between any two looks: nobody asks too often.
    """
    server = Server(tmp_path_factory.mktemp("big"), count(0, 3_600_000).__next__)
    yield server
    server.stop()


@pytest.fixture
def consumer():
    consumer = Consumer()
    yield consumer
    consumer.stop()


@pytest.fixture
def hook(server):
    """hook(consumer, …) -> what the API answers; ended at the end."""
    made = []
    path = f"/apps/{server.big.app_id}/webhooks"

    def create(consumer, collection="", **more):
        filter = {"queriesByCollection": {collection: ["true"]}}
        fields = {"name": "test", "url": consumer.url, "filter": filter} | more
        response = server.ask("POST", path, json=fields)
        assert response.status_code == 201, response.text
        made.append(response.json())
        return made[-1]

    yield create
    for one in made:
        server.ask("DELETE", f"{path}/{one['id']}")
