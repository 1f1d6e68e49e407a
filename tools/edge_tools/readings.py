"""The measurements that the demo replays, and whether they have all arrived unchanged."""

import csv
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

SOURCE = Path(__file__).parent / "data/seattle-temps.csv"
BOARD_ROWS = 500  # each board begins so many rows behind the one before


class Reading(NamedTuple):
    sensor: str
    ts: int  # Unix seconds; the source's clock is taken as UTC
    temp: float  # °F


def sensor_name(board: int) -> str:
    return f"seattle-{board + 1}"


def readings_of(board: int, count: int) -> list[Reading]:
    """Return what board 0, 1, … replays; behind the last row it goes on with the first."""
    rows = _rows()
    start = BOARD_ROWS * board
    return [Reading(sensor_name(board), *rows[(start + i) % len(rows)]) for i in range(count)]


def row_count() -> int:
    """Return how many different readings there are for one board."""
    return len(_rows())


@cache
def _rows() -> list[tuple[int, float]]:
    with open(SOURCE, newline="") as file:
        return [(_unix_s(row["date"]), float(row["temp"])) for row in csv.DictReader(file)]


def _unix_s(date: str) -> int:
    return int(datetime.strptime(date, "%Y/%m/%d %H:%M").replace(tzinfo=UTC).timestamp())


def complaints(expected: Iterable[Reading], items: Iterable[dict[str, Any]]) -> list[str]:
    """Compare every value of `items`, documents of a Big Peer; return a line for each mistake."""
    wanted = Counter(expected)
    found = Counter(_reading(item) for item in items)
    return [
        *(f"missing: {one}" for one in sorted(wanted - found)),
        *(f"twice: {one}" for one in found if one in wanted and found[one] > wanted[one]),
        *(f"never measured: {one}" for one in found if one not in wanted),
    ]


def _reading(item: dict[str, Any]) -> Reading:
    sensor, ts, temp = (item.get(name) for name in Reading._fields)
    return Reading(sensor, ts, temp)  # type: ignore[arg-type] # whatever it is, it is compared
