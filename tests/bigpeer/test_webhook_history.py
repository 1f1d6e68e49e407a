"""What webhooks are told of the past: old values, what to query again, how deliveries went."""

import json
import os

import pytest
from consumers import Consumer, insert, state

from edge_peer.bigpeer import delivery, history
from edge_peer.bigpeer.webhooks import DELIVERY_COUNT_MAX


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Tries follow each other at once."""
    monkeypatch.setattr(delivery, "WAIT_S_MIN", 0.001)


def write(server, collection, n):
    server.execute(
        f"INSERT INTO {collection} DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", d={"_id": "x", "n": n}
    )


def olds(consumer):
    return [one["change"]["oldValue"] for one in consumer.told]


def test_who_was_away_is_told_what_a_document_was_when_it_was_told_last(server, hook, consumer):
    hook(consumer, "since")
    write(server, "since", 1)
    consumer.until(lambda c: len(c.told) == 1)
    consumer.answer = lambda body: 500
    for n in (2, 3, 4):
        write(server, "since", n)
    consumer.until(lambda c: len(c.asked) > 5)
    consumer.answer = lambda body: 200
    consumer.until(lambda c: c.numbers()[-1] == 4)
    assert consumer.told[1]["change"]["oldValue"] == {"_id": "x", "n": 1}


def test_an_old_value_that_the_filter_does_not_take_is_not_told(server, hook, consumer):
    hook(consumer, filter={"queriesByCollection": {"masked": ["n > 5"]}})
    write(server, "masked", 1)
    write(server, "masked", 9)
    write(server, "masked", 10)
    consumer.until(lambda c: c.numbers()[-1] == 10)
    assert {"_id": "x", "n": 1} not in olds(consumer)


def test_a_webhook_without_old_values_is_told_null(server, hook, consumer):
    made = hook(consumer, "plain", oldValues=False)
    assert made["oldValues"] is False
    write(server, "plain", 1)
    consumer.until(lambda c: c.numbers() == [1])
    write(server, "plain", 2)
    consumer.until(lambda c: c.numbers() == [1, 2])
    assert olds(consumer) == [None, None]


def test_who_fell_behind_the_retained_changes_is_told_what_to_query_again(
    server, hook, consumer, monkeypatch
):
    monkeypatch.setattr(history, "CHANGE_COUNT_MAX", 3)
    monkeypatch.setattr(history, "PRUNE_COUNT", 1)
    hook(consumer, "behind")
    other = Consumer()
    hook(other, "behind")
    insert(server, "behind", *range(5))
    consumer.until(lambda c: len(c.told) == 5)
    consumer.answer = lambda body: 500
    insert(server, "behind", 99)
    consumer.until(lambda c: len(c.asked) > 5)
    for n in range(5):
        server.execute("UPDATE behind SET n = 7 WHERE _id = :id", id=f"d{n}")
    other.until(lambda c: c.numbers().count(7) == 5)  # with each of its batches all is pruned
    consumer.answer = lambda body: 200
    consumer.until(lambda c: c.told[-1]["type"] == "requeryRequired")
    told = consumer.told[-1]
    assert set(told) == {"txnId", "type", "documents"}
    assert told["documents"][0] == {
        "appId": server.big.app_id,
        "collectionName": "behind",
        "documentId": "d0",
    }
    assert {one["documentId"] for one in told["documents"]} == {f"d{n}" for n in range(5)}
    write(server, "behind", 3)
    consumer.until(lambda c: c.told[-1].get("change", {}).get("newValue", {}).get("n") == 3)
    other.stop()


def test_a_webhook_from_the_beginning_knew_nothing(server, hook, consumer):
    write(server, "begun_again", 1)
    write(server, "begun_again", 2)
    hook(consumer, "begun_again", **{"from": 0})
    consumer.until(lambda c: c.numbers() == [2])
    assert olds(consumer) == [None]
    write(server, "begun_again", 3)
    consumer.until(lambda c: c.numbers() == [2, 3])
    assert olds(consumer)[1] == {"_id": "x", "n": 2}


def test_nothing_is_retained_while_nobody_wants_it(server, hook, consumer):
    def is_kept():
        return server.do(lambda: server.big.deliverer._teller._history.is_kept)

    assert not is_kept()
    made = hook(consumer, "kept")
    assert is_kept()
    server.ask("DELETE", f"/apps/{server.big.app_id}/webhooks/{made['id']}")
    assert not is_kept()


def test_deliveries_say_how_they_went(server, hook, consumer, monkeypatch):
    monkeypatch.setattr(delivery, "TRY_COUNT_MAX", 3)
    consumer.answer = lambda body: 503 if body["change"]["newValue"]["n"] == 1 else 200
    made = hook(consumer, "logged")
    insert(server, "logged", 1, 2)
    insert(server, "logged", 3)
    consumer.until(lambda c: sorted(c.numbers()) == [2, 3])
    while state(server, made)["behind"]:
        pass  # each look is a turn of the server's own loop
    found = {one["id"]: one for one in state(server, made, "/deliveries")["deliveries"]}
    assert {id: (one["state"], one["status"], one["tries"]) for id, one in found.items()} == {
        "d1": ("dead", 503, 3),
        "d2": ("told", 200, 1),
        "d3": ("told", 200, 1),
    }
    assert "503" in found["d1"]["error"] and found["d2"]["error"] is None
    consumer.answer = lambda body: 200
    path = f"/apps/{server.big.app_id}/webhooks/{made['id']}/dead/replay"
    server.execute("UPDATE logged SET more = 'since' WHERE n = 1")
    assert server.ask("POST", path).json() == {"count": 1}
    consumer.until(lambda c: 1 in c.numbers())
    while state(server, made, "/dead")["dead"]:
        pass


def test_what_waits_for_its_next_try_is_seen(server, hook, consumer):
    consumer.answer = lambda body: b"garbage\r\n\r\n"
    made = hook(consumer, "waits")
    insert(server, "waits", 1)
    consumer.until(lambda c: len(c.asked) > 3)
    seen = []
    while not seen:  # between two tries
        seen = state(server, made, "/deliveries")["deliveries"]
    assert seen[0]["state"] == "waiting" and seen[0]["status"] is None
    assert "could not be sent" in seen[0]["error"]
    consumer.answer = lambda body: 200
    consumer.until(lambda c: c.numbers() == [1])


@pytest.mark.parametrize(
    "answer",
    [
        os.urandom(300),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n" + b"x" * 100,
        b"HTTP/1.1 999 \xff\r\n" + b"A: b\r\n" * 50_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZZ\r\n",
        b"\0" * 1_000_000,
    ],
    ids=["noise", "endless body", "endless head", "no chunks", "zeros"],
)
def test_garbage_for_an_hour_loses_nothing_and_keeps_nothing_but_its_count(
    server, hook, consumer, monkeypatch, answer
):
    monkeypatch.setattr(delivery, "TRY_COUNT_MAX", 10_000)
    monkeypatch.setattr(delivery, "AWAY_TRY_COUNT_MAX", 10_000)
    monkeypatch.setattr(delivery, "SEND_WAIT_S", 0.05)
    monkeypatch.setattr(delivery, "WAIT_S_MAX", 0.01)
    consumer.answer = lambda body: answer
    collection = f"garbage_{abs(hash(answer))}"
    made = hook(consumer, collection)
    insert(server, collection, *range(300))
    consumer.until(lambda c: len(c.asked) > 200)
    progress = server.do(lambda: server.big.deliverer.progress(made["id"]))
    assert len(progress.waiting) <= delivery.BATCH_COUNT
    consumer.answer = lambda body: 200
    consumer.until(lambda c: set(c.numbers()) | told_garbage(c, answer) == set(range(300)))
    while state(server, made)["behind"]:
        pass
    assert len(state(server, made, "/deliveries")["deliveries"]) == DELIVERY_COUNT_MAX
    assert state(server, made, "/dead")["dead"] == []


def told_garbage(consumer, answer):
    """Return those whose receipt was a 200 before the garbage: the status is what counts."""
    if not answer.startswith(b"HTTP/1.1 200"):
        return set()
    return {json.loads(body)["change"]["newValue"]["n"] for _, body in consumer.asked}
