"""
`edge-peer big export`: a collection as CSV, Parquet or lines of JSON.

All three come as lines of JSON. CSV and Parquet need to know their columns first, so the
lines wait in a temporary file beside the target. A nested value stands in a cell as JSON.
The target is there whole, or not at all.
"""

import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx
from rich.progress import Progress

from edge_peer.bigpeer.settings import KEY_FILE
from edge_peer.core.errors import ConfigError
from edge_tools.errors import ApiError, ToolError

WAIT_S = 60  # between two pieces of the answer
ROW_GROUP_COUNT = 50_000  # rows of Parquet in memory
COLUMN_COUNT_MAX = 4_096


def key_of(given: str, data: Path) -> str:
    """Return the key that is given, or that of the data folder. Raises ToolError."""
    try:
        return given or (data / KEY_FILE).read_text().strip()
    except OSError as error:
        raise ToolError(f"no key: say --key, or --data of the Big Peer ({error})") from error


def export(collection: str, path: Path, where: str, url: str, key: str) -> int:
    """Return how many documents were written. Raises ConfigError, ApiError, OSError."""
    write = WRITERS.get(path.suffix)
    if write is None:
        raise ConfigError(f"the file's name ends with {', '.join(WRITERS)}")
    part = path.with_name(path.name + ".part")
    with tempfile.TemporaryFile("w+", dir=path.parent, encoding="utf-8") as lines:
        try:
            count, columns = _fetch(collection, where, url, key, lines)
            write(lines, columns, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    print(f"{path}: {count} documents")
    return count


def _fetch(
    collection: str, where: str, url: str, key: str, lines: IO[str]
) -> tuple[int, list[str]]:
    """Write the answer's lines; return their number, and the names of their fields."""
    columns: dict[str, None] = {"_id": None}
    count = 0
    query = {"collection": collection} | ({"where": where} if where else {})
    headers = {"Authorization": f"Bearer {key}"}
    with (
        Progress(transient=True) as progress,
        httpx.Client(timeout=WAIT_S, trust_env=False) as client,
        client.stream("GET", f"{url}/api/v4/store/export", params=query, headers=headers) as answer,
    ):
        if answer.status_code != 200:
            error = json.loads(answer.read())["error"]
            raise ApiError(f"the Big Peer refused: {error['description']}")
        task = progress.add_task(collection, total=int(answer.headers["x-document-count"]))
        for line in answer.iter_lines():
            if line:
                columns |= dict.fromkeys(json.loads(line))
                lines.write(line + "\n")
                count += 1
                progress.advance(task)
    if len(columns) > COLUMN_COUNT_MAX:
        raise ConfigError(f"more than {COLUMN_COUNT_MAX} fields: take lines of JSON")
    lines.seek(0)
    return count, list(columns)


def _lines(lines: IO[str], columns: list[str], path: Path) -> None:
    with path.open("w", encoding="utf-8") as target:
        target.writelines(lines)


def _csv(lines: IO[str], columns: list[str], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(columns)
        for line in lines:
            row = json.loads(line)
            writer.writerow([_cell(row.get(name)) for name in columns])


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool | dict | list) else value


def _parquet(lines: IO[str], columns: list[str], path: Path) -> None:
    """A column whose values are all numbers, or all true and false, is one of these; else text."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError("Parquet needs pyarrow: pip install 'edge-peer[parquet]'") from error
    kinds: dict[str, str] = {}
    for line in lines:
        for name, value in json.loads(line).items():
            if value is not None:
                kinds[name] = _wider(kinds.get(name), value)
    types = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}
    fields = [(name, types.get(kinds.get(name, ""), pyarrow.string())) for name in columns]
    schema = pyarrow.schema(fields)
    lines.seek(0)
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in _groups(lines):
            table = {
                name: [_typed(row.get(name), kinds.get(name)) for row in rows] for name in columns
            }
            writer.write_table(pyarrow.table(table, schema=schema))


def _wider(kind: str | None, value: Any) -> str:
    """Return the kind of a column that has had this kind so far, and now this value."""
    mine = type(value).__name__ if isinstance(value, bool | int | float) else "text"
    if mine == "int" and not -(1 << 63) <= value < 1 << 63:
        mine = "float"
    if kind in (None, mine):
        return mine
    return "float" if {kind, mine} == {"int", "float"} else "text"


def _typed(value: Any, kind: str | None) -> Any:
    if value is None:
        return None
    if kind == "float":
        return float(value)
    return value if kind in ("int", "bool") or isinstance(value, str) else json.dumps(value)


def _groups(lines: IO[str]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for line in lines:
        rows.append(json.loads(line))
        if len(rows) == ROW_GROUP_COUNT:
            yield rows
            rows = []
    if rows:
        yield rows


WRITERS: dict[str, Callable[[IO[str], list[str], Path], None]] = {
    ".jsonl": _lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
