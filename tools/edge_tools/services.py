"""A peer or a Big Peer as a program: log lines, signals, and an end in order."""

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_peer import SmallPeer
from edge_peer.bigpeer.settings import KEY_FILE, Settings
from edge_tools import notify

if TYPE_CHECKING:
    from edge_peer.bigpeer.server import BigPeer

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
ANY_ADDRESS = ("", "0.0.0.0", "::")  # a browser needs another name

LoopFactory = Callable[[], asyncio.AbstractEventLoop] | None


def run_peer(config: Path, status_interval_s: float, verbose: bool) -> None:
    """Run the peer of an edge.json. Raises ConfigError, StorageError."""
    _log(verbose)
    peer = SmallPeer.open(str(config))
    jobs = [peer.run(), notify.keep_alive()]
    if status_interval_s > 0:
        jobs.append(_print_status(peer, status_interval_s))
    run_until_told(_all(jobs))


def run_big(settings: Settings, verbose: bool) -> None:
    """Run a Big Peer. Raises ConfigError, StorageError, and OSError when a port is taken."""
    from edge_peer.bigpeer import server  # it takes seconds: not for every --help

    _log(verbose)
    run_until_told(_serve(server.BigPeer(settings)), server.loop_factory())


def run_until_told(job: Coroutine[Any, Any, None], loop_factory: LoopFactory = None) -> bool:
    """Run a job; return whether it ended before SIGTERM or Ctrl-C cancelled it."""

    async def main() -> bool:
        task = asyncio.ensure_future(job)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends the Runner
                loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return False
        return True

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


async def _all(jobs: list[Coroutine[Any, Any, None]]) -> None:
    """Run jobs that never end; the first that fails ends all."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _print_status(peer: SmallPeer, interval_s: float) -> None:
    while True:
        print(json.dumps(peer.status()), flush=True)
        await asyncio.sleep(interval_s)


async def _serve(big: "BigPeer") -> None:
    await _all([big.run(), _announce(big)])


async def _announce(big: "BigPeer") -> None:
    """Say where everything is, as soon as it is there."""
    await big.started.wait()
    options = big.options
    host = "localhost" if options.host in ANY_ADDRESS else options.host
    scheme = "http" if options.tls is None else "https"
    site = f"{scheme}://{f'[{host}]' if ':' in host else host}:{big.http_port}"
    peers = f"TCP port {big.sync_port}"
    if options.mqtt is not None:
        from edge_peer.host import mqtt

        peers += f", {mqtt.label(options.mqtt)}"
    token = big.people.set_up_token
    print(
        f"Big Peer of app {big.app_id}\n"
        f"  page   {site}/{f'set-up?token={token}  to set it up, once' if token else ''}\n"
        f"  API    {site}/api/v4/store/execute, its key is in {options.data / KEY_FILE}\n"
        f"  peers  {peers}",
        flush=True,
    )


def _log(verbose: bool) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format=LOG_FORMAT)
    logging.getLogger("edge_peer").setLevel(logging.DEBUG if verbose else logging.INFO)
