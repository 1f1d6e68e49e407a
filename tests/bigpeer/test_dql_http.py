"""The table of statements, vectors/dql.json, over HTTP."""

import pytest
from statements import run, scripts

from edge_peer.core.errors import QueryError
from edge_peer.core.kinds import Attachment
from edge_peer.core.query.execute import Result

SCRIPTS = dict(scripts())


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_statement_is_answered_as_the_table_says(server, name):
    def execute(text, arguments):
        response = server.post({"statement": text, "args": arguments})
        answer = response.json()
        if response.status_code != 200:
            assert answer["error"]["code"] == "query", answer
            error = QueryError(answer["error"]["description"])
            error.column = answer["error"]["column"] or 0
            raise error
        assert answer["totalWarningsCount"] == len(answer["warnings"])
        ids = answer["mutatedDocumentIds"]
        return Result(answer["queryType"], answer["items"], ids, answer["warnings"])

    run(SCRIPTS[name], execute, True)


def test_the_big_peer_evicts_nothing(server):
    server.execute("INSERT INTO kept DOCUMENTS ({'a': 1})")
    response = server.post({"statement": "EVICT FROM kept"})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["column"]) == ("query", 1)
    assert "DELETE removes documents everywhere" in error["description"]
    assert len(server.execute("SELECT * FROM kept")["items"]) == 1


def test_an_attachment_is_answered_as_its_token(server):
    token = Attachment(bytes(range(16)), 3, "image/png")
    insert = "INSERT INTO photos DOCUMENTS (:d)"
    document = {"n": 1, "photo": token, "of": {"face": token}}
    server.do(lambda: server.big.execute(insert, {"d": document}))
    json = {"id": bytes(range(16)).hex(), "len": 3, "type": "image/png"}
    (item,) = server.execute("SELECT photo, of, photo.len AS size FROM photos")["items"]
    assert item == {"photo": json, "of": {"face": json}, "size": 3}
