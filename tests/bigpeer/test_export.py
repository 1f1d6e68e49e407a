"""A collection as a file: all of it, and no more than the key may read."""

import csv
import json

import pytest
from pyarrow import parquet

from edge_peer.core.errors import ConfigError
from edge_tools import exports
from edge_tools.errors import ApiError

ROWS = [
    {"_id": "a", "n": 1, "temp": 20.5, "ok": True, "name": 'ä, "b"\nc'},
    {"_id": "b", "n": 2, "temp": 21, "pos": {"x": 1}},
    {"_id": "c", "n": 3, "mixed": [1, 2]},
]


@pytest.fixture
def filled(server):
    server.execute("DELETE FROM out")
    server.execute("INSERT INTO out DOCUMENTS (:rows) ON ID CONFLICT DO UPDATE", rows=ROWS)
    server.execute("INSERT INTO out DOCUMENTS ({'_id': 'gone', 'n': 4})")
    server.execute("DELETE FROM out WHERE n = 4")
    return server


def export(server, path, where="", key=""):
    return exports.export("out", path, where, server.url, key or server.api_key)


def test_lines_of_json_are_the_documents(filled, tmp_path):
    assert export(filled, tmp_path / "a.jsonl") == 3
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert export(filled, tmp_path / "b.jsonl", "temp > 20.6") == 1
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.jsonl", "b.jsonl"]


def test_csv_has_a_column_for_each_field(filled, tmp_path):
    export(filled, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == ROWS[0]["name"] and rows[0]["ok"] == "true" and rows[0]["pos"] == ""
    assert json.loads(rows[1]["pos"]) == {"x": 1} and rows[2]["mixed"] == "[1, 2]"


def test_parquet_has_numbers_as_numbers(filled, tmp_path):
    export(filled, tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["n"], kinds["temp"], kinds["ok"], kinds["pos"]) == (
        "int64",
        "double",
        "bool",
        "string",
    )
    assert table.column("temp").to_pylist() == [20.5, 21.0, None]


def test_a_key_gets_what_it_may_read(filled, tmp_path):
    fields = {"name": "x", "permissions": {"read": {"queriesByCollection": {"out": ["n > 1"]}}}}
    key = filled.ask("POST", f"/apps/{filled.big.app_id}/keys", json=fields).json()["key"]
    assert export(filled, tmp_path / "a.jsonl", key=key) == 2
    response = filled.ask("GET", "/store/export", key, params={"collection": "other"})
    assert response.status_code == 403


@pytest.mark.parametrize("where", ["temp >", "true LIMIT 1", "n = :x", "1) OR (1", "x" * 5000])
def test_a_condition_that_is_none_is_refused(filled, tmp_path, where):
    with pytest.raises(ApiError):
        export(filled, tmp_path / "a.jsonl", where)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_refused(filled, tmp_path):
    with pytest.raises(ConfigError, match="ends with"):
        export(filled, tmp_path / "a.xlsx")


def test_a_large_collection_comes_in_pieces(server, tmp_path):
    for at in range(0, 6_000, 2_000):
        rows = [{"n": n, "text": "x" * 50} for n in range(at, at + 2_000)]
        server.execute("INSERT INTO many DOCUMENTS (:rows)", rows=rows)
    assert exports.export("many", tmp_path / "a.csv", "", server.url, server.api_key) == 6_000
