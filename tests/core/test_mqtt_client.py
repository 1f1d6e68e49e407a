"""The client's side of MQTT 3.1.1, to the byte (OASIS, 2014); no broker."""

from helpers import Random, raises

from edge_peer.transport.mqtt_client import (
    CONNECTED,
    MESSAGE,
    PACKET_BYTES_MAX,
    SUBSCRIBED,
    MqttClient,
)


def test_what_it_says_is_as_the_standard_has_it():
    client = MqttClient()
    client.connect("id", "", "", "w")
    assert (
        client.data_to_send() == b"\x10\x13\x00\x04MQTT\x04\x0c\x00\x3c\x00\x02id\x00\x01w\x00\x00"
    )
    client.connect("id", "u", "p", "w")
    said = client.data_to_send()
    assert said[9] == 0xCC and said[-6:] == b"\x00\x01u\x00\x01p"
    client.subscribe("a/b")
    assert client.data_to_send() == b"\x82\x08\x00\x01\x00\x03a/b\x01"
    client.publish("t", b"hello")
    assert client.data_to_send() == b"\x32\x0a\x00\x01t\x00\x02hello"
    client.acknowledge(b"\x12\x34")
    client.disconnect()
    assert client.data_to_send() == b"\x40\x02\x12\x34\xe0\x00"
    assert client.data_to_send() == b""


def test_a_length_above_127_has_more_bytes():
    client = MqttClient()
    client.publish("t", bytes(300))
    said = client.data_to_send()
    assert said[:3] == b"\x32\xb1\x02" and len(said) == 3 + 305


def test_what_it_hears_may_come_byte_by_byte():
    packets = b"\x20\x02\x01\x00" + b"\x90\x03\x00\x01\x01" + b"\x90\x03\x00\x02\x80"
    packets += (
        b"\x32\x0a\x00\x01t\x00\x02hello" + b"\x30\x06\x00\x01tabc" + b"\x40\x02\x00\x02\xd0\x00"
    )
    expected = [
        (CONNECTED, 0),
        (SUBSCRIBED, True),
        (SUBSCRIBED, False),
        (MESSAGE, "t", b"hello", b"\x00\x02"),
        (MESSAGE, "t", b"abc", b""),
    ]
    assert MqttClient().receive(packets) == expected
    client, heard = MqttClient(), []
    for i in range(len(packets)):
        heard += client.receive(packets[i : i + 1])
    assert heard == expected


def test_packets_that_are_too_long_or_cut_short_end_the_connection():
    for packet in (
        b"\x30\xff\xff\x03",
        b"\x30\x80\x80\x80\x80\x01",
        b"\x32\x02\x00\x09",
        b"\x20\x00",
    ):
        with raises(OSError):
            MqttClient().receive(packet)


def test_any_bytes_are_events_or_the_end():
    for seed in range(300):
        random, client = Random(seed), MqttClient()
        try:
            for _ in range(20):
                for event in client.receive(random.bytes(random.below(40))):
                    assert event[0] in (CONNECTED, SUBSCRIBED, MESSAGE)
                assert len(client._part) <= PACKET_BYTES_MAX + 45
        except OSError:
            pass
