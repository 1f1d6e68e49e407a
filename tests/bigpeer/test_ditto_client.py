"""
A client written for Ditto's HTTP API, given our address and key.

The requests are those that https://docs.ditto.live/cloud/http-api describes, as curl puts
them on the wire; only host and key are ours.
"""

import json
import socket

import pytest

LIMIT_S = 20
SHAPE = {
    "transactionId",
    "queryType",
    "items",
    "mutatedDocumentIds",
    "error",
    "warnings",
    "totalWarningsCount",
}


@pytest.fixture
def curl(server):
    """curl(method, path, body, headers) -> (status, headers, body), one connection each."""

    def send(method, path, body=b"", **headers):
        lines = {
            "Host": f"127.0.0.1:{server.big.http_port}",
            "User-Agent": "curl/7.88.1",
            "Accept": "*/*",
            "Authorization": f"Bearer {server.api_key}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        request = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
        with socket.create_connection(("127.0.0.1", server.big.http_port), LIMIT_S) as wire:
            wire.sendall(request)
            answer = b""
            while data := wire.recv(65_536):
                answer += data
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        found = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), found, body

    return send


@pytest.fixture
def execute(curl):
    def ask(statement, args=None, version="v4", **headers):
        body = {"statement": statement} | ({} if args is None else {"args": args})
        status, found, raw = curl(
            "POST",
            f"/api/{version}/store/execute",
            json.dumps(body, indent=4).encode(),
            Content_Type="application/json",
            **headers,
        )
        assert found["content-type"].startswith("application/json")
        answer = json.loads(raw)
        assert set(answer) == SHAPE
        return status, answer

    return ask


def test_the_documented_round_of_a_car_comes_out_as_documented(execute):
    car = {"_id": "car-123", "make": "Toyota", "model": "Camry", "year": 2024, "color": "blue"}
    for version in ("v4", "v5"):
        status, made = execute("INSERT INTO cars DOCUMENTS (:newCar)", {"newCar": car}, version)
        assert status == 200 and made["queryType"] == "insert"
        assert made["mutatedDocumentIds"] == ["car-123"] and made["items"] == []
        query = ("SELECT * FROM cars WHERE color = :color", {"color": "blue"}, version)
        status, found = execute(*query)
        assert (status, found["items"], found["queryType"]) == (200, [car], "select")
        status, done = execute("UPDATE cars SET color = :c WHERE _id = :id",
                               {"c": "red", "id": "car-123"}, version)  # fmt: skip
        assert (status, done["mutatedDocumentIds"]) == (200, ["car-123"])
        status, done = execute("DELETE FROM cars WHERE _id = 'car-123'", None, version)
        assert (status, done["queryType"], done["totalWarningsCount"]) == (200, "delete", 0)


def test_two_documents_in_one_statement_by_either_word(execute):
    docs = {"doc1": {"_id": "1", "color": "blue"}, "doc2": {"_id": "2", "color": "red"}}
    for word in ("DOCUMENTS", "VALUES"):
        sql = f"INSERT INTO vans {word} (:doc1),(:doc2) ON ID CONFLICT DO UPDATE"
        status, made = execute(sql, docs)
        assert (status, made["mutatedDocumentIds"]) == (200, ["1", "2"])
    assert len(execute("SELECT * FROM vans ORDER BY color LIMIT 1")[1]["items"]) == 1


def test_a_read_sees_the_write_whose_transaction_it_names(execute):
    _, made = execute("INSERT INTO txn DOCUMENTS ({'_id': 'a', 'n': 1})")
    header = {"X_DITTO_TXN_ID": str(made["transactionId"])}
    status, found = execute("SELECT * FROM txn", None, **header)
    assert status == 200 and found["transactionId"] >= made["transactionId"]
    assert found["items"] == [{"_id": "a", "n": 1}]


def test_a_mistake_is_an_error_in_the_same_shape(execute):
    status, answer = execute("SELECT FROM WHERE")
    assert status == 400 and answer["error"]["description"] and answer["items"] == []
    status, answer = execute("INSERT INTO dup DOCUMENTS ({'_id': 'x', 'n': 1})")
    status, answer = execute("INSERT INTO dup DOCUMENTS ({'_id': 'x', 'n': 1})")
    assert status == 400 and answer["mutatedDocumentIds"] == []
    status, answer = execute("SELECT * FROM cars", None, Authorization="Bearer nobody's")
    assert status == 401 and answer["error"]


def test_an_attachment_goes_up_as_a_form_and_comes_down_by_its_id(curl, execute):
    data = bytes(range(256)) * 1000
    edge = "------------------------d74496d66958873e"
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="post.png"\r\n'
        "Content-Type: image/png\r\n\r\n".encode()
        + data
        + f"\r\n--{edge}--\r\n".encode()
    )
    kind = f"multipart/form-data; boundary={edge}"
    status, _, raw = curl("POST", "/api/v4/attachments/upload", body, Content_Type=kind)
    made = json.loads(raw)
    assert status == 200 and made["len"] == len(data) and isinstance(made["id"], str)
    token = {"_id": "p", "picture": made}
    execute("INSERT INTO posts DOCUMENTS (:p)", {"p": token})
    assert execute("SELECT * FROM posts")[1]["items"] == [token]
    status, headers, raw = curl("GET", f"/api/v4/attachments/{made['id']}")
    assert (status, raw, headers["content-length"]) == (200, data, str(len(data)))
