"""
What is not a document, for all workers of an app: a side file's tables, in PostgreSQL.

The statements are those of side_file.py, in the SQL that both speak, but for how a parameter
is written, a few types, and that PostgreSQL has no NUL in a text: it is kept as ␀.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from edge_peer.bigpeer.database import Database, bring_up

if TYPE_CHECKING:
    from edge_peer.bigpeer.side_file import SideFile

NUL = "␀"
_WORDS = (
    ("INTEGER PRIMARY KEY", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    ("STRICT, WITHOUT ROWID", ""),
    ("STRICT", ""),
    ("INTEGER", "bigint"),
    ("BLOB", "bytea"),
    ("LIMIT -1", "LIMIT ALL"),
)


class SideTables:
    """As a SideFile of that kind; it shares, and leaves open, the connection."""

    def __init__(self, base: Database, kind: type[SideFile]) -> None:
        self._base = base
        steps = tuple(_translated(step) for step in kind.steps)
        self._base.work(
            lambda db: bring_up(db, base.schema, f"layout_{kind.application_id}", steps)
        )

    def rows(self, statement: str, *arguments: object) -> list[Any]:
        found = self._base.rows(_translated(statement), named=_named(arguments))
        return [tuple(_back(value) for value in row) for row in found]

    def run(self, statement: str, *arguments: object) -> int:
        """Run one statement, durable on return; return how many rows it changed."""
        text, values = _translated(statement), _named(arguments)
        return self._base.work(lambda db: db.execute(text, values).rowcount)

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._base.transaction():
            yield

    def close(self) -> None:
        """Leave the connection to whose it is."""


@lru_cache(256)
def _translated(statement: str) -> str:
    for ours, theirs in _WORDS:
        statement = statement.replace(ours, theirs)
    number = 0

    def name(found: re.Match[str]) -> str:
        nonlocal number
        number = int(found[1]) if found[1] else number + 1
        return f"%(p{number})s"

    return re.sub(r"\?(\d*)", name, statement)


def _named(arguments: tuple[object, ...]) -> dict[str, Any]:
    return {f"p{number + 1}": _there(value) for number, value in enumerate(arguments)}


def _there(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return value.replace("\0", NUL) if isinstance(value, str) else value


def _back(value: object) -> object:
    return value.replace(NUL, "\0") if isinstance(value, str) else value
