"""
Keys, people, webhooks and sightings, from their files to PostgreSQL and back.

Rows are taken as they stand; the file knows which tables and columns there are. Numbers
that a database gives out by itself are given out anew, in their order.
"""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from edge_peer.bigpeer import settings
from edge_peer.bigpeer.side_file import SideFile, opened
from edge_peer.bigpeer.sightings import SightingFile
from edge_peer.bigpeer.vault import Vault
from edge_peer.bigpeer.webhooks import WebhookFile

if TYPE_CHECKING:
    from edge_peer.bigpeer.database import Database

KINDS: tuple[tuple[type[SideFile], str], ...] = (
    (Vault, settings.DOORS_FILE),
    (WebhookFile, settings.WEBHOOKS_FILE),
    (SightingFile, settings.SIGHTINGS_FILE),
)


def to_files(base: "Database", folder: Path) -> None:
    """Let the files of a folder have what is in the database, and nothing else."""
    for kind, name in KINDS:
        with closing(kind(folder / name)) as file:
            _replace(file, opened(kind, folder / name, base), file)


def to_database(folder: Path, base: "Database") -> None:
    """Let the database have what is in the files of a folder, as far as there are any."""
    for kind, name in KINDS:
        if (folder / name).exists():
            with closing(kind(folder / name)) as file:
                _replace(file, file, opened(kind, folder / name, base))


def _replace(file: SideFile, source: SideFile, target: SideFile) -> None:
    with target.together():
        for table, (columns, number) in _tables(file).items():
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            target.run(f"DELETE FROM {table}")
            order = f" ORDER BY {number}" if number else ""
            for row in source.rows(f"SELECT {names} FROM {table}{order}"):
                target.run(f"INSERT INTO {table} ({names}) VALUES ({marks})", *row)


def _tables(file: SideFile) -> dict[str, tuple[list[str], str]]:
    """Return each table's columns, and that which numbers its rows, or ""."""
    found: dict[str, tuple[list[str], str]] = {}
    rows = file.rows(
        "SELECT t.name, c.name, c.type = 'INTEGER' AND c.pk FROM sqlite_schema AS t,"
        " pragma_table_info(t.name) AS c WHERE t.type = 'table'"
    )
    for table, column, is_number in rows:
        columns, number = found.get(table, ([], ""))
        found[table] = (columns, column) if is_number else ([*columns, column], number)
    return found
