"""Live queries as server-sent events, read by a real client, and numbers for Prometheus."""

import json

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_peer.bigpeer import live

LIMIT_S = 20


class Stream:
    """An open live query; next() is the next event."""

    def __init__(self, server, statement, key="", by_get=False, **arguments):
        self._client = httpx.Client(base_url=server.url, timeout=LIMIT_S)
        path = "/api/v4/store/observe"
        headers = {"Authorization": f"Bearer {key or server.api_key}"}
        body = {"statement": statement, "args": arguments}
        if by_get:
            query = {"statement": statement, "args": json.dumps(arguments)}
            request = self._client.build_request("GET", path, params=query, headers=headers)
        else:
            request = self._client.build_request("POST", path, json=body, headers=headers)
        self.response = self._client.send(request, stream=True)
        self._lines = self.response.iter_lines()

    def next(self):
        """Return (its name, its data)."""
        event = {}
        for line in self._lines:
            if not line and event:
                return event["event"], json.loads(event["data"])
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
        return None

    def close(self):
        self.response.close()
        self._client.close()


@pytest.fixture
def follow(server):
    streams = []

    def one(statement, **more):
        streams.append(Stream(server, statement, **more))
        return streams[-1]

    yield one
    for stream in streams:
        stream.close()


def create_key(server, read):
    permissions = {"read": {"queriesByCollection": read}, "write": {}}
    fields = {"name": "x", "permissions": permissions}
    return server.ask("POST", f"/apps/{server.big.app_id}/keys", json=fields).json()


@pytest.mark.parametrize("by_get", [False, True])
def test_a_result_and_its_changes_arrive(server, follow, by_get):
    c = f"arrive_{by_get}"
    server.execute(f"INSERT INTO {c} DOCUMENTS ({{'_id': 'a', 'n': 1}})")
    stream = follow(f"SELECT n FROM {c} WHERE n < :top ORDER BY n", by_get=by_get, top=10)
    assert stream.response.headers["Content-Type"].startswith("text/event-stream")
    name, first = stream.next()
    assert (name, first["items"]) == ("result", [{"n": 1}])
    server.execute(f"INSERT INTO {c} DOCUMENTS ({{'_id': 'b', 'n': 0}}), ({{'n': 99}})")
    name, change = stream.next()
    assert name == "change" and change["transactionId"] > first["transactionId"]
    assert change["inserted"] == [{"index": 0, "item": {"n": 0}}]
    assert change["updated"] == change["deleted"] == change["moved"] == []
    server.execute(f"UPDATE {c} SET n = 5 WHERE _id = 'b'")
    _, change = stream.next()
    assert change["updated"] == [{"index": 1, "item": {"n": 5}}] and change["moved"] == [[0, 1]]
    server.execute(f"DELETE FROM {c} WHERE _id = 'a'")
    assert stream.next()[1]["deleted"] == [0]


def test_a_key_follows_only_what_it_may_read(server, follow):
    made = create_key(server, {"sites": ["site == 'A'"]})
    rows = [{"_id": "a", "site": "A"}, {"_id": "b", "site": "B"}]
    server.execute("INSERT INTO sites DOCUMENTS (:rows)", rows=rows)
    stream = follow("SELECT _id FROM sites", key=made["key"])
    assert stream.next()[1]["items"] == [{"_id": "a"}]
    server.execute("UPDATE sites SET n = 1")  # of b nothing is told
    server.execute("UPDATE sites SET site = 'A' WHERE _id = 'b'")
    server.execute("UPDATE sites SET site = 'B' WHERE _id = 'a'")
    ids = ["a"]
    while ids != ["b"]:
        _, change = stream.next()
        for index in reversed(change["deleted"]):
            del ids[index]
        for one in change["inserted"]:
            ids.insert(one["index"], one["item"]["_id"])
    refusal = follow("SELECT * FROM secrets", key=made["key"]).response
    assert refusal.status_code == 403


def test_a_stream_ends_with_its_key(server, follow):
    made = create_key(server, {"ends": ["true"]})
    stream = follow("SELECT * FROM ends", key=made["key"])
    assert stream.next()[0] == "result"
    server.ask("DELETE", f"/apps/{server.big.app_id}/keys/{made['id']}")
    server.execute("INSERT INTO ends DOCUMENTS ({'n': 1})")
    name, error = stream.next()
    assert name == "error" and error["code"] == "key"
    assert stream.next() is None


def test_without_a_change_the_stream_shows_that_it_lives(server, follow, monkeypatch):
    monkeypatch.setattr(live, "BEAT_S", 0.01)
    stream = follow("SELECT * FROM quiet")
    lines = stream.response.iter_lines()
    while next(lines) != ":":
        pass


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("SELECT COUNT(*) FROM c", 400),
        ("SELEC", 400),
        ("DELETE FROM c", 400),
        ("SELECT * FROM c WHERE a = :a", 400),
    ],
)
def test_what_cannot_be_followed_is_told_before_anything_else(follow, statement, status):
    response = follow(statement).response
    response.read()
    assert response.status_code == status and response.json()["error"]["code"] == "query"


def test_a_result_is_bounded_at_first_and_later(server, follow, monkeypatch):
    monkeypatch.setattr(live, "ROW_COUNT_MAX", 2)
    server.execute("INSERT INTO large DOCUMENTS ({'n': 1}), ({'n': 2})")
    stream = follow("SELECT * FROM large LIMIT 1")
    assert stream.next()[0] == "result"
    server.execute("INSERT INTO large DOCUMENTS ({'n': 3})")
    name, error = stream.next()
    assert name == "error" and error["code"] == "size"
    response = follow("SELECT * FROM large LIMIT 1").response
    assert response.status_code == 413


def test_streams_are_counted_and_given_back(server, follow, monkeypatch):
    monkeypatch.setattr(live, "STREAMS_OF_KEY_MAX", 2)
    streams = [follow("SELECT * FROM few") for _ in range(3)]
    assert [one.response.status_code for one in streams] == [200, 200, 503]
    assert int(streams[2].response.headers["Retry-After"]) > 0
    listeners = server.do(lambda: len(server.big.store._listeners))
    for one in streams:
        one.close()
    while server.do(lambda: len(server.big.streams)):
        pass  # each look is a turn of the server's own loop
    assert server.do(lambda: len(server.big.store._listeners)) < listeners
    assert follow("SELECT * FROM few").response.status_code == 200


# Metrics


def metrics(server, key=""):
    headers = {"Authorization": f"Bearer {key or server.api_key}"}
    response = server.client.get("/metrics", headers=headers)
    if response.status_code != 200:
        return response.status_code
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_prometheus_reads_what_there_is(server):
    server.execute("INSERT INTO metered DOCUMENTS ({'n': 1}), ({'n': 2})")
    found = metrics(server)
    assert found["edge_peer_collection_documents", (("collection", "metered"),)] == 2
    assert found["edge_peer_documents", ()] >= 2
    assert found["edge_peer_transaction_id", ()] == server.big.transaction_id()
    assert found["process_resident_memory_bytes", ()] > 0
    labels = (("path", "/store/execute"), ("status", "200"))
    count = found["edge_peer_http_requests_total", labels]
    server.execute("SELECT * FROM metered")
    assert metrics(server)["edge_peer_http_requests_total", labels] == count + 1


def test_a_path_with_a_name_in_it_is_one_label(server):
    for id in ("1" * 32, "2" * 32):
        server.ask("GET", f"/attachments/{id}")
    labels = [dict(labels).get("path", "") for _, labels in metrics(server)]
    assert "/attachments/{id}" in labels and not any("111" in one for one in labels)


def test_metrics_need_a_key_that_reads_everything(server):
    assert metrics(server, "wrong") == 401
    assert metrics(server, create_key(server, {"c": ["true"]})["key"]) == 403


def test_the_app_is_named(server):
    (app,) = server.ask("GET", "/apps").json()["apps"]
    assert (app["id"], app["name"], app["locked"]) == (server.big.app_id, "big", False)
