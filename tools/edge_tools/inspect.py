"""
What is in a store: `edge-peer inspect`.

It takes the image of a board's flash log or a host's SQLite store and writes to neither
(inspect_source.py), counts what is in it (inspect_survey.py) and prints that
(inspect_view.py). Damage ends nothing: what is whole is shown, then comes one ToolError.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_peer.core.errors import FormatError
from edge_peer.core.query.view import fields_of
from edge_peer.host import codec
from edge_tools.errors import ToolError

if TYPE_CHECKING:
    pass
from edge_tools import inspect_view
from edge_tools.inspect_source import Source, opened
from edge_tools.inspect_survey import survey, unreadable
from edge_tools.inspect_view import plain, print_tables, printable


def show(path: Path, as_json: bool) -> None:
    """Print what is in a store. Raises ToolError, StorageError; for damage, at the end."""
    with opened(path) as source:
        report = survey(source)
    if as_json:
        print(json.dumps(inspect_view.as_json(path, report)))
    else:
        print_tables(path, report)
    _complain(path, report.damage)


def list_documents(path: Path, collection: str, limit: int | None) -> None:
    """Print the documents of a collection as JSON lines, in the order of arrival."""
    try:
        with opened(path) as source:
            damage = _print_documents(source, collection, limit)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    _complain(path, damage)


def _print_documents(source: "Source", collection: str, limit: int | None) -> list[str]:
    """Return what is wrong with the store."""
    names = set()
    count = unreadable_count = 0
    for name, id, _, body in source.puts():
        names.add(name)
        if name != collection:
            continue
        if count == limit:
            break
        try:
            fields = fields_of(body, codec.unpack)
        except (FormatError, IndexError, UnicodeError):
            unreadable_count += 1
            continue
        if fields is None:
            continue
        print(json.dumps(plain({"_id": id, **fields})))
        count += 1
    sys.stdout.flush()
    if collection not in names:
        found = ", ".join(sorted(names)) or "none"
        raise ToolError(printable(f"no document in collection {collection}; there are: {found}"))
    return source.damage() + unreadable(unreadable_count)


def _complain(path: Path, damage: list[str]) -> None:
    if damage:
        raise ToolError(f"{path}: {'; '.join(damage)}. What is whole is shown.")
