"""What a key may not read it does not see, and what it may not write stays as it is."""

import pytest

ROWS = [
    {"_id": "a1", "site": "A", "temp": 20, "in": {"room": 1}},
    {"_id": "a2", "site": "A", "temp": 25, "in": {"room": 2}},
    {"_id": "b1", "site": "B", "temp": 90, "in": {"room": 3}},
    {"_id": "b2", "site": "B", "temp": 95, "in": {"room": 4}},
    {"_id": "n1", "temp": 99},
]


@pytest.fixture(scope="module")
def keys(server):
    """keys(read, write) -> the text of a key: of rules by collection, or True for everything."""

    def side(rules):
        return {"everything": True} if rules is True else {"queriesByCollection": rules}

    def create(read=None, write=None):
        permissions = {"read": side(read or {}), "write": side(write or {})}
        fields = {"name": "test", "permissions": permissions}
        response = server.ask("POST", f"/apps/{server.big.app_id}/keys", json=fields)
        assert response.status_code == 201, response.text
        return response.json()["key"]

    return create


@pytest.fixture
def readings(server, request):
    """The name of a collection that holds ROWS."""
    name = request.node.name.split("[")[0][:60]
    server.execute(f"INSERT INTO {name} DOCUMENTS (:rows) ON ID CONFLICT DO UPDATE", rows=ROWS)
    return name


@pytest.fixture
def run(server):
    def run(key, statement, **arguments):
        body = {"statement": statement, "args": arguments}
        response = server.ask("POST", "/store/execute", key, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    return run


@pytest.fixture
def denied(server):
    def denied(key, statement, **arguments):
        before = server.big.transaction_id()
        body = {"statement": statement, "args": arguments}
        response = server.ask("POST", "/store/execute", key, json=body)
        assert response.status_code == 403, response.text
        answer = response.json()
        assert answer["error"]["code"] == "forbidden" and answer["error"]["description"]
        assert answer["items"] == answer["mutatedDocumentIds"] == []
        assert server.big.transaction_id() == before
        return answer["error"]["description"]

    return denied


# Reading


@pytest.mark.parametrize(
    ("rule", "ids"),
    [
        (["site == 'A'"], ["a1", "a2"]),
        (["site == 'A' AND temp > 20"], ["a2"]),
        (["`in`.room >= 3"], ["b1", "b2"]),
        (["site == 'B'", "_id == 'a1'"], ["a1", "b1", "b2"]),
        (["site IS MISSING"], ["n1"]),
        (["NOT site == 'A'"], ["b1", "b2"]),  # of n1 it is unknown
        (["true"], ["a1", "a2", "b1", "b2", "n1"]),
        (["site"], []),  # no truth
        (["temp / 0 = 1"], []),
    ],
)
def test_only_what_the_predicate_takes_is_read(readings, keys, run, rule, ids):
    key = keys({readings: rule})
    assert [
        row["_id"] for row in run(key, f"SELECT * FROM {readings} ORDER BY _id")["items"]
    ] == ids


@pytest.mark.parametrize(
    ("statement", "items"),
    [
        ("SELECT COUNT(*) AS n FROM {c}", [{"n": 2}]),
        ("SELECT MAX(temp) AS t, MIN(temp) AS u, SUM(temp) AS s FROM {c}",
         [{"t": 25, "u": 20, "s": 45}]),
        ("SELECT site, COUNT(*) AS n FROM {c} GROUP BY site", [{"site": "A", "n": 2}]),
        ("SELECT DISTINCT site FROM {c}", [{"site": "A"}]),
        ("SELECT temp FROM {c} ORDER BY temp DESC LIMIT 1", [{"temp": 25}]),
        ("SELECT temp FROM {c} WHERE _id = 'b1'", []),
        ("SELECT temp FROM {c} WHERE _id IN ['b1', 'a1']", [{"temp": 20}]),
        ("SELECT temp FROM {c} WHERE true OR site = 'B' ORDER BY temp",
         [{"temp": 20}, {"temp": 25}]),
        ("SELECT temp FROM {c} WHERE site = 'B' OR NOT site = 'B' ORDER BY temp OFFSET 1",
         [{"temp": 25}]),
        ("SELECT COUNT(*) AS n FROM {c} WHERE temp > 90", [{"n": 0}]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("has_index", [False, True])
def test_no_form_of_select_sees_more(readings, keys, run, server, statement, items, has_index):
    for path in ("site", "temp"):
        if has_index:
            server.execute(f"CREATE INDEX IF NOT EXISTS by_{path} ON {readings} ({path})")
    key = keys({readings: ["site == 'A'"]})
    assert run(key, statement.format(c=readings))["items"] == items


def test_a_collection_without_a_rule_is_forbidden(readings, keys, run, denied):
    key = keys({readings: ["true"]}, {readings: ["true"]})
    assert "secrets" in denied(key, "SELECT * FROM secrets")
    denied(key, "SELECT COUNT(*) AS n FROM __small_peer_info")
    denied(key, "EXPLAIN SELECT * FROM secrets")
    denied(key, "INSERT INTO secrets DOCUMENTS ({'a': 1})")
    denied(key, "DELETE FROM secrets")
    assert run(key, f"EXPLAIN SELECT * FROM {readings}")["items"]


def test_a_key_that_reads_everything_writes_nothing(readings, keys, run, denied):
    key = keys(read=True)
    assert len(run(key, f"SELECT * FROM {readings}")["items"]) == 5
    for statement in (
        "INSERT INTO {c} DOCUMENTS ({{'a': 1}})",
        "UPDATE {c} SET a = 1",
        "DELETE FROM {c}",
        "CREATE INDEX i ON {c} (a)",
        "DROP INDEX i ON {c}",
    ):
        denied(key, statement.format(c=readings))


# Writing


def test_what_the_predicate_takes_is_written(readings, keys, run, server):
    key = keys(True, {readings: ["site == 'A'"]})
    insert = f"INSERT INTO {readings} DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"
    assert run(key, insert, d={"_id": "a3", "site": "A"})["mutatedDocumentIds"] == ["a3"]
    run(key, insert, d={"_id": "a1", "temp": 21})
    run(key, f"UPDATE {readings} SET temp = temp + 1 WHERE site = 'A' AND temp > 0")
    run(key, f"DELETE FROM {readings} WHERE _id = 'a2'")
    rows = server.execute(f"SELECT _id, temp FROM {readings} WHERE site = 'A' ORDER BY _id")
    assert rows["items"] == [{"_id": "a1", "temp": 22}, {"_id": "a3"}]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {c} DOCUMENTS ({{'site': 'B'}})",
        "INSERT INTO {c} DOCUMENTS ({{'temp': 1}})",
        "INSERT INTO {c} DOCUMENTS ({{'site': 'A'}}), ({{'site': 'B'}})",
        "INSERT INTO {c} INITIAL DOCUMENTS ({{'_id': 'x', 'site': 'B'}})",
        # from another site's into ours, and out of ours
        "INSERT INTO {c} DOCUMENTS ({{'_id': 'b1', 'site': 'A'}}) ON ID CONFLICT DO UPDATE",
        "INSERT INTO {c} DOCUMENTS ({{'_id': 'a1', 'site': 'B'}}) ON ID CONFLICT DO UPDATE",
        "UPDATE {c} SET site = 'A'",
        "UPDATE {c} SET site = 'A' WHERE _id = 'b1'",
        "UPDATE {c} SET site = 'B' WHERE _id = 'a1'",
        "UPDATE {c} UNSET site WHERE _id = 'a1'",
        "UPDATE {c} SET temp = 1",
        "UPDATE {c} APPLY temp INCREMENT BY 1",
        "DELETE FROM {c}",
        "DELETE FROM {c} WHERE _id = 'b1'",
        "DELETE FROM {c} WHERE _id = 'n1'",
    ],
)
def test_a_write_from_or_to_a_state_that_is_not_allowed_changes_nothing(
    readings, keys, denied, server, statement
):
    key = keys(True, {readings: ["site == 'A'"]})
    denied(key, statement.format(c=readings))
    left = server.execute(f"SELECT * FROM {readings} ORDER BY _id")["items"]
    assert left == ROWS


def test_update_and_delete_find_only_what_may_be_read(readings, keys, run, server):
    key = keys({readings: ["site == 'A'"]}, True)
    done = run(key, f"UPDATE {readings} SET seen = true WHERE temp > 20")
    assert done["mutatedDocumentIds"] == ["a2"]
    done = run(key, f"DELETE FROM {readings}")
    assert sorted(done["mutatedDocumentIds"]) == ["a1", "a2"]
    assert len(server.execute(f"SELECT * FROM {readings}")["items"]) == 3


def test_a_key_that_only_writes_inserts_and_learns_nothing(readings, keys, run, denied):
    key = keys({}, {readings: ["site == 'A'"]})
    run(key, f"INSERT INTO {readings} DOCUMENTS ({{'site': 'A', 'temp': 1}})")
    assert "INSERT" in denied(key, f"UPDATE {readings} SET temp = 1 WHERE temp > 90")
    denied(key, f"DELETE FROM {readings}")
    denied(key, f"SELECT * FROM {readings}")


def test_a_deleted_document_may_be_begun_anew(readings, keys, run, server):
    server.execute(f"DELETE FROM {readings} WHERE _id = 'b1'")
    key = keys({}, {readings: ["site == 'A'"]})
    run(key, f"INSERT INTO {readings} DOCUMENTS ({{'_id': 'b1', 'site': 'A'}})")


def test_what_a_counter_makes_of_a_field_counts(readings, keys, run, denied):
    key = keys(True, {readings: ["temp < 100"]})
    run(key, f"UPDATE {readings} APPLY temp INCREMENT BY 4 WHERE _id = 'b2'")
    denied(key, f"UPDATE {readings} APPLY temp INCREMENT BY 1 WHERE _id = 'b2'")


def test_a_statement_that_changes_too_much_to_be_checked_is_refused(keys, server, monkeypatch):
    from edge_peer.bigpeer import scoped

    monkeypatch.setattr(scoped, "CHANGED_COUNT_MAX", 2)
    key = keys(True, {"many": ["a > 0"]})
    body = {"statement": "INSERT INTO many DOCUMENTS (:d)", "args": {"d": [{"a": 1}] * 3}}
    response = server.ask("POST", "/store/execute", key, json=body)
    assert response.status_code == 413 and response.json()["error"]["code"] == "size"
    assert server.execute("SELECT * FROM many")["items"] == []


# Attachments


def test_an_attachment_is_read_by_who_reads_a_document_that_has_it(keys, server):
    token = server.ask("POST", "/attachments/upload", files={"f": ("x", b"photo")}).json()
    server.execute("INSERT INTO visits DOCUMENTS (:d)", d={"site": "B", "of": {"photo": token}})
    path = f"/attachments/{token['id']}"
    assert server.ask("GET", path, keys({"visits": ["site == 'B'"]})).content == b"photo"
    assert server.ask("GET", path, keys(True)).content == b"photo"
    for rules in ({"visits": ["site == 'A'"]}, {"nothing": ["true"]}, {}):
        response = server.ask("GET", path, keys(rules))
        assert response.status_code == 404 and response.json()["error"]["code"] == "attachment"
    server.execute("DELETE FROM visits")
    assert server.ask("GET", path, keys({"visits": ["site == 'B'"]})).status_code == 404


def test_only_who_writes_something_uploads(keys, server):
    files = {"f": ("x", b"data")}
    assert server.ask("POST", "/attachments/upload", keys(True), files=files).status_code == 403
    key = keys({}, {"c": ["true"]})
    assert server.ask("POST", "/attachments/upload", key, files=files).status_code == 200
