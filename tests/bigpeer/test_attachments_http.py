"""Attachments over HTTP, asked by a real client over a real socket."""

import random
import socket

import pytest

from edge_peer.bigpeer import blobs, settings
from edge_peer.core.store.attachments import ATTACHMENT_BYTES_MAX

UPLOAD = "/api/v4/attachments/upload"


def key(server):
    return {"Authorization": f"Bearer {server.api_key}"}


def upload(server, data, type="image/jpeg"):
    files = {"file": ("photo.jpg", data, type)}
    return server.client.post(UPLOAD, files=files, headers=key(server))


def download(server, id):
    return server.client.get(f"/api/v4/attachments/{id}", headers=key(server))


def refused(response, status, code):
    assert response.status_code == status, response.text
    assert response.json()["error"]["code"] == code
    return response.json()["error"]["description"]


@pytest.mark.parametrize("size", [0, 1, 512, 100_001])
def test_what_was_uploaded_is_downloaded(server, size):
    data = random.Random(size).randbytes(size)
    token = upload(server, data).json()
    assert token["len"] == size and token["type"] == "image/jpeg" and len(token["id"]) == 32
    response = download(server, token["id"])
    assert response.content == data
    assert response.headers["content-length"] == str(size)


def test_a_token_goes_into_a_document_and_comes_out_the_same(server):
    token = upload(server, b"photo").json()
    server.execute("INSERT INTO seen DOCUMENTS (:d)", d={"_id": "a", "photo": token})
    items = server.execute("SELECT photo, photo.len AS size FROM seen")["items"]
    assert items == [{"photo": token, "size": 5}]


def test_a_map_that_is_no_token_stays_a_map(server):
    for place in ({"id": "x", "len": 1, "type": "t"}, {"id": "00" * 16, "len": -1, "type": "t"}):
        server.execute("INSERT INTO maps DOCUMENTS (:d)", d={"place": place})
    items = server.execute("SELECT place.id AS id FROM maps")["items"]
    assert sorted(item["id"] for item in items) == ["00" * 16, "x"]


def test_it_is_there_after_a_restart(start, tmp_path):
    server = start(tmp_path)
    token = upload(server, bytes(2_000)).json()
    server.stop()
    assert download(start(tmp_path), token["id"]).content == bytes(2_000)


def test_nobody_without_the_key_uploads_or_downloads(server):
    id = upload(server, b"secret").json()["id"]
    refused(server.client.get(f"/api/v4/attachments/{id}"), 401, "key")
    refused(server.client.post(UPLOAD, files={"file": b"x"}), 401, "key")


@pytest.mark.parametrize("id", ["00" * 16, "00", "nothing", "%2e%2e"])
def test_what_is_not_here_is_not_found(server, id):
    refused(download(server, id), 404, "attachment")


@pytest.mark.parametrize(
    "content, type",
    [
        (b"", None),
        (b"{}", "application/json"),
        (b"nonsense", "multipart/form-data"),
        (b"nonsense", "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(server, content, type):
    headers = key(server) | ({} if type is None else {"Content-Type": type})
    refused(server.client.post(UPLOAD, content=content, headers=headers), 400, "request")


def test_what_is_too_large_is_not_read_to_its_end(server):
    def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        for _ in range(1 + 2 * ATTACHMENT_BYTES_MAX // (1 << 20)):
            yield bytes(1 << 20)

    headers = key(server) | {"Content-Type": "multipart/form-data; boundary=b"}
    response = server.client.post(UPLOAD, content=endless(), headers=headers)
    assert str(ATTACHMENT_BYTES_MAX) in refused(response, 413, "size")


def test_an_upload_that_does_not_arrive_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(blobs, "UPLOAD_WAIT_S", 0.01)
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: b\r\nAuthorization: {key(server)['Authorization']}"
    head += "\r\nContent-Length: 9\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.big.http_port), 20) as client:
        client.sendall(head.encode() + b"--b")
        assert b" 408 " in client.recv(4096)


def test_a_full_store_says_so(start, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ATTACHMENTS_QUOTA_BYTES", 5_000)
    server = start(tmp_path)
    id = upload(server, bytes(3_000)).json()["id"]
    assert "bytes" in refused(upload(server, b"x" * 3_000), 507, "full")
    refused(upload(server, b"x" * 6_000), 507, "full")
    assert download(server, id).content == bytes(3_000)


def test_openapi_has_the_same_paths_and_statuses(server):
    paths = server.client.get("/openapi.json").json()["paths"]
    assert {"200", "413", "507"} <= set(paths[UPLOAD]["post"]["responses"])
    assert {"200", "404"} <= set(paths["/api/v5/attachments/{id}"]["get"]["responses"])
