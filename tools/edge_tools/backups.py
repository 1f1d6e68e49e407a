"""`edge-peer big backup`: asks the Big Peer that runs, or copies what lies there."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from rich.progress import Progress

from edge_peer.bigpeer import apps, backup
from edge_peer.bigpeer.settings import IDENTITY_FILE, KEY_FILE, Settings, completed
from edge_peer.bigpeer.tenant import Tenant
from edge_tools.errors import ApiError, ToolError

CONNECT_S, WAIT_S = 5, 600  # the latter between two lines of the answer


def make(data: Path, name: str, url: str) -> None:
    """Raises ConfigError, StorageError, ToolError and OSError."""
    backup.check_name(name)
    if not (data / IDENTITY_FILE).exists():
        raise ToolError(f"{data} is no Big Peer's; say --data")
    folder = asyncio.run(_made(data, name, url))
    print(f"{folder}: keep it as you keep the original; it opens everything.")


def move(data: Path, url: str) -> None:
    """Raises ConfigError, StorageError and OSError."""
    for folder in [data, *apps.folders(data)]:
        count = backup.move(folder, url)
        print(f"{folder}: {count} documents are in PostgreSQL; the files stay, as *.moved")


async def _made(data: Path, name: str, url: str) -> str:
    with Progress(transient=True) as progress:
        task = progress.add_task("documents", total=None)
        try:
            async for line in _asked(data, name, url):
                progress.update(task, completed=line["copied"], total=line["of"])
            return str(line["folder"])
        except httpx.ConnectError:
            folder = data / backup.FOLDER / name
            store = completed(Settings(data)).store
            tenants = [Tenant(data, database=store)]
            tenants += [Tenant(one, one.name, store) for one in apps.folders(data)]
            try:
                async for copied, count in backup.make(tenants, data, folder):
                    progress.update(task, completed=copied, total=count)
            finally:
                for tenant in tenants:
                    tenant.close()
            return str(folder)


async def _asked(data: Path, name: str, url: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the lines of the answer. Raises ApiError, and ConnectError where nobody is."""
    try:
        key = (data / KEY_FILE).read_text().strip()
    except OSError as error:
        raise ToolError(f"an administrator's key belongs in {data / KEY_FILE}") from error
    headers = {"Authorization": f"Bearer {key}"}
    timeout = httpx.Timeout(WAIT_S, connect=CONNECT_S)
    async with (
        httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
        client.stream(
            "POST", f"{url}/api/v4/backup", json={"name": name}, headers=headers
        ) as response,
    ):
        async for line in response.aiter_lines():
            answer = json.loads(line)
            if answer.get("error"):
                raise ApiError(f"the Big Peer refused: {answer['error']['description']}")
            yield answer
