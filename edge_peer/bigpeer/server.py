"""
The Big Peer: takes every change of every Small Peer, and lets people and programs at it.

To its neighbours it is a peer like any other, one that wants everything, never
evicts, and whose knowledge is therefore what is durable. One process: the
store, sync over TCP and MQTT (ingress.py), the HTTP API (http.py) and the portal
(portal.py), all in one event loop.
"""

import asyncio
from typing import Any

import uvicorn

from edge_peer.bigpeer import ingress, settings
from edge_peer.bigpeer.http import make_app
from edge_peer.core.execute import Executor, Result
from edge_peer.core.messages import WANTS_ALL
from edge_peer.core.session import Local
from edge_peer.core.store import Store
from edge_peer.host import codec, storage, system
from edge_peer.peer import Links


class BigPeer:
    def __init__(self, options: settings.Settings) -> None:
        """Open the store. Raises ConfigError and StorageError with what to mend."""
        config, self.api_key = settings.load(options)
        self.options = options
        self.app_id = config.app_id.hex()
        self.store = Store(
            lambda evict, before_erase: storage.open_log(config.storage, evict, before_erase),
            config.device_id,
            system.wall_ms,
            system.entropy,
            keeps_all=True,
        )
        self._executor = Executor(self.store, codec)
        self.links = Links(
            Local(
                config.app_id,
                config.name,
                WANTS_ALL,
                self.store,
                self._executor.matcher,
                system.entropy,
            ),
            system,
        )
        self.http_port = options.http_port
        self.sync_port = options.sync_port

    def execute(self, statement: str, arguments: dict[str, Any] | None = None) -> Result:
        """Run one DQL statement; what it wrote is durable on return. Raises QueryError, StoreFull."""
        return self._executor.execute(statement, arguments)

    def transaction_id(self) -> int:
        """Return the number of the newest change; it only rises."""
        return self.store.arrival

    async def run(self) -> None:
        """Serve until cancelled; raises OSError when a port is taken."""
        server = await ingress.listen(self.links, self.options.host, self.options.sync_port)
        self.sync_port = server.sockets[0].getsockname()[1]
        tasks = [asyncio.create_task(self._serve_http())]
        if self.options.mqtt is not None:
            mqtt = ingress.MqttIngress(self.links, self.options.mqtt)
            tasks.append(asyncio.create_task(mqtt.run()))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            server.close()

    async def _serve_http(self) -> None:
        config = uvicorn.Config(
            make_app(self),
            host=self.options.host,
            port=self.options.http_port,
            log_level="warning",
            lifespan="on",
        )
        server = uvicorn.Server(config)
        await server.serve()
