"""Webhooks, told to a real HTTP server on loopback."""

import hmac
import os
import random
import signal
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from itertools import islice

import httpx
import pytest
from consumers import LIMIT_S, Consumer, insert, state

from edge_peer.bigpeer import delivery, telling


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Tries follow each other at once."""
    monkeypatch.setattr(delivery, "WAIT_S_MIN", 0.001)


# What is told


def test_changes_are_told_as_they_were_agreed(server, consumer, hook):
    hook(consumer, "agreed")
    written = server.execute("INSERT INTO agreed DOCUMENTS ({'_id': 'a', 'n': 1})")
    consumer.until(lambda c: len(c.told) == 1)
    assert consumer.told[0] == {
        "txnId": written["transactionId"],
        "type": "documentChanged",
        "collection": "agreed",
        "change": {"method": "upsert", "oldValue": None, "newValue": {"_id": "a", "n": 1}},
    }
    server.execute("UPDATE agreed SET n = 2")
    consumer.until(lambda c: len(c.told) == 2)
    assert consumer.told[1]["change"] == {
        "method": "upsert",
        "oldValue": {"_id": "a", "n": 1},
        "newValue": {"_id": "a", "n": 2},
    }
    server.execute("DELETE FROM agreed")
    consumer.until(lambda c: len(c.told) == 3)
    assert consumer.told[2]["change"] == {"method": "remove", "value": {"_id": "a", "n": 2}}
    server.execute("INSERT INTO agreed DOCUMENTS ({'_id': 'a', 'n': 3})")
    consumer.until(lambda c: len(c.told) == 4)
    assert consumer.told[3]["change"]["oldValue"] is None
    assert sorted(one["txnId"] for one in consumer.told) == [one["txnId"] for one in consumer.told]


def test_a_message_is_signed_as_standard_webhooks_has_it(server, consumer, hook):
    made = hook(consumer, "signed")
    insert(server, "signed", 1)
    consumer.until(lambda c: c.told)
    headers, body = consumer.asked[0]
    head = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
    secret = b64decode(made["secret"].removeprefix("whsec_"))
    digest = b64encode(hmac.digest(secret, head + body, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < LIMIT_S
    assert headers["webhook-id"] == f"{made['id']}.{consumer.told[0]['txnId']}"


def test_the_vector_of_standard_webhooks_comes_out():
    """As its own libraries have it in their tests."""
    made = telling.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_filter_tells_what_it_takes_and_what_it_takes_no_more(server, consumer, hook):
    hook(consumer, filter={"queriesByCollection": {"filtered": ["temp > 30"]}})
    rows = [{"_id": "cold", "temp": 10}, {"_id": "hot", "temp": 50}]
    server.execute("INSERT INTO filtered DOCUMENTS (:rows)", rows=rows)
    server.execute("INSERT INTO others DOCUMENTS ({'temp': 99})")
    consumer.until(lambda c: c.told)
    server.execute("UPDATE filtered SET temp = 20 WHERE _id = 'hot'")
    consumer.until(lambda c: len(c.told) == 2)
    server.execute("DELETE FROM filtered")  # nobody was told of either by now
    server.execute("INSERT INTO filtered DOCUMENTS ({'_id': 'last', 'temp': 31})")
    consumer.until(lambda c: len(c.told) == 3)
    told = [(one["change"]["method"], one["change"]) for one in consumer.told]
    assert told[0][1]["newValue"]["_id"] == "hot"
    assert told[1][1] == {"method": "remove", "value": {"_id": "hot", "temp": 50}}
    assert told[2][1]["newValue"]["_id"] == "last"


def test_a_filter_that_takes_everything_leaves_out_the_systems(server, consumer, hook):
    hook(consumer, filter={"everything": True})
    server.execute("INSERT INTO __small_peer_info DOCUMENTS ({'a': 1})")
    insert(server, "everything", 1)
    consumer.until(lambda c: c.told)
    assert [one["collection"] for one in consumer.told] == ["everything"]


def test_changes_of_a_document_are_told_in_order(server, consumer, hook):
    hook(consumer, "ordered")
    insert(server, "ordered", *range(20))
    for value in range(30):
        server.execute("UPDATE ordered SET v = :v", v=value)
    consumer.until(lambda c: len([one for one in c.told if _value(one) == 29]) == 20)
    last = {}
    for one in consumer.told:
        id = one["change"]["newValue"]["_id"]
        assert one["txnId"] > last.get(id, 0)
        last[id] = one["txnId"]


def _value(told):
    return told["change"]["newValue"].get("v")


# Consumers that are not well


def test_a_consumer_that_fails_is_told_again(server, consumer, hook):
    statuses = iter([500, 503, 429, 404, 302, b"", b"garbage\r\n\r\n", b"HTTP/1.1 200"])
    consumer.answer = lambda body: next(statuses, 200)
    made = hook(consumer, "failing")
    insert(server, "failing", 1)
    consumer.until(lambda c: c.told)
    assert len({headers["webhook-id"] for headers, _ in consumer.asked}) == 1
    assert state(server, made)["failed"] >= 7


def test_a_consumer_that_is_away_misses_nothing(server, hook):
    gone = Consumer()
    gone.stop()
    hook(gone, "away")
    insert(server, "away", *range(300))  # more than a batch
    back = Consumer(gone.port)
    back.until(lambda c: len(set(c.numbers())) == 300)
    back.stop()


def test_what_can_never_be_told_is_put_among_the_dead(server, consumer, hook, monkeypatch):
    monkeypatch.setattr(delivery, "TRY_COUNT_MAX", 3)
    consumer.answer = lambda body: 500 if body["change"]["newValue"]["n"] == 1 else 200
    made = hook(consumer, "dying")
    insert(server, "dying", 1, 2, 3)
    insert(server, "dying", 4)
    consumer.until(lambda c: sorted(c.numbers()) == [2, 3, 4])
    (dead,) = state(server, made, "/dead")["dead"]
    assert (dead["collection"], dead["id"]) == ("dying", "d1") and "500" in dead["error"]
    consumer.answer = lambda body: 200
    path = f"/apps/{server.big.app_id}/webhooks/{made['id']}/replay"
    assert server.ask("POST", path, json={"from": dead["txnId"] - 1}).status_code == 200
    consumer.until(lambda c: 1 in c.numbers())


def test_an_outage_puts_nothing_among_the_dead(server, consumer, hook, monkeypatch):
    monkeypatch.setattr(delivery, "TRY_COUNT_MAX", 2)
    consumer.answer = lambda body: 500 if len(consumer.asked) < 100 else 200
    made = hook(consumer, "outage")
    insert(server, "outage", *range(10))
    consumer.until(lambda c: sorted(c.numbers()) == list(range(10)))
    assert state(server, made, "/dead")["dead"] == []


def test_what_is_refused_is_not_waited_for(server, consumer, hook, monkeypatch):
    monkeypatch.setattr(delivery, "TRY_COUNT_MAX", 2)
    consumer.answer = lambda body: 422 if body["change"]["newValue"]["n"] == 1 else 200
    made = hook(consumer, "refused")
    insert(server, "refused", 1)
    insert(server, "refused", 2)
    consumer.until(lambda c: c.numbers() == [2])
    assert "422" in state(server, made, "/dead")["dead"][0]["error"]


def test_a_consumer_that_wants_no_more_is_left_alone_until_a_replay(server, consumer, hook):
    consumer.answer = lambda body: 410
    made = hook(consumer, "left")
    insert(server, "left", 1)
    consumer.until(lambda c: c.asked)
    while not state(server, made)["paused"]:
        pass  # each look is a turn of the server's own loop
    insert(server, "left", 2)
    assert "410" in state(server, made)["lastError"] and state(server, made)["behind"] == 2
    consumer.answer = lambda body: 200
    path = f"/apps/{server.big.app_id}/webhooks/{made['id']}/replay"
    server.ask("POST", path, json={"from": made["toldUpTo"]})
    consumer.until(lambda c: sorted(c.numbers()) == [1, 2])


def test_a_slow_consumer_holds_up_nobody(server, consumer, hook):
    go_on = threading.Event()
    slow = Consumer()
    slow.answer = lambda body: go_on.wait(LIMIT_S) and 200
    hook(slow, "slowly")
    hook(consumer, "slowly")
    insert(server, "slowly", *range(50))
    consumer.until(lambda c: len(c.told) == 50)
    insert(server, "slowly", 50)
    consumer.until(lambda c: len(c.told) == 51)
    assert not slow.told and len(slow.asked) <= delivery.PARALLEL_COUNT
    go_on.set()
    slow.until(lambda c: len(c.told) == 51)
    slow.stop()


def test_a_webhook_begins_where_it_is_told_to(server, consumer, hook):
    insert(server, "begun", 1)
    hook(consumer, "begun")
    insert(server, "begun", 2)
    consumer.until(lambda c: c.numbers() == [2])
    early = Consumer()
    hook(early, "begun", **{"from": 0})
    early.until(lambda c: sorted(c.numbers()) == [1, 2])
    early.stop()


def test_an_ended_webhook_is_told_nothing(server, consumer, hook):
    made = hook(consumer, "ended")
    other = Consumer()
    hook(other, "ended")
    path = f"/apps/{server.big.app_id}/webhooks/{made['id']}"
    assert server.ask("DELETE", path).status_code == 204
    insert(server, "ended", 1)
    other.until(lambda c: c.told)
    assert not consumer.asked
    assert server.ask("DELETE", path).status_code == 404
    other.stop()


# Through kill -9

KILLS = 3


def start_big(data):
    command = [sys.executable, "-m", "edge_tools", "big", f"--data={data}"]
    process = subprocess.Popen(
        [*command, "--port=0", "--sync-port=0"], stdout=subprocess.PIPE, text=True
    )
    said = "".join(islice(process.stdout, 4))
    return process, said.split("API    ")[1].split("/store")[0]


def test_nothing_is_lost_when_the_big_peer_is_killed_at_any_moment(tmp_path):
    """Also not what a document was: who is told of it twice is told the same twice."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    consumer = Consumer()
    process, api = start_big(tmp_path)
    key = (tmp_path / "api-key").read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    app = httpx.get(f"{api}/apps", headers=headers).json()["apps"][0]["id"]
    filter = {"queriesByCollection": {"c": ["n >= 0"]}}
    fields = {"name": "x", "url": consumer.url, "filter": filter}
    path = f"{api}/apps/{app}/webhooks"
    assert httpx.post(path, json=fields, headers=headers).status_code == 201
    for life in range(KILLS):
        rows = [{"_id": f"{n % 100}", "n": 100 * life + n} for n in range(100)]
        sql = "INSERT INTO c DOCUMENTS (:rows) ON ID CONFLICT DO UPDATE"
        body = {"statement": sql, "args": {"rows": rows}}
        assert httpx.post(f"{api}/store/execute", json=body, headers=headers).status_code == 200
        enough = len(consumer.told) + chance.randrange(100)
        consumer.until(lambda c, enough=enough: len(c.told) >= enough)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        process, api = start_big(tmp_path)
    newest = set(range(100 * (KILLS - 1), 100 * KILLS))
    consumer.until(lambda c: newest <= set(c.numbers()))
    assert len(consumer.told) <= 100 * KILLS + KILLS * delivery.BATCH_COUNT
    last: dict[str, int] = {}
    for one in consumer.told:
        change = one["change"]
        old, new = change["oldValue"], change["newValue"]
        n = last.get(new["_id"])
        assert new["n"] == n or old == (None if n is None else {"_id": new["_id"], "n": n})
        last[new["_id"]] = new["n"]
    process.terminate()
    process.communicate()
    consumer.stop()


# The API


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "x", "url": "ftp://x", "filter": {"everything": True}},
        {"name": "x", "url": "http://", "filter": {"everything": True}},
        {"name": "x", "url": "http://u:p@x", "filter": {"everything": True}},
        {"name": "x", "url": "http://[", "filter": {"everything": True}},
        {"name": "x", "url": "http://x/\n", "filter": {"everything": True}},
        {"name": "", "url": "http://x", "filter": {"everything": True}},
        {"name": "x", "url": "http://x", "filter": {}},
        {"name": "x", "url": "http://x", "filter": None},
        {"name": "x", "url": "http://x", "filter": {"queriesByCollection": {"c": ["a ="]}}},
        {"name": "x", "url": "http://x", "filter": {"everything": True}, "from": -1},
        {"name": "x", "url": "http://x", "filter": {"everything": True}, "from": True},
        {"name": "x", "url": "http://x", "filter": {"everything": True}, "more": 1},
    ],
)
def test_what_is_no_webhook_is_told_so(server, fields):
    path = f"/apps/{server.big.app_id}/webhooks"
    response = server.ask("POST", path, json=fields)
    assert response.status_code == 400 and response.json()["error"]["description"]
    assert server.ask("GET", path).json() == {"webhooks": []}


def test_webhooks_are_for_administrators_and_their_secrets_for_nobody(server, consumer, hook):
    made = hook(consumer, "secret")
    path = f"/apps/{server.big.app_id}/webhooks"
    assert made["secret"] not in server.ask("GET", path).text
    everything = {"everything": True}
    fields = {"name": "x", "permissions": {"read": everything, "write": everything}}
    key = server.ask("POST", f"/apps/{server.big.app_id}/keys", json=fields).json()["key"]
    for method, more in (("GET", ""), ("POST", ""), ("DELETE", "/x"), ("GET", "/x/dead")):
        assert server.ask(method, path + more, key).status_code == 403
    assert server.ask("GET", f"{path}/x/dead").status_code == 404
    assert (server.big.options.data / "webhooks.db").stat().st_mode & 0o777 == 0o600
    assert made["secret"] not in server.do(lambda: repr(server.big.webhooks.by_id(made["id"])))
