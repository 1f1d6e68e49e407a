"""
A copy of a Big Peer while it runs: a folder that is a data folder again.

    DATA/backups/NAME/    all that settings.py names, of every app

Documents are copied in the order of their arrival, a few at a time, until nothing has
come meanwhile; those that changed on the way came again, with a later arrival. The store's
own entries are read in the same moment as the last of them, so what the copy says that it
knows, it has. What is in PostgreSQL comes into files, from which a Big Peer starts as well.
It is made under another name and then moved: a copy that is there is whole.

A copy that starts must not take up numbers that the original has given out since: RENEW,
an empty file in it, makes its store another author before it is opened (tenant.py).
"""

import asyncio
import os
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_peer.bigpeer import settings, side_copy, stores
from edge_peer.core.errors import ConfigError
from edge_peer.core.limits import HIDDEN
from edge_peer.core.store import state as states
from edge_peer.core.store.log import META
from edge_peer.core.store.store import STATE_ID
from edge_peer.host import private_file
from edge_peer.host.keys import read_secret
from edge_peer.security import identity

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database
    from edge_peer.bigpeer.tenant import Tenant
    from edge_peer.core.store.log import Put

RENEW = "restored"  # the file that says so
FOLDER = "backups"
MOVED = ".moved"  # ends the names of files whose rows are in PostgreSQL now
CHUNK_COUNT = 500  # documents read at once, some milliseconds, and one commit in the copy
NAME_CHARS_MAX = 64

Progress = tuple[int, int]  # documents copied, and how many there are


def check_name(name: object) -> str:
    """Raises ConfigError for what is no name of a backup."""
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= NAME_CHARS_MAX
        or not all(one.isascii() and (one.isalnum() or one in "-_.") for one in name)
        or name.startswith(".")
    ):
        raise ConfigError("a backup's name has letters, digits, - _ and .")
    return name


async def make(tenants: "list[Tenant]", data: Path, folder: Path) -> AsyncIterator[Progress]:
    """Copy all apps of the data folder into a new folder; tell how far it is.

    Raises ConfigError if it is there, StorageError and OSError if it cannot be written.
    """
    if folder.exists():
        raise ConfigError(f"{folder} is there already")
    part = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
    part.mkdir(parents=True, mode=0o700)
    count = sum(one.store.log.totals("*")[0] for one in tenants)
    done = 0
    try:
        with ThreadPoolExecutor(1) as worker:  # SQLite's objects stay in their thread
            for tenant in tenants:
                target = part / tenant.folder.relative_to(data)
                async for copied in _copy(tenant, target, worker):
                    done += copied
                    yield min(done, count), count
        part.rename(folder)
        private_file.sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def move(folder: Path, url: str) -> int:
    """Take an app from its files to PostgreSQL; return how many documents. The files stay.

    Raises ConfigError and StorageError; nothing else may have the app open.
    """
    config = settings.load(folder)
    app_id = identity.from_text(read_secret(config.identity)).app_id.hex()
    count = 0
    with closing(open_copy(config.storage)) as source:
        place = settings.storage_of({"url": url, "schema": f"edge_{app_id}"})
        with closing(open_copy(place)) as target:
            if target.arrival_max:
                raise ConfigError("there are documents of this app in PostgreSQL already")
            side_copy.to_database(folder, target.base)
            for puts in copied(source, lambda: None):
                target.commit(puts)
                count += len(puts)
    for name in (settings.STORE_FILE, *(name for _, name in side_copy.KINDS)):
        if (folder / name).exists():
            (folder / name).rename(folder / (name + MOVED))
    private_file.write(folder / settings.ELSEWHERE_FILE, settings.ELSEWHERE_TEXT)
    return count


def restore(backup: Path, data: Path) -> None:
    """Copy a backup to where a Big Peer shall start with it. Raises ConfigError."""
    if not (backup / RENEW).exists():
        raise ConfigError(f"{backup} is no backup, or one that was started where it lies")
    if data.exists() and any(data.iterdir()):
        raise ConfigError(f"{data} is not empty; move away what is there first")
    shutil.copytree(backup, data, dirs_exist_ok=True)
    data.chmod(0o700)


def renewed(folder: Path, open_log: Callable[[], Any], entropy: Callable[[int], bytes]) -> None:
    """Make the store of a copy that starts for the first time another author."""
    if not (folder / RENEW).exists():
        return
    log = open_log()
    with closing(log):
        raw = log.get(META, STATE_ID)
        if raw is not None:
            state = states.decode(raw)._replace(incarnation=entropy(states.INCARNATION_SIZE))
            log.commit([(META, STATE_ID, state.arrival, states.encode(state))])
    (folder / RENEW).unlink()
    private_file.sync_folder(folder)


async def _copy(tenant: "Tenant", target: Path, worker: ThreadPoolExecutor) -> AsyncIterator[int]:
    """Copy one app; say how many documents more each time."""
    loop = asyncio.get_running_loop()

    async def work(function: Callable[..., Any], *arguments: Any) -> Any:
        return await loop.run_in_executor(worker, function, *arguments)

    await work(_copy_files, tenant.folder, target)
    if tenant.store.base is not None:
        await work(_copy_tables, tenant.store.base, target)
    place = settings.storage_of({"path": str(target / settings.STORE_FILE)})
    log = await work(open_copy, place)
    try:
        source: Any = tenant.store.log
        for puts in copied(source, tenant.store.save):
            await work(log.commit, puts)
            yield len(puts)
        for collection, name, paths in _indexes(source):
            await work(log.create_index, name, collection, paths, True)
    finally:
        await work(log.close)


def copied(source: Any, save: Callable[[], None]) -> "Iterator[list[Put]]":
    """Yield all that a log has, in commits of a copy.

    The last ones belong together, and nothing comes in between: documents of the time
    after the one before, and what the store says of itself then.
    """
    for collection in HIDDEN:
        for some in _chunks(source.scan(collection)):
            yield [(collection, id, 0, body) for id, body in some]
    cursor = 0
    while len(puts := source.since(cursor, CHUNK_COUNT)) == CHUNK_COUNT:
        yield puts
        cursor = puts[-1][2]
    save()
    entries = [(META, id, source.arrival_max, source.get(META, id)) for id in source.entries()]
    yield puts + entries


def _indexes(log: Any) -> list[tuple[str, str, list[str]]]:
    if not log.has_indexes:
        return []
    return [(collection, name, paths) for name, collection, paths in log.indexes()]


def open_copy(place: dict[str, Any]) -> Any:
    """Open a log of which nothing goes; place: as settings.py has it."""

    def keep(collection: str, id: str, body: bytes, may_lose: bool) -> bool:
        return False

    return stores.open_log(place, keep, lambda: [])


def _copy_files(source: Path, target: Path) -> None:
    """Copy all but the documents, as their owner alone reads it; databases as they stand."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in source.iterdir():
        copy = target / path.name
        if path.name in (settings.APPS_FOLDER, FOLDER) or path.name.startswith(settings.STORE_FILE):
            continue
        if path.is_dir():
            _copy_files(path, copy)
        elif path.suffix == ".db":
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(copy)) as other:
                one.backup(other)
        elif not path.name.endswith(("-wal", "-shm", ".part", MOVED)):
            shutil.copy2(path, copy)
    if (source / settings.IDENTITY_FILE).exists():
        (target / RENEW).touch(mode=0o600)


def _copy_tables(base: "Database", target: Path) -> None:
    """On a connection of its own: that of the app is in another thread."""
    from edge_peer.bigpeer import postgres

    with closing(postgres.connected(base.url, base.schema)) as beside:
        side_copy.to_files(beside, target)


def _chunks(found: Iterator[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    some: list[tuple[str, bytes]] = []
    for pair in found:
        some.append(pair)
        if len(some) == CHUNK_COUNT:
            yield some
            some = []
    if some:
        yield some
