"""The HTTP API, asked by a real client over a real socket."""

from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_peer.bigpeer import http, requests, settings

FIELDS = [
    "transactionId",
    "queryType",
    "items",
    "mutatedDocumentIds",
    "error",
    "warnings",
    "totalWarningsCount",
]
_OF_WEBHOOK = ("/{id}/replay", "/{id}/dead", "/{id}/dead/replay", "/{id}/deliveries")
ROWS = [{"_id": f"r{i}", "sensor": "ab"[i % 2], "temp": 20 + i} for i in range(6)]


def refused(response, status, code):
    """Check the shape of an error and return what it says."""
    answer = response.json()
    assert response.status_code == status, response.text
    assert list(answer) == FIELDS
    assert answer["items"] == answer["mutatedDocumentIds"] == []
    assert answer["error"]["code"] == code
    return answer["error"]


# What works


def test_what_was_inserted_is_found(server):
    written = server.execute("INSERT INTO found DOCUMENTS (:rows)", rows=ROWS)
    assert list(written) == FIELDS
    assert written["queryType"] == "insert"
    assert written["mutatedDocumentIds"] == [row["_id"] for row in ROWS]
    assert written["items"] == [] and written["error"] is None
    statement = "SELECT * FROM found WHERE sensor = :s AND temp > 20 ORDER BY temp DESC LIMIT :n"
    answer = server.execute(statement, s="a", n=1)
    assert list(answer) == FIELDS
    assert answer["queryType"] == "select"
    assert answer["items"] == [ROWS[4]]
    assert answer["mutatedDocumentIds"] == answer["warnings"] == []
    assert answer["totalWarningsCount"] == 0
    assert answer["transactionId"] == written["transactionId"]


def test_the_transaction_id_only_rises(server):
    first = server.execute("INSERT INTO risen DOCUMENTS ({'a': 1})")["transactionId"]
    second = server.execute("INSERT INTO risen DOCUMENTS ({'a': 2})")["transactionId"]
    assert second == first + 1


def test_arguments_may_be_left_out_or_null(server):
    for body in ({}, {"args": None}, {"args": {}}):
        response = server.post({"statement": "SELECT * FROM nobody"} | body)
        assert response.json()["items"] == []


def test_the_other_version_of_the_path_is_the_same(server):
    headers = {"Authorization": f"bearer {server.api_key}"}
    body = {"statement": "SELECT * FROM nobody"}
    response = server.client.post("/api/v5/store/execute", json=body, headers=headers)
    assert response.status_code == 200 and list(response.json()) == FIELDS


def test_a_large_answer_is_whole(server):
    rows = [{"n": n} for n in range(http.ENCODED_INLINE_COUNT_MAX + 1)]
    server.execute("INSERT INTO large DOCUMENTS (:rows)", rows=rows)
    items = server.execute("SELECT n FROM large ORDER BY n")["items"]
    assert items == rows


def test_bytes_are_answered_as_base64(server):
    raw = bytes(range(256))
    insert = "INSERT INTO raw DOCUMENTS (:r)"
    server.do(lambda: server.big.execute(insert, {"r": {"raw": raw}}))
    (item,) = server.execute("SELECT raw FROM raw")["items"]
    assert b64decode(item["raw"]) == raw


def test_a_number_that_json_lacks_is_null(server):
    server.execute("INSERT INTO huge DOCUMENTS ({'a': 1e308})")
    (item,) = server.execute("SELECT a * 10 AS more, a AS same FROM huge")["items"]
    assert item == {"more": None, "same": 1e308}


def test_text_of_any_language_comes_back(server):
    server.execute("INSERT INTO text DOCUMENTS (:d)", d={"name": "Zürich 東京 🌡"})
    (item,) = server.execute("SELECT name FROM text")["items"]
    assert item["name"] == "Zürich 東京 🌡"


def test_health_needs_no_key(server):
    response = server.client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_the_description_names_the_path_and_nothing_from_elsewhere(server):
    description = server.client.get("/openapi.json").json()
    paths = ("store/execute", "attachments/upload", "attachments/{id}")
    paths += (
        "store/observe",
        "store/export",
        "apps",
        "backup",
        "apps/{appID}",
        "apps/{appID}/certificates",
        "apps/{appID}/devices",
        "apps/{appID}/devices/{id}",
        "apps/{appID}/presence",
        "apps/{appID}/devices/{name}/renew",
        "apps/{appID}/devices/{name}/revoke",
        "apps/{appID}/retention",
        "apps/{appID}/retention/{collection}",
        "apps/{appID}/keys",
        "apps/{appID}/keys/{id}",
    )
    paths += tuple(f"apps/{{appID}}/webhooks{more}" for more in ("", "/{id}", *_OF_WEBHOOK))
    assert set(description["paths"]) == {
        "/health",
        "/metrics",
        *(f"/api/{version}/{path}" for version in ("v4", "v5") for path in paths),
    }
    assert "http" not in server.client.get("/docs").text.replace("https://shop.example", "")


# Who may ask


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic {key}", "{key}"])
def test_nothing_is_answered_without_the_key(server, header):
    headers = {} if header is None else {"Authorization": header.format(key=server.api_key)}
    body = {"statement": "SELECT * FROM nobody"}
    response = server.client.post("/api/v4/store/execute", json=body, headers=headers)
    refused(response, 401, "key")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["transactionId"] is None


# Mistakes


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("SELECT * FRM cars", 10),
        ("DELETE cars", 8),
        ("SELECT * FROM cars WHERE a = 'open", 30),
        ("SELECT * FROM cars WHERE color = :color", 34),
        ("INSERT INTO cars DOCUMENTS ('text')", 29),
        ("", 1),
    ],
)
def test_a_wrong_statement_is_told_with_its_column(server, statement, column):
    error = refused(server.post({"statement": statement}), 400, "query")
    assert error["column"] == column
    assert error["description"]


def test_an_id_that_exists_is_refused(server):
    insert = "INSERT INTO once DOCUMENTS ({'_id': 'x', 'a': 1})"
    server.execute(insert)
    error = refused(server.post({"statement": insert}), 400, "query")
    assert "ON ID CONFLICT" in error["description"]
    assert server.execute(insert + " ON ID CONFLICT DO NOTHING")["mutatedDocumentIds"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"SELECT"',
        b"{}",
        b'{"statement": 1}',
        b'{"statement": "SELECT * FROM c", "args": []}',
        b'{"statement": "SELECT * FROM c", "args": "a"}',
        b'{"statement": "SELECT * FROM c", "args": {"a": NaN}}',
        b"[" * 100_000,
        b'{"statement": "SELECT * FROM c", "args": {"a": ' + b"1" * 5000 + b"}}",
    ],
)
def test_what_is_no_request_is_told_so(server, body):
    assert refused(server.post(body), 400, "request")["description"]


@pytest.mark.parametrize("id", [r"\ud800", r"a\u0000b" * 100])
def test_text_that_is_none_is_the_askers_mistake(server, id):
    statement = "INSERT INTO odd DOCUMENTS (:d)"
    body = f'{{"statement": "{statement}", "args": {{"d": {{"_id": "{id}", "a": 1}}}}}}'
    refused(server.post(body.encode()), 400, "query")


def test_a_request_that_is_too_large_is_not_read_to_its_end(server):
    filling = b" " * requests.BODY_BYTES_MAX
    refused(server.post(filling + b"{}"), 413, "size")

    def endless():
        for _ in range(100):
            yield filling

    headers = {"Authorization": f"Bearer {server.api_key}"}
    path = server.url + "/api/v4/store/execute"
    refused(server.client.post(path, content=endless(), headers=headers), 413, "size")
    assert server.client.get("/health").status_code == 200


def test_a_path_that_is_not_there_says_so_in_json(server):
    for method in ("GET", "POST", "DELETE"):
        refused(server.client.request(method, "/api/v4/nothing"), 404, "path")


# Waiting for a transaction


@pytest.mark.parametrize("header", ["X-EDGE-TXN-ID", "X-DITTO-TXN-ID"])
def test_a_read_waits_for_the_transaction_that_it_names(server, header):
    reached = server.big.transaction_id()
    collection = header.replace("-", "_")
    select = {"statement": f"SELECT a FROM {collection}"}
    with ThreadPoolExecutor() as threads:
        reading = threads.submit(server.post, select, **{header: str(reached + 2)})
        server.execute(f"INSERT INTO {collection} DOCUMENTS ({{'a': 1}})")
        server.execute(f"INSERT INTO {collection} DOCUMENTS ({{'a': 2}})")
        answer = reading.result().json()
    assert sorted(item["a"] for item in answer["items"]) == [1, 2]
    assert answer["transactionId"] == reached + 2


def test_a_transaction_that_is_there_is_not_waited_for(server):
    reached = server.execute("INSERT INTO there DOCUMENTS ({'a': 1})")["transactionId"]
    select = {"statement": "SELECT * FROM there"}
    assert server.post(select, **{"X-EDGE-TXN-ID": str(reached)}).status_code == 200


def test_a_transaction_that_does_not_come_is_not_waited_for_long(server, monkeypatch):
    monkeypatch.setattr(requests, "TRANSACTION_WAIT_S", 0.01)
    select = {"statement": "SELECT * FROM nobody"}
    response = server.post(select, **{"X-EDGE-TXN-ID": "999999999999"})
    assert "999999999999" in refused(response, 412, "behind")["description"]
    assert response.json()["transactionId"] == server.big.transaction_id()


@pytest.mark.parametrize("text", ["", "-1", "1.5", "first", "9" * 30])
def test_a_transaction_is_a_whole_number(server, text):
    response = server.post({"statement": "SELECT * FROM c"}, **{"X-EDGE-TXN-ID": text})
    refused(response, 400, "request")


# Failures


def test_a_full_store_says_so_and_keeps_what_it_has(start, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "STORE_DOCUMENTS_MAX", 3)
    server = start(tmp_path)
    rows = [{"a": 1}, {"a": 2}]
    server.execute("INSERT INTO c DOCUMENTS (:rows)", rows=rows)
    again = {"statement": "INSERT INTO c DOCUMENTS (:rows)", "args": {"rows": rows}}
    refused(server.post(again), 507, "full")
    assert len(server.execute("SELECT * FROM c")["items"]) == 2


def test_a_store_that_fails_is_logged_and_told_without_its_inside(start, tmp_path, caplog):
    server = start(tmp_path)
    server.execute("INSERT INTO c DOCUMENTS ({'a': 1})")
    for table in ("doc", "entry"):
        server.do(lambda table=table: server.big.store.log._db.execute(f"DROP TABLE {table}"))
    response = server.post({"statement": "SELECT * FROM c"})
    refused(response, 500, "storage")
    assert str(tmp_path) not in response.text and "table" not in response.text
    assert str(tmp_path) in caplog.text
    assert server.client.get("/health").status_code == 503


def test_the_description_is_a_page_for_people(server):
    page = server.client.get("/docs")
    assert page.status_code == 200 and "script-src" not in page.text and "<script" not in page.text
    paths = server.client.get("/openapi.json").json()["paths"]
    for path in paths:
        assert path.startswith("/api/v5") or path in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
