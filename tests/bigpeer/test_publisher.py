"""Changes as messages of a real broker, at least once, also past its restart."""

import json
import threading

import paho.mqtt.client as paho
import pytest
from peers import Mosquitto

from edge_peer.bigpeer import delivery

LIMIT_S = 30


class Listener:
    """Keeps what a topic has said."""

    def __init__(self, port, topic):
        self.heard = []
        self.changed = threading.Condition()
        ready = threading.Event()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, "listener", clean_session=False
        )
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._hear
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert ready.wait(LIMIT_S)

    def _hear(self, client, data, message):
        with self.changed:
            self.heard.append(json.loads(message.payload))
            self.changed.notify_all()

    def numbers(self):
        return [one["change"]["newValue"]["n"] for one in self.heard]

    def until(self, condition):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), LIMIT_S), self.heard

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path_factory):
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


def hook(server, url):
    fields = {"name": "feed", "url": url, "filter": {"queriesByCollection": {"r": ["n > 0"]}}}
    return server.ask("POST", f"/apps/{server.big.app_id}/webhooks", json=fields)


def test_a_topic_gets_changes_in_order_also_past_a_restart_of_the_broker(
    start, tmp_path, broker, monkeypatch
):
    monkeypatch.setattr(delivery, "WAIT_S_MIN", 0.05)
    server = start(tmp_path, mqtt={"host": "127.0.0.1", "port": broker.port})
    listener = Listener(broker.port, "plant/changes")
    assert hook(server, "mqtt:plant/changes").status_code == 201
    for n in (1, 2):
        server.execute(
            "INSERT INTO r DOCUMENTS (:d) ON ID CONFLICT DO UPDATE", d={"_id": "a", "n": n}
        )
        listener.until(lambda one, n=n: n in one.numbers())
    assert listener.heard[0]["type"] == "documentChanged"
    broker.stop()
    server.execute("INSERT INTO r DOCUMENTS (:d)", d=[{"n": n} for n in range(3, 20)])
    broker.start()
    listener.until(lambda one: set(one.numbers()) >= set(range(1, 20)))
    listener.stop()


def test_without_a_broker_it_says_so(server):
    made = hook(server, "mqtt:plant/changes").json()
    server.execute("INSERT INTO r DOCUMENTS ({'n': 1})")
    path = f"/apps/{server.big.app_id}/webhooks"
    error = None
    while not error:  # each look is a turn of the server's own loop
        (one,) = server.ask("GET", path).json()["webhooks"]
        error = one["lastError"]
    assert "--mqtt" in error
    server.ask("DELETE", f"{path}/{made['id']}")


@pytest.mark.parametrize(
    "topic", ["", "a/+", "a/#", "edge-peer/x/to-big/y", "$SYS/a", "a\0b", "x" * 2000]
)
def test_a_topic_is_one_to_publish_to(server, topic):
    assert hook(server, f"mqtt:{topic}").status_code == 400
